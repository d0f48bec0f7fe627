//! SQLite: a file of its own for each test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::FileBasedMigrations;
use jiff::Timestamp;

use super::{Backend, Database};
use crate::store::shared::schema::Additive;
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore, upgrade};
use crate::store::{Store, StoreResult};

pub(crate) struct Sqlite;

impl Backend for Sqlite {
    fn missing(&self) -> Option<&'static str> {
        None
    }

    fn fresh(&self) -> Box<dyn Database> {
        Box::new(Scratch::new())
    }
}

/// An empty directory that goes with the last of its copies.
#[derive(Clone)]
pub(crate) struct Scratch(Arc<Directory>);

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chrono-forge-{}-{nth}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(Arc::new(Directory(path)))
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.0.join(file)
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(Location::File(self.path("forge.db")))
    }

    /// A connection of its own, behind the store's back.
    pub(crate) fn raw(&self) -> SqliteConnection {
        SqliteConnection::establish(self.path("forge.db").to_str().unwrap()).unwrap()
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Database for Scratch {
    fn try_open(&self) -> StoreResult<Arc<dyn Store>> {
        Ok(Arc::new(SqliteStore::open(self.options())?))
    }

    fn upgrade(&self, later: &FileBasedMigrations, additive: Additive) -> StoreResult<()> {
        upgrade(&mut self.raw(), later, additive)
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let lines: Vec<Line> = diesel::sql_query(sql).load(&mut self.raw()).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    fn execute(&self, sql: &str) -> usize {
        let mut conn = self.raw();
        conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
        diesel::sql_query(sql).execute(&mut conn).unwrap()
    }

    fn micros(&self, column: &str) -> String {
        column.to_owned()
    }

    fn instant(&self, at: Timestamp) -> String {
        at.as_microsecond().to_string()
    }
}
