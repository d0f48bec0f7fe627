//! Where the databases lie: files in a directory, or schemas on a server. Each round has one of its own, which
//! is removed after it.

mod directory;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use directory::resolve;

/// A file whose commits are on disk when they return.
const FULL: &str = "bench.db";

/// One that asks for less. Its name says so, since both sides are measured in a process that is
/// told the place alone.
const NORMAL: &str = "bench-synchronous-normal.db";

/// Where rounds find new databases.
#[derive(Clone, Debug)]
pub enum Ground {
    /// Here, and whether a commit need not be on disk when it returns.
    Directory(PathBuf, bool),
    #[cfg(feature = "postgres")]
    Server(String),
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    /// A URL that names a schema.
    #[cfg(feature = "postgres")]
    Schema(String),
}

/// A database that is removed whatever happens.
pub struct Home {
    pub place: Place,
    _directory: Option<tempfile::TempDir>,
}

impl Ground {
    /// A new database, empty.
    pub fn home(&self) -> Result<Home> {
        match self {
            Self::Directory(dir, is_normal) => {
                let name = if *is_normal { NORMAL } else { FULL };
                let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?;
                Ok(Home {
                    place: Place::File(directory.path().join(name)),
                    _directory: Some(directory),
                })
            }
            #[cfg(feature = "postgres")]
            Self::Server(url) => Ok(Home {
                place: Place::Schema(crate::floor::server::new_schema(url)?),
                _directory: None,
            }),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        #[cfg(feature = "postgres")]
        if let Place::Schema(url) = &self.place
            && let Err(error) = crate::floor::server::drop_schema(url)
        {
            eprintln!("a schema stays behind: {error:#}");
        }
    }
}

impl Place {
    /// What [`fmt::Display`] wrote.
    pub fn parse(text: &OsStr) -> Self {
        #[cfg(feature = "postgres")]
        if let Some(url) = text.to_str().filter(|text| text.starts_with("postgres")) {
            return Self::Schema(url.to_owned());
        }
        Self::File(text.into())
    }

    /// What the engine is opened with.
    pub fn url(&self) -> String {
        match self {
            Self::File(path) => format!(
                "sqlite:{}?synchronous={}",
                path.display(),
                synchronous(path)
            ),
            #[cfg(feature = "postgres")]
            Self::Schema(url) => url.clone(),
        }
    }

    /// The same with so many connections that write at the same time, on a server.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(unused_variables, reason = "a file has one")
    )]
    pub fn with_writers(&self, writers: u64) -> Self {
        match self {
            Self::File(path) => Self::File(path.clone()),
            #[cfg(feature = "postgres")]
            Self::Schema(url) => Self::Schema(format!("{url}&writers={writers}")),
        }
    }

    /// The file, where the workload knows only files.
    pub fn file(&self) -> Result<&Path> {
        match self {
            Self::File(path) => Some(path.as_path()),
            #[cfg(feature = "postgres")]
            Self::Schema(_) => None,
        }
        .context("this is measured on SQLite only")
    }

    /// The size of the database once everything is checkpointed.
    pub fn bytes(&self) -> Result<u64> {
        match self {
            Self::File(path) => crate::floor::database_bytes(path),
            #[cfg(feature = "postgres")]
            Self::Schema(url) => crate::floor::server::schema_bytes(url),
        }
    }
}

/// What is asked of commits to this file, for the engine and for the floor.
pub fn synchronous(file: &Path) -> &'static str {
    match file.ends_with(NORMAL) {
        true => "normal",
        false => "full",
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Schema(url) => url.fmt(f),
        }
    }
}
