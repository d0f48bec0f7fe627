//! What a log says of the file that it belongs to, read from its frames.
//!
//! A log without page 1 has the size that its file has: only a transaction that writes page 1
//! changes it. So a log that was left beside another file is told from that file's own, also where
//! SQLite would read page 1 from the file and find nothing wrong.

use std::fs::File;
use std::path::Path;

use super::header::{number, read_at};

/// Of the log, and of each frame.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// A longer log is not read through.
const FRAMES_MAX: u64 = 1 << 17;

/// How many pages the database had when this log was begun, unless its page 1 is in the log or
/// nothing was committed to it.
pub(super) fn pages_of(log: &Path) -> Option<u32> {
    let file = File::open(log).ok()?;
    let header = header_of(&file)?;
    let pages = pages_since(&file, &header);
    // Whoever writes may have begun it anew meanwhile.
    pages.filter(|_| header_of(&file) == Some(header))
}

fn header_of(log: &File) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    read_at(log, &mut header, 0).ok()?;
    Some(header)
}

fn pages_since(file: &File, header: &[u8; HEADER]) -> Option<u32> {
    let mut sum = Sum::of(header)?;
    let page = number(header, 8) as usize;
    if !(512..=1 << 16).contains(&page) || !sum.add(&header[..24]).is(&header[24..]) {
        return None;
    }
    let salts = &header[16..24];
    let mut first = None;
    let mut bytes = vec![0; FRAME + page];
    for nth in 0..FRAMES_MAX {
        let at = HEADER as u64 + nth * (FRAME + page) as u64;
        // Whether what follows the first transaction is whole does not matter, only what it names.
        let length = if first.is_none() { FRAME + page } else { FRAME };
        let frame = &mut bytes[..length];
        if read_at(file, frame, at).is_err() || &frame[8..16] != salts {
            return first;
        }
        if number(frame, 0) == 1 {
            return None;
        }
        if first.is_none() {
            if !sum.add(&frame[..8]).add(&frame[FRAME..]).is(&frame[16..24]) {
                return None;
            }
            first = Some(number(frame, 4)).filter(|pages| *pages > 0);
        }
    }
    None
}

/// The sum over all frames up to one, in the order of bytes of the machine that began the log.
struct Sum {
    is_big: bool,
    words: [u32; 2],
}

impl Sum {
    fn of(header: &[u8]) -> Option<Self> {
        let is_big = match number(header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        Some(Self {
            is_big,
            words: [0; 2],
        })
    }

    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        let [mut first, mut second] = self.words;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(self.word(pair, 0)).wrapping_add(second);
            second = second.wrapping_add(self.word(pair, 4)).wrapping_add(first);
        }
        self.words = [first, second];
        self
    }

    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = number(bytes, at);
        if self.is_big { word } else { word.swap_bytes() }
    }

    fn is(&self, bytes: &[u8]) -> bool {
        self.words == [number(bytes, 0), number(bytes, 4)]
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::store::conformance::backend::sqlite::Scratch;
    use crate::store::sqlite::header::{Header, keep};
    use crate::store::sqlite::log;

    #[test]
    fn a_log_without_page_1_has_the_size_of_its_file() {
        let scratch = Scratch::new();
        let (path, mut conn) = (scratch.path("forge.db"), scratch.raw());
        let mut ask = |sql: &str| {
            conn.batch_execute(sql).unwrap();
            pages_of(&log::path_of(&path))
        };
        let create = "PRAGMA journal_mode = WAL; CREATE TABLE a (n); INSERT INTO a VALUES (1);";
        assert_eq!(ask(create), None, "page 1 is in it");
        let moved = "PRAGMA wal_checkpoint(TRUNCATE)";
        assert_eq!(ask(moved), None, "nothing is in it");
        let pages = Header::of(&keep(&path).unwrap()).unwrap().pages;
        assert!(pages.is_some());
        assert_eq!(ask("UPDATE a SET n = 2"), pages);
        assert_eq!(ask("UPDATE a SET n = 3"), pages);
        // A transaction that was cut off by the end of power is as good as none.
        let whole = std::fs::read(log::path_of(&path)).unwrap();
        let cut = scratch.path("cut");
        std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(pages_of(&cut), pages, "of two the second one");
        let mut torn = whole.clone();
        torn[HEADER + FRAME + 17] ^= 1;
        std::fs::write(&cut, torn).unwrap();
        assert_eq!(pages_of(&cut), None, "the first one");
        assert_eq!(ask("CREATE TABLE b (n)"), None, "page 1 is in it");
    }

    #[test]
    fn what_is_no_log_says_nothing() {
        let scratch = Scratch::new();
        let path = scratch.path("log");
        assert_eq!(pages_of(&path), None);
        for content in [vec![], vec![0; 20], vec![7; 9_000]] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(pages_of(&path), None);
        }
    }
}
