//! Runs on their way to another database and back.

mod import;
mod note;
mod snapshot;

use jiff::Timestamp;

use super::PostgresStore;
use super::connection::Purpose;
use super::writer::PostgresWriter;
use crate::record::{RunCopy, RunId, RunParts};
use crate::store::StoreResult;
use crate::store::shared::import as shared;
use crate::store::transfer::{CopyName, Exports, ImportNote, ImportedRuns, Imports, Snapshot};

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

impl Exports for PostgresStore {
    /// A session of its own, so that the readers' places stay free.
    fn snapshot(&self) -> StoreResult<Box<dyn Snapshot>> {
        let session = self.source.session(Purpose::Export);
        Ok(Box::new(snapshot::Reading::begin(session)?))
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

impl Imports for PostgresWriter {
    /// Told apart from a second call: who began an import may take it back.
    fn begin_import(&mut self, id: &str, now: Timestamp) -> StoreResult<ImportNote> {
        self.write_once("begin_import", |conn| note::begin(conn, id, now))
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
