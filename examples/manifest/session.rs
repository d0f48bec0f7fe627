//! What this process brings to the workflows: the file system, the terminal. Nothing of it is
//! stored.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::name::{self, Name};
use crate::output::{Output, Own};
use crate::progress::Progress;
use crate::walk::{Found, Walk};
use crate::workflows::{Digest, Sum};

/// Bytes read at once.
const READ: usize = 128 * 1024;
/// Tests: a file that gets a line for each file that is hashed.
const HASH_LOG: &str = "MANIFEST_HASH_LOG";

/// Shared by all workflows of this process.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) progress: Arc<Progress>,
    output: Arc<Output>,
    own: Option<(Name, Own)>,
    hash_log: Option<Arc<File>>,
}

impl Session {
    /// `root` is the directory's canonical path.
    pub(crate) fn new(output: Arc<Output>, root: &std::path::Path) -> Result<Self> {
        let log = std::env::var_os(HASH_LOG).map(PathBuf::from);
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let hash_log = log.map(open).transpose().context(HASH_LOG)?.map(Arc::new);
        let own = output.own_below(root);
        let progress = Arc::new(Progress::new());
        Ok(Self {
            progress,
            output,
            own,
            hash_log,
        })
    }

    /// How many files there are about now: for the progress bar alone.
    pub(crate) async fn count(&self, directory: &Name) -> Result<u64> {
        let walk = Walk::new(directory, self.own.clone(), None);
        let files = spawn_blocking(move || walk.count()).await?;
        Ok(files as u64)
    }

    /// A page of files behind `after`, from the walk that is under way if there is one.
    pub(crate) async fn page(
        &self,
        walk: Arc<Mutex<Option<Walk>>>,
        directory: Name,
        after: Option<Name>,
        of: usize,
    ) -> Result<(Vec<Found>, Option<Name>)> {
        let own = self.own.clone();
        let page = spawn_blocking(move || {
            let mut walk = walk.lock().unwrap_or_else(PoisonError::into_inner);
            walk.get_or_insert_with(|| Walk::new(&directory, own, after))
                .page(of)
        });
        Ok(page.await?)
    }

    pub(crate) async fn digest(&self, file: &Name) -> Result<Sum> {
        let path = file.to_os();
        let (log, line) = (self.hash_log.clone(), format!("{}\n", file.encoded()));
        let hashed = spawn_blocking(move || -> Result<io::Result<String>> {
            let hashed = File::open(path).and_then(sha256);
            if let (Ok(_), Some(log)) = (&hashed, log) {
                // One write, so that lines of a killed process are whole.
                log.as_ref().write_all(line.as_bytes())?;
            }
            Ok(hashed)
        });
        match hashed.await?? {
            Ok(sum) => {
                self.progress.add_hashed();
                Ok(Sum::Sha256(sum))
            }
            Err(error) => {
                let problem = error.to_string();
                self.report_unreadable(file, &problem);
                Ok(Sum::Unreadable(problem))
            }
        }
    }

    pub(crate) fn report_unreadable(&self, file: &Name, problem: &str) {
        let message = format!("{}: {problem}", file.shown());
        self.progress.add_unreadable(&message);
    }

    pub(crate) async fn write(&self, digests: &Arc<Vec<Digest>>) -> Result<()> {
        let (output, digests) = (Arc::clone(&self.output), Arc::clone(digests));
        let written = spawn_blocking(move || {
            let lines = digests.iter().filter_map(|it| match &it.sum {
                Sum::Sha256(sum) => Some(name::line(sum, &it.file)),
                Sum::Unreadable(_) => None,
            });
            output.write(lines)
        });
        let written = written.await?;
        if let Err(error) = &written {
            let out = name::shown(&self.output.given);
            let message = format!("{out} cannot be written yet: {error}; trying again");
            self.progress.say(&message);
        }
        Ok(written?)
    }
}

/// Streams, so that a file may be larger than memory.
fn sha256(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let hex = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(hex)
}
