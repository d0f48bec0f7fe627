//! Copying the whole database to a file.
//!
//! `VACUUM INTO` reads one state of the database, holds nobody up, and writes a file without free
//! pages. It has a connection of its own, since its transaction lasts as long as the copy takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use super::connection::{self, Purpose};
use super::statement::Stmt;
use super::writer::Shared;
use super::{Location, SqliteStore, address, fault, log, worker};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::shared::arrivals::Arrivals;
use crate::store::transfer::{Copier, Pages};

/// The copy belongs to nobody else, and is synced as a whole: it needs no journal of its own.
const ALONE: &str = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;";

pub(super) struct Whole {
    source: Source,
    /// `None` in memory.
    file: Option<PathBuf>,
    patience: Duration,
    arrivals: Arrivals,
}

enum Source {
    Own(Box<SqliteConnection>),
    /// A database in memory has no second connection.
    Shared(Shared),
}

impl Source {
    fn with<T>(&mut self, read: impl FnOnce(&mut SqliteConnection) -> T) -> T {
        match self {
            Self::Own(conn) => read(conn),
            Self::Shared(conn) => read(&mut conn.lock()),
        }
    }
}

impl Whole {
    pub(super) fn of(store: &SqliteStore) -> StoreResult<Self> {
        let patience = store.options.busy_timeout;
        let (source, file) = match &store.options.location {
            Location::Memory => (Source::Shared(store.writing.clone()), None),
            Location::File(path) => {
                store.identity.look("backup")?;
                let url = address(&store.options.location)?;
                let conn = connection::open(url, Purpose::Copy, patience)?;
                store.identity.look("backup")?;
                (Source::Own(Box::new(conn)), Some(path.clone()))
            }
        };
        Ok(Self {
            source,
            file,
            patience,
            arrivals: store.arrivals.clone(),
        })
    }
}

impl Copier for Whole {
    fn is_own(&self, path: &Path) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        let Ok(path) = std::path::absolute(path) else {
            return false;
        };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| place(path));
        let real_path = real(&path);
        // A journal that is none would be removed by whoever opens the database next.
        let beside = ["-wal", "-shm", "-journal"].map(|ending| log::beside(file, ending));
        let mut own = beside.iter().chain([file]);
        own.any(|own| real(own) == real_path)
    }

    fn pages(&mut self) -> StoreResult<Pages> {
        let sql = "SELECT page_count - freelist_count, page_size
            FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        let patience = self.patience;
        let rows = self.source.with(|conn| {
            connection::patiently(patience, || {
                Stmt::<(BigInt, BigInt)>::new(sql, &[]).load::<(i64, i64)>(conn)
            })
        });
        let rows = rows.map_err(|error| fault::statement("backup", &error))?;
        let (pages, page_bytes) = rows.first().copied().unwrap_or_default();
        Ok(Pages {
            pages: pages.cast_unsigned(),
            page_bytes: page_bytes.cast_unsigned(),
        })
    }

    fn copy(&mut self, into: &Path, now: Timestamp) -> StoreResult<()> {
        let url = into.to_str().ok_or_else(|| {
            let message = format!("the path {} is not UTF-8", into.display());
            StoreError::new("backup", StoreErrorKind::Refused, message)
        })?;
        let patience = self.patience;
        let copied = self.source.with(|conn| {
            connection::patiently(patience, || {
                Stmt::<()>::new("VACUUM INTO ?", &[url.into()]).execute(conn)
            })
        });
        copied.map_err(|error| fault::statement("backup", &error))?;
        let mut copy = SqliteConnection::establish(url)
            .map_err(|error| fault::connection("backup", &error))?;
        let now = self.arrivals.at(now);
        let released = copy.batch_execute(ALONE).and_then(|()| {
            connection::immediate(&mut copy, patience, |conn| {
                // Whoever works on the original does not work on its copy.
                for worker in worker::live(conn)? {
                    worker::retire(conn, worker.id, now)?;
                }
                Ok(())
            })
        });
        released.map_err(|error| fault::statement("backup", &error))
    }
}

/// Where a file is that does not exist yet.
fn place(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}
