//! Where a database lives, from what the user wrote.

use std::path::PathBuf;

/// A file, or the memory of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A database file; created when it is missing.
    File(PathBuf),
    /// Gone with the process: for tests and experiments.
    Memory,
}

/// Why a text names no SQLite database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// There is no path in it.
    #[error("`{url}` names no file: write `sqlite://path/to/file.db` or `sqlite::memory:`")]
    Empty { url: String },
    /// It is a URL of something else.
    #[error(
        "`{url}` is not a database URL: write `sqlite://path/to/file.db`, `sqlite::memory:` or `postgres://user@host/database`"
    )]
    OtherScheme { url: String },
    /// It asks for URL features that would silently name another file.
    #[error(
        "`{url}` contains `{sign}`, and escapes and options are not read: give the plain path, without `sqlite:`"
    )]
    Escape { url: String, sign: char },
}

impl Location {
    /// Reads `sqlite://path`, `sqlite:path`, `sqlite::memory:`, or a plain path.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        let owned = || url.to_owned();
        let path = match url.strip_prefix("sqlite:") {
            Some(rest) => {
                if let Some(sign) = rest.chars().find(|c| matches!(c, '?' | '#' | '%')) {
                    return Err(LocationError::Escape { url: owned(), sign });
                }
                rest.strip_prefix("//").unwrap_or(rest)
            }
            None if url.contains("://") || url.starts_with("file:") => {
                return Err(LocationError::OtherScheme { url: owned() });
            }
            None => url,
        };
        match path {
            "" => Err(LocationError::Empty { url: owned() }),
            ":memory:" => Ok(Self::Memory),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_a_file_and_of_memory() {
        let file = |path: &str| Ok(Location::File(PathBuf::from(path)));
        assert_eq!(Location::parse("sqlite://a/b.db"), file("a/b.db"));
        assert_eq!(Location::parse("sqlite:///var/b.db"), file("/var/b.db"));
        assert_eq!(Location::parse("sqlite:b.db"), file("b.db"));
        assert_eq!(Location::parse("/var/50%.db"), file("/var/50%.db"));
        assert_eq!(Location::parse("b.db"), file("b.db"));
        for memory in ["sqlite::memory:", "sqlite://:memory:", ":memory:"] {
            assert_eq!(Location::parse(memory), Ok(Location::Memory));
        }
    }

    #[test]
    fn what_names_no_sqlite_database_is_a_typed_error() {
        assert!(matches!(
            Location::parse(""),
            Err(LocationError::Empty { .. })
        ));
        assert!(matches!(
            Location::parse("sqlite://"),
            Err(LocationError::Empty { .. })
        ));
        assert!(matches!(
            Location::parse("postgres://h/db"),
            Err(LocationError::OtherScheme { .. })
        ));
        assert!(matches!(
            Location::parse("sqlite://a.db?mode=ro"),
            Err(LocationError::Escape { sign: '?', .. })
        ));
        assert!(matches!(
            Location::parse("sqlite://a%20b"),
            Err(LocationError::Escape { sign: '%', .. })
        ));
    }
}
