//! Runs on their way to another database and back.

mod import;
mod note;
mod snapshot;

use jiff::Timestamp;

use super::backup::Whole;
use super::connection::{self, Purpose};
use super::writer::SqliteWriter;
use super::{SqliteStore, address, fault};
use crate::record::{RunCopy, RunId, RunParts};
use crate::store::StoreResult;
use crate::store::shared::import as shared;
use crate::store::transfer::{
    Copier, CopyName, Exports, ImportNote, ImportedRuns, Imports, Snapshot,
};

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    snapshot::RUNS,
    snapshot::RECORDS,
    snapshot::ERRORS,
    snapshot::COPIES,
    snapshot::HAVE_ENTRIES,
    snapshot::ENTRIES,
    snapshot::FIND,
    import::FIND_RUNS,
    import::FIND_RECORDS,
];

impl Exports for SqliteStore {
    /// A connection of its own, which reads in one transaction. A database in memory has no second
    /// connection; its copy is taken at once.
    fn snapshot(&self) -> StoreResult<Box<dyn Snapshot>> {
        let patience = self.options.busy_timeout;
        let url = address(&self.options.location)?;
        let opened = connection::open(url, Purpose::Read, patience);
        let mut conn = opened.map_err(|error| self.identity.explained(error))?;
        let begun = match self.readers {
            None => {
                let copy = self.writing.lock().serialize_database_to_buffer();
                copy.try_as_slice()
                    .and_then(|copy| conn.deserialize_readonly_database_from_buffer(copy))
            }
            Some(_) => connection::patiently(patience, || snapshot::begin(&mut conn)),
        };
        begun.map_err(|error| fault::statement("snapshot", &error))?;
        Ok(Box::new(snapshot::Reading::new(conn, patience)))
    }

    fn copier(&self) -> StoreResult<Option<Box<dyn Copier>>> {
        Ok(Some(Box::new(Whole::of(self)?)))
    }

    fn find(&self, names: &[CopyName<'_>]) -> StoreResult<Vec<Option<RunId>>> {
        self.read("find", |conn| snapshot::find(conn, names))
    }

    fn copies(&self, runs: &[RunId]) -> StoreResult<Vec<(RunId, RunCopy)>> {
        self.read("copies", |conn| snapshot::copies(conn, runs))
    }

    fn import_note(&self, id: &str) -> StoreResult<ImportNote> {
        self.read("import_note", |conn| note::of(conn, id))
    }

    fn unfinished_import(&self) -> StoreResult<Option<Timestamp>> {
        self.read("unfinished_import", note::unfinished)
    }
}

impl Imports for SqliteWriter {
    fn begin_import(&mut self, id: &str, now: Timestamp) -> StoreResult<ImportNote> {
        self.write("begin_import", |conn| note::begin(conn, id, now))
    }

    fn import_runs(&mut self, runs: &[RunParts], now: Timestamp) -> StoreResult<ImportedRuns> {
        self.write("import_runs", |conn| {
            shared::import_runs(&mut import::Tables { conn, now }, runs)
        })
    }

    fn finish_import(&mut self, id: &str, now: Timestamp) -> StoreResult<()> {
        self.write("finish_import", |conn| note::finish(conn, id, now))
    }

    fn abandon_import(&mut self, id: &str) -> StoreResult<()> {
        self.write("abandon_import", |conn| note::abandon(conn, id))
    }
}
