//! Copying a database while it is in use: `forge.backup`.

mod target;
mod work;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::pin::Pin;

use super::Forge;
use crate::error::BackupError;

/// How far a backup is; see [`Backup::progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Pages that are written.
    pub pages_done: u64,
    /// Pages of the whole copy; until that is finished, the most that it can have.
    pub pages_total: u64,
}

/// A backup, on its way; await it. See [`Forge::backup`].
#[must_use = "a backup does nothing until it is awaited"]
pub struct Backup<'a> {
    forge: Forge,
    path: PathBuf,
    progress: Option<Box<dyn FnMut(BackupProgress) + Send + 'a>>,
}

impl<'a> Backup<'a> {
    /// Tells how far the backup is: at its begin, ten times a second, and when it is finished; then
    /// both numbers are the same. It is told on the task that awaits.
    pub fn progress(mut self, tell: impl FnMut(BackupProgress) + Send + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }
}

impl<'a> IntoFuture for Backup<'a> {
    type Output = Result<(), BackupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(work::perform(self))
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Forge {
    /// Copies this SQLite database to a new file, while it is in use: the copy holds one state,
    /// with everything that was acknowledged before the backup was begun. Nobody waits for it,
    /// neither who writes nor who reads.
    ///
    /// To restore it, put the file in the place of the old one while no process has that open, or
    /// open it where it is. Its runs go on from what they had recorded; those that executed when it
    /// was made are due at once, and that counts as no crash. Whatever the original does meanwhile,
    /// a copy that is opened does once more.
    ///
    /// The file appears under its name when it is complete and synced; until then it is
    /// `<path>.partial-..`. When the backup fails that is removed, and when the future is dropped
    /// it is, too, as soon as the copying has come to its end. What a process that was killed has
    /// left of its own can be deleted; no other backup minds it. The write-ahead log of the
    /// database grows by what is written meanwhile, and is truncated afterwards. A database in
    /// memory is copied, too, and nothing else happens in it meanwhile.
    ///
    /// ```
    /// # use chrono_forge_runtime::forge::Forge;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("backup-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let url = format!("sqlite://{}", directory.join("orders.db").display());
    /// # let copy = directory.join("copy.db");
    /// let forge = Forge::open(&url).await?;
    /// forge
    ///     .backup(&copy)
    ///     .progress(|p| println!("{} of {} pages", p.pages_done, p.pages_total))
    ///     .await?;
    /// # assert!(copy.exists());
    /// # forge.shutdown().await;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`BackupError`]: a file that exists, one that has another database's log or journal
    /// beside it, and the database itself are refused, and so is PostgreSQL, whose own tools are
    /// named.
    pub fn backup<'a>(&self, path: impl Into<PathBuf>) -> Backup<'a> {
        Backup {
            forge: self.clone(),
            path: path.into(),
            progress: None,
        }
    }
}
