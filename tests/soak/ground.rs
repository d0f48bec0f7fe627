//! Where a soak takes place: a database on a disk of its own, and worker processes on it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono_forge::{Forge, Workflow};
use chrono_forge_tests::process::Victim;
#[cfg(feature = "postgres")]
use chrono_forge_tests::server::Server;
use chrono_forge_tests::soak::{leaf, mixed};

use crate::disk::Disk;
use crate::rows::Rows;

/// The lease of every worker.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) struct Ground {
    /// `None`: a file.
    #[cfg(feature = "postgres")]
    server: Option<Server>,
    pub(crate) disk: Disk,
    /// Effects, gates and the clock, which no full disk touches.
    folder: tempfile::TempDir,
    /// Processes that went on after they had been frozen, and when, in microseconds since 1970.
    thaws: Mutex<Vec<(u32, u64)>>,
}

/// Megabytes for what is written in all that time: a disk that is full of it would never be well
/// again.
fn growth() -> u32 {
    u32::try_from(crate::figure("SECONDS", crate::SECONDS)).unwrap()
}

impl Ground {
    pub(crate) fn file(test: &str) -> Self {
        Self::new(
            Disk::new(test, 96 + growth()),
            #[cfg(feature = "postgres")]
            None,
        )
    }

    /// `None` where no server is installed, with the reason told.
    #[cfg(feature = "postgres")]
    pub(crate) fn server(test: &str) -> Option<Self> {
        let disk = Disk::new(test, 700 + growth());
        match Server::start_within(disk.path()) {
            Ok(server) => Some(Self::new(disk, Some(server))),
            Err(reason) => {
                eprintln!("skipped: {test}: {reason}");
                None
            }
        }
    }

    fn new(disk: Disk, #[cfg(feature = "postgres")] server: Option<Server>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("gates")).unwrap();
        Self {
            #[cfg(feature = "postgres")]
            server,
            disk,
            folder,
            thaws: Mutex::default(),
        }
    }

    /// The server, if it is one.
    #[cfg(feature = "postgres")]
    pub(crate) fn restartable(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn database(&self) -> PathBuf {
        self.disk.path().join("soak.db")
    }

    pub(crate) fn url(&self) -> String {
        #[cfg(feature = "postgres")]
        if let Some(server) = &self.server {
            return server.url("");
        }
        format!("sqlite://{}", self.database().display())
    }

    pub(crate) fn rows(&self) -> Rows {
        #[cfg(feature = "postgres")]
        if let Some(server) = &self.server {
            return Rows::Server(server.look_url());
        }
        Rows::File(self.database())
    }

    pub(crate) fn effects(&self) -> PathBuf {
        self.folder.path().join("effects")
    }

    pub(crate) fn gates(&self) -> PathBuf {
        self.folder.path().join("gates")
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Sets the clock of all workers, so many milliseconds ahead of this machine's.
    pub(crate) fn set_clock(&self, ahead_ms: i64) {
        // Whole or not at all: a worker may read it meanwhile.
        let draft = self.folder.path().join("clock.new");
        std::fs::write(&draft, ahead_ms.to_string()).unwrap();
        std::fs::rename(&draft, self.clock()).unwrap();
    }

    pub(crate) fn note_thaw(&self, pid: u32, at: u64) {
        let mut thaws = self.thaws.lock().unwrap_or_else(PoisonError::into_inner);
        thaws.push((pid, at));
    }

    pub(crate) fn thaws(&self) -> Vec<(u32, u64)> {
        let thaws = self.thaws.lock().unwrap_or_else(PoisonError::into_inner);
        thaws.clone()
    }

    /// Starts a worker process and waits until it is open; `None` when it cannot open now.
    pub(crate) fn worker(&self) -> Option<Victim> {
        let lease = LEASE.as_millis().to_string();
        let heartbeat = (LEASE / 4).as_millis().to_string();
        let clock = self.clock().display().to_string();
        let flags = [
            "--lease-ms",
            &lease,
            "--heartbeat-ms",
            &heartbeat,
            "--clock",
            &clock,
            "--grace-ms",
            "3000",
        ];
        Victim::try_start(env!("CARGO_BIN_EXE_victim"), &self.url(), &flags)
    }

    /// An engine in this process that starts, wakes and reads, but executes nothing.
    pub(crate) async fn observer(&self) -> Forge {
        Forge::builder(&self.url())
            .worker(false)
            .workflows([mixed::NAME, leaf::NAME])
            .poll_interval(Duration::from_millis(200))
            .open()
            .await
            .unwrap()
    }

    /// Files beside the database that tell of workers.
    pub(crate) fn lock_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.disk.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".lock")).collect()
    }

    /// The path as workflows take it.
    pub(crate) fn text(path: &Path) -> String {
        path.display().to_string()
    }
}
