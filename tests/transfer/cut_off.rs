//! An import that ends in the middle, at any place.

use std::io::{BufRead, Cursor, Error as IoError, Read, Result as IoResult, Seek, SeekFrom};

use chrono_forge::{Error, ImportError};
use chrono_forge_tests::backend::{Backend, backends};

use crate::fleet;
use crate::ground::{Ground, bounded, lines, told};

/// A file that can be looked through once, and breaks when it is read again.
struct Breaking {
    file: Cursor<Vec<u8>>,
    left: Option<usize>,
    at: usize,
}

impl Read for Breaking {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Breaking {
    fn fill_buf(&mut self) -> IoResult<&[u8]> {
        let left = self.left.unwrap_or(usize::MAX);
        if left == 0 {
            return Err(IoError::other("the disk is gone"));
        }
        let text = self.file.fill_buf()?;
        Ok(&text[..text.len().min(left)])
    }

    fn consume(&mut self, read: usize) {
        self.left = self.left.map(|left| left - read);
        self.file.consume(read);
    }
}

impl Seek for Breaking {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        if matches!(to, SeekFrom::Start(_)) {
            self.left = Some(self.at);
        }
        self.file.seek(to)
    }
}

#[backends(threads = 2)]
async fn an_import_that_was_cut_off_goes_on_with_the_same_file(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        fleet::launch(&ground, &old).await;
        let (file, exported) = ground.export(&old).await;
        let client = ground.client(&new).await;
        let mut written = 0;
        // Inside the histories of small runs, of the large one, and right before the end.
        for part in [1, 300, 600, 900, 999] {
            let at = file.len() * part / 1_000;
            let file = Breaking {
                file: Cursor::new(file.clone()),
                left: None,
                at,
            };
            let cut = client.import(file).await.unwrap_err();
            assert!(matches!(cut, ImportError::Read { .. }), "{cut}");
            let refused = ground.builder(&new).open().await.unwrap_err();
            assert!(
                matches!(refused, Error::ImportUnfinished { .. }),
                "{refused}"
            );
            let there = ground.told(&new).await.len();
            assert!(there >= written, "{there} after {written}");
            written = there;
        }
        assert!(written > 0, "nothing was written before the end");
        let other = ground.export(&old).await.0;
        let refused = ground.import(&new, &other).await.unwrap_err();
        assert!(
            matches!(refused, ImportError::OtherUnfinished { .. }),
            "{refused}"
        );
        let imported = ground.import(&new, &file).await.unwrap();
        assert_eq!(imported.runs + imported.skipped, exported.runs);
        assert!(imported.skipped > 0);
        assert_eq!(ground.told(&new).await, told(&file));
        fleet::land(&ground, &new).await;
    })
    .await;
}

#[backends(threads = 2)]
async fn a_file_that_was_cut_off_writes_nothing(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let forge = ground.worker(&old).await;
        for key in ["a", "b"] {
            let run = forge.start(key, fleet::sums(vec![1])).await.unwrap();
            run.result().await.unwrap();
        }
        forge.shutdown().await;
        let (file, _) = ground.export(&old).await;
        let client = ground.client(&new).await;
        for length in 0..file.len() {
            let torn = Cursor::new(&file[..length]);
            let error = client.import(torn).await.unwrap_err();
            let header = lines(&file)[0].len() - 1;
            match error {
                ImportError::NotAnExport => assert!(length < header, "{length}"),
                ImportError::Torn { line } => {
                    let whole = file[..length].iter().filter(|it| **it == b'\n').count();
                    assert_eq!(line, whole.max(1) as u64, "{length}");
                }
                other => panic!("{length}: {other}"),
            }
        }
        assert_eq!(ground.told(&new).await, []);
        // Nothing keeps workers out.
        ground.worker(&new).await.shutdown().await;
    })
    .await;
}
