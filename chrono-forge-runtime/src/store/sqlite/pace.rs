//! When the writing connection moves its log into the file: once 1,000 frames are not in it, about
//! as SQLite does by itself, but between two commits, and right after a look at the file.
//!
//! SQLite would do it within a commit, into whatever is at the path by then. If the file was
//! written over since the last look, the commit would replace page 1, which alone tells so, and a
//! mixture of two databases would be served.
//!
//! Only a statement tells how many frames there are. From how many each commit has added, the
//! next time to ask is foreseen: not after each commit, and soon enough for commits that grow.

use super::mover::Counts;

/// As SQLite's own default: a move syncs the disk twice, and what is written over the file in its
/// midst may not be noticed.
const FRAMES: i64 = 1_000;

/// Later commits may be larger by far, and other processes may write: no more commits than this go
/// by unasked.
const COMMITS_MAX: i64 = 16;

#[derive(Default)]
pub(super) struct Pace {
    /// Since the last question.
    commits: i64,
    ask_at: i64,
    /// How many frames the log had then.
    frames: i64,
    frames_each: i64,
}

impl Pace {
    /// A transaction was committed.
    pub(super) fn note_commit(&mut self) {
        self.commits += 1;
    }

    /// Whether it is time to ask how many frames there are.
    pub(super) fn is_due(&self) -> bool {
        self.commits >= self.ask_at
    }

    /// There are so many; whether it is time to move them.
    pub(super) fn found(&mut self, counts: &Counts) -> bool {
        let added = counts.frames - self.frames;
        // Of a log that was begun anew nobody knows after which commit.
        if added >= 0 {
            self.frames_each = added / self.commits.max(1);
        }
        let due_in = FRAMES - counts.left();
        let is_time = due_in <= 0;
        let due_in = if is_time { FRAMES } else { due_in };
        self.ask_at = (due_in / self.frames_each.max(1)).clamp(1, COMMITS_MAX);
        self.commits = 0;
        self.frames = counts.frames;
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log, and how often it was asked about and moved.
    struct Moves {
        pace: Pace,
        counts: Counts,
        asked: i64,
        moved: i64,
        frames_max: i64,
    }

    /// Who reads the log.
    #[derive(Clone, Copy, PartialEq)]
    enum Reader {
        Nobody,
        /// Always somebody, and never for long: all is moved, and the log is not begun anew.
        Ever,
        /// For long: nothing can be moved.
        Stays,
    }

    impl Moves {
        fn new() -> Self {
            let counts = Counts {
                frames: 0,
                moved: 0,
            };
            Self {
                pace: Pace::default(),
                counts,
                asked: 0,
                moved: 0,
                frames_max: 0,
            }
        }

        /// So many commits that add so many frames each.
        fn commit(&mut self, commits: i64, frames: i64, reader: Reader) {
            for _ in 0..commits {
                if reader == Reader::Nobody && self.counts.left() == 0 {
                    self.counts.frames = 0;
                    self.counts.moved = 0;
                }
                self.counts.frames += frames;
                self.frames_max = self.frames_max.max(self.counts.frames);
                self.pace.note_commit();
                if !self.pace.is_due() {
                    continue;
                }
                self.asked += 1;
                if self.pace.found(&self.counts) {
                    self.moved += 1;
                    if reader != Reader::Stays {
                        self.counts.moved = self.counts.frames;
                    }
                }
            }
        }
    }

    #[test]
    fn a_log_is_moved_every_thousand_frames_and_asked_about_between_as_little_as_can_be() {
        for frames in [1, 3, 4, 7, 40, 300, 999] {
            let mut log = Moves::new();
            log.commit(10_000, frames, Reader::Nobody);
            let whole = 10_000 * frames / FRAMES;
            let (asked, moved) = (log.asked, log.moved);
            assert!((whole / 3..=whole).contains(&moved), "{frames}: {moved}");
            assert!(log.frames_max <= FRAMES + frames * 2, "{frames}");
            let often = moved * 3 + 10_000 / COMMITS_MAX + 8;
            assert!(asked <= often, "{frames}: {asked}");
        }
    }

    #[test]
    fn commits_that_grow_are_found_out_soon() {
        let mut log = Moves::new();
        log.commit(1_000, 1, Reader::Nobody);
        log.commit(1_000, 200, Reader::Nobody);
        assert!(log.frames_max <= FRAMES + 200 * COMMITS_MAX);
    }

    #[test]
    fn a_log_that_is_not_begun_anew_is_moved_as_often() {
        let mut log = Moves::new();
        log.commit(10_000, 4, Reader::Ever);
        assert!((30..=40).contains(&log.moved), "{}", log.moved);
        // Once nobody reads, it is begun anew within as many frames.
        log.commit(FRAMES / 4 + COMMITS_MAX, 4, Reader::Nobody);
        let frames_max = FRAMES + 4 * COMMITS_MAX;
        assert!(log.counts.frames <= frames_max, "{:?}", log.counts);
    }

    #[test]
    fn a_log_that_somebody_reads_for_long_is_not_tried_with_each_commit() {
        let mut log = Moves::new();
        log.commit(10_000, 4, Reader::Stays);
        let often = 10_000 / COMMITS_MAX;
        assert!((often / 2..=often).contains(&log.moved), "{}", log.moved);
    }

    #[test]
    fn what_another_process_has_moved_is_not_moved_again() {
        let mut log = Moves::new();
        log.commit(1_000, 4, Reader::Ever);
        log.counts.moved = log.counts.frames;
        assert!(!log.pace.found(&log.counts));
    }
}
