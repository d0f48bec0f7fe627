//! Moving runs to another database: `forge.export`, `forge.import`.

mod export;
mod import;
mod parts;

use std::future::{Future, IntoFuture};
use std::io::{BufRead, Seek, Write};
use std::pin::Pin;

use super::Forge;
use crate::error::{Error, ExportError, ImportError};

/// What an export wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    pub runs: u64,
    /// Records of operations: steps, waits, branches.
    pub records: u64,
    /// Failed attempts.
    pub errors: u64,
}

/// What an import wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    pub runs: u64,
    /// Runs that were there already.
    pub skipped: u64,
    pub records: u64,
    pub errors: u64,
}

/// An export, on its way; await it. See [`Forge::export`].
#[derive(Debug)]
#[must_use = "an export does nothing until it is awaited"]
pub struct Export<'a, W: ?Sized> {
    forge: Forge,
    file: &'a mut W,
    is_while_running: bool,
}

impl<W: ?Sized> Export<'_, W> {
    /// Exports although workers live: a copy to look into, of one moment. Runs that a worker holds are due in
    /// it, so whoever imports it and executes does a second time what this database goes on to do.
    pub fn while_running(mut self) -> Self {
        self.is_while_running = true;
        self
    }
}

impl<'a, W: Write + Send + ?Sized> IntoFuture for Export<'a, W> {
    type Output = Result<Exported, ExportError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(export::perform(self))
    }
}

impl Forge {
    /// Writes every run of this database, with what it needs to go on elsewhere, to a file of JSON lines:
    /// the way from an SQLite file to PostgreSQL, and back. Import it with [`Forge::import`].
    ///
    /// Shut all workers down first and leave them down: from the export on the runs belong to whoever imports
    /// them. The Forge that exports is opened with `.worker(false)`. The file holds one state of the database,
    /// whatever starts or wakes runs meanwhile. Memory stays flat; the file is written in pieces of a megabyte,
    /// on the calling task. Without its closing line, that is when this answered an error, it is refused.
    ///
    /// What the auditor found, and who the workers were, is left behind.
    ///
    /// ```
    /// # use chrono_forge_runtime::forge::Forge;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let forge = Forge::builder("sqlite://orders.db").worker(false).open().await?;
    /// let mut file = std::fs::File::create("orders.jsonl")?;
    /// let exported = forge.export(&mut file).await?;
    /// println!("{} runs", exported.runs);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ExportError::WorkersAlive`] while a worker lives, unless it is [`Export::while_running`];
    /// [`ExportError::Write`] and [`ExportError::Forge`] when the file or the database cannot.
    pub fn export<'a, W: Write + Send + ?Sized>(&self, file: &'a mut W) -> Export<'a, W> {
        Export {
            forge: self.clone(),
            file,
            is_while_running: false,
        }
    }

    /// Reads the runs of an export into this database, where they go on: what is recorded does not run again,
    /// waits end when they would have, failed and stalled runs are blocked, children belong to their parents.
    ///
    /// The file is looked through before anything is written, then written in small transactions. Twice the
    /// same file changes nothing, and an import that was cut off goes on with the same file. Until it is
    /// finished no worker opens on this database: a parent without all of its children could go on without
    /// them. So import with `.worker(false)`, then open workers. One that is silent for longer than its lease is declared
    /// dead, since it may only be frozen: it begins anew once the import is finished.
    ///
    /// ```
    /// # use chrono_forge_runtime::forge::Forge;
    /// # async fn example(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let forge = Forge::builder(url).worker(false).open().await?;
    /// let file = std::fs::File::open("orders.jsonl")?;
    /// let imported = forge.import(std::io::BufReader::new(file)).await?;
    /// println!("{} runs, {} were there", imported.runs, imported.skipped);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`ImportError`]; each says which line and what to do.
    pub async fn import<R: BufRead + Seek + Send>(&self, file: R) -> Result<Imported, ImportError> {
        let imported = import::perform(self, file).await;
        imported.map_err(|error| match error {
            ImportError::Forge(Error::Closed) => ImportError::Forge(self.host().why_over()),
            other => other,
        })
    }
}
