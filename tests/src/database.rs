//! A database of a test's own, whatever its kind, and its rows as they are.
//!
//! Raw queries are written once for all kinds. What their dialects call differently has a function of the
//! same name on each: `instant(micros)` and `micros(instant)`, `flag(condition)` as 0 or 1, and
//! `field(json, name)` as text, NULL where there is none.

mod file;
mod look;
#[cfg(feature = "postgres")]
mod server;
#[cfg(test)]
mod tests;
mod triggers;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::backend::Backend;
pub use look::{Look, Param};

/// Empty at first; gone with this value.
pub struct Database {
    kind: Kind,
    folder: TempDir,
}

enum Kind {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres(server::Schema),
}

impl Database {
    /// A database of this kind with a folder for other files; so many engines will be open on it at once.
    ///
    /// Waits until the server has room for them: a test that holds one database must not ask for another.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[must_use]
    pub fn new(backend: Backend, folder: TempDir, engines: usize) -> Self {
        let kind = match backend {
            Backend::Sqlite => Kind::Sqlite,
            #[cfg(feature = "postgres")]
            Backend::Postgres => Kind::Postgres(server::Schema::new(engines)),
            #[cfg(not(feature = "postgres"))]
            Backend::Postgres => {
                panic!("no room for {engines} engines: build with --features postgres")
            }
        };
        Self { kind, folder }
    }

    /// As engines open it.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Sqlite => file_url(&self.path()),
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => schema.url(),
        }
    }

    /// As [`Database::url`], of an empty database of the same kind that is gone with this one.
    #[must_use]
    pub fn url_beside(&self, name: &str) -> String {
        match &self.kind {
            Kind::Sqlite => file_url(&self.folder().join(format!("{name}.db"))),
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => schema.url_beside(name),
        }
    }

    /// What only the engine's connections to this database are opened with.
    #[must_use]
    pub fn mark(&self) -> String {
        match &self.kind {
            Kind::Sqlite => self.path().display().to_string(),
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => schema.mark(),
        }
    }

    /// A folder that nothing but this test and, if it is a file, the database uses.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file.
    ///
    /// # Panics
    /// When the database is none: such a test is `sqlite_only`.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        assert!(self.backend() == Backend::Sqlite, "a server has no file");
        self.path()
    }

    /// What it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match &self.kind {
            Kind::Sqlite => Backend::Sqlite,
            #[cfg(feature = "postgres")]
            Kind::Postgres(_) => Backend::Postgres,
        }
    }

    /// A look at the rows.
    ///
    /// # Panics
    /// When the database cannot be opened.
    #[must_use]
    pub fn look(&self) -> Look {
        self.looker().look()
    }

    /// Looks at this database from threads that outlive no test.
    #[must_use]
    pub fn looker(&self) -> Looker {
        match &self.kind {
            Kind::Sqlite => Looker::Sqlite(self.path()),
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => Looker::Postgres(schema.connection()),
        }
    }

    /// Others notice at once that all who worked here so far are dead: the lock of a file tells them, on a
    /// server the lease has to be over.
    pub fn bury(&self) {
        if self.backend() == Backend::Postgres {
            let over = "UPDATE chrono_forge_workers SET heartbeat_at = instant(0) WHERE stopped_at IS NULL";
            self.look().edit(over, &[]);
        }
    }

    /// As [`Database::bury`], and what only a process's end does otherwise: its sessions are over.
    pub fn bury_all(&self) {
        self.bury();
        #[cfg(feature = "postgres")]
        if let Kind::Postgres(schema) = &self.kind {
            schema.cut_off();
        }
    }

    /// Whether nobody has opened it yet.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        match &self.kind {
            Kind::Sqlite => !self.path().exists(),
            #[cfg(feature = "postgres")]
            Kind::Postgres(_) => {
                let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
                self.look().number(tables, &[]) == 0
            }
        }
    }

    /// Nobody writes as long as this is held.
    ///
    /// # Panics
    /// When somebody else writes for ever.
    #[must_use]
    pub fn hold_writes(&self) -> Hold {
        // Reads go on, as they do on a file.
        self.hold(
            "LOCK TABLE chrono_forge_workflows, chrono_forge_execution_logs IN EXCLUSIVE MODE",
        )
    }

    /// As a migration does that takes its time: nobody writes, no worker can renew its lease, and on a server nobody
    /// reads either.
    ///
    /// # Panics
    /// When the database cannot be locked.
    #[must_use]
    pub fn hold_workers(&self) -> Hold {
        self.hold("LOCK TABLE chrono_forge_workflows, chrono_forge_workers")
    }

    /// Nobody else uses this table as long as this is held; on a file nobody writes.
    ///
    /// # Panics
    /// When the database cannot be locked.
    #[must_use]
    pub fn hold_table(&self, table: &str) -> Hold {
        self.hold(&format!("LOCK TABLE {table}"))
    }

    /// A file can only be locked as a whole.
    fn hold(&self, tables: &str) -> Hold {
        let look = match &self.kind {
            Kind::Sqlite => self.look(),
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => Look::of_server(&schema.connect()),
        };
        let lock = match self.backend() {
            Backend::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            Backend::Postgres => format!("BEGIN; {tables}"),
        };
        look.script(&lock);
        Hold(look)
    }

    /// Nobody else locks these rows as long as this is held. On a file nobody can lock a row: nothing is held.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn hold_rows(&self, table: &str, which: &str) -> Option<Hold> {
        self.hold_by(&format!("SELECT 1 FROM {table} WHERE {which} FOR UPDATE"))
    }

    /// Holds a transaction that has written these keys of top-level runs and does not end; as
    /// [`hold_rows`](Self::hold_rows).
    pub fn hold_keys(&self, workflow: &str, keys: &[String]) -> Option<Hold> {
        let values = keys.iter().map(|key| {
            format!("('{workflow}', '{key}', 'default', 5, 'null', now(), now(), now(), 0, 0)")
        });
        let values = values.collect::<Vec<_>>().join(", ");
        self.hold_by(&format!(
            "INSERT INTO chrono_forge_workflows (workflow, key, queue, priority, args, created_at, updated_at, \
             wake_at, state, lock_epoch) VALUES {values}"
        ))
    }

    fn hold_by(&self, statement: &str) -> Option<Hold> {
        match &self.kind {
            Kind::Sqlite => {
                let _ = statement;
                None
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres(schema) => {
                let look = Look::of_server(&schema.connect());
                look.script(&format!("BEGIN; {statement}"));
                Some(Hold(look))
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder().join("forge.db")
    }
}

/// A transaction that keeps everybody from writing until it is dropped.
pub struct Hold(Look);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.script("ROLLBACK");
    }
}

/// Where to look.
#[derive(Clone)]
pub enum Looker {
    /// At this file.
    Sqlite(PathBuf),
    /// Through this connection.
    #[cfg(feature = "postgres")]
    Postgres(server::Connection),
}

impl Looker {
    /// A look at the rows.
    ///
    /// # Panics
    /// When the database cannot be opened.
    #[must_use]
    pub fn look(&self) -> Look {
        match self {
            Self::Sqlite(path) => Look::of_file(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Look::of_server(connection),
        }
    }
}

fn file_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
