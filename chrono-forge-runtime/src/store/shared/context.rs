//! The context of a run: its entries, and what its row has from before there were any.

use std::collections::BTreeMap;

use diesel::QueryResult;
use diesel::result::Error;

use crate::record::entries::{Entries, whole};
use crate::record::{Json, RunCopy, RunId};

/// What the row has, and an entry; a run without entries has one such row.
pub(in crate::store) type EntryRow = (String, Option<String>, Option<String>);

/// The context that these rows of one run tell of.
pub(in crate::store) fn of_rows(rows: Vec<EntryRow>) -> QueryResult<Option<Json>> {
    let mut base = None;
    let mut entries = Entries::new();
    for (of_run, key, value) in rows {
        base.get_or_insert(of_run);
        entries.extend(key.map(|key| (key, value.map(Json::from))));
    }
    base.map(|base| merged(&base, entries)).transpose()
}

/// The whole context of a run whose row has this.
pub(in crate::store) fn merged(base: &str, entries: Entries) -> QueryResult<Json> {
    whole(base, entries).map_err(|error| Error::DeserializationError(Box::new(error)))
}

/// A run's entry in an export.
pub(in crate::store) type RunEntryRow = (i64, String, Option<String>);

/// Runs whose entries are read at once: they are 1 MiB each at most, unless somebody has set the
/// limit higher.
pub(in crate::store) const CONTEXTS: usize = 16;

/// The entries of the runs of a page.
#[derive(Default)]
pub(in crate::store) struct Contexts {
    of_runs: BTreeMap<i64, Entries>,
    bytes: usize,
}

impl Contexts {
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::store) fn take(&mut self, rows: Vec<RunEntryRow>) {
        for (run, key, value) in rows {
            self.bytes += 32 + key.len() + value.as_ref().map_or(0, String::len);
            let entries = self.of_runs.entry(run).or_default();
            entries.insert(key, value.map(Json::from));
        }
    }

    /// Gives each run of the page its whole context.
    pub(in crate::store) fn put_into(mut self, page: &mut [(RunId, RunCopy)]) -> QueryResult<()> {
        for (run, copy) in page {
            if let Some(entries) = self.of_runs.remove(&run.0) {
                copy.context = merged(&copy.context, entries)?.to_string();
            }
        }
        Ok(())
    }
}
