//! Where a database lives, from what the user wrote.

use std::path::PathBuf;

use crate::store::address::shown;

/// What a commit has survived once it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// A power cut, as far as the disk keeps its word about syncing.
    #[default]
    Full,
    /// The end of the process. A power cut may take the last commits with it, never a part of one.
    Normal,
}

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
    /// It is almost the name of a database in memory, or of a kind of database, and would be a file.
    #[error(
        "`{url}` would be a file named `{file}`: write `sqlite::memory:` for a database in memory, `sqlite://path/to/file.db` for a file, and `./{file}` if that is what the file is named"
    )]
    Misspelt { url: String, file: String },
    /// It asks for URL features that would silently name another file.
    #[error(
        "`{url}` contains `{sign}`, and escapes are not read: give the plain path, without `sqlite:`"
    )]
    Escape { url: String, sign: char },
    /// An option that is not known. SQLite itself would take some of them for another file.
    #[error(
        "`{url}`: there is no option `{option}`; there is `?synchronous=full`, the default, and `?synchronous=normal`"
    )]
    Option { url: String, option: String },
    /// What a commit survives is asked for twice.
    #[error("`{url}` asks for `synchronous` twice; keep one")]
    Twice { url: String },
    /// Without a scheme it is a path, of which the option would be a part.
    #[error(
        "`{url}` has an option and no scheme, so the file would have this name: write `sqlite://{url}`"
    )]
    OptionOfPath { url: String },
}

impl Location {
    /// Reads `sqlite://path`, `sqlite:path`, `sqlite::memory:`, each with `?synchronous=normal` if
    /// that is meant, or a plain path.
    pub fn parse(url: &str) -> Result<(Self, Synchronous), LocationError> {
        let owned = || shown(url);
        let mut synchronous = None;
        let path = match url.strip_prefix("sqlite:") {
            Some(rest) => {
                let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
                if let Some(sign) = rest.chars().find(|c| matches!(c, '#' | '%')) {
                    return Err(LocationError::Escape { url: owned(), sign });
                }
                for option in options.split('&').filter(|option| !option.is_empty()) {
                    let asked = Synchronous::asked_by(option).ok_or_else(|| {
                        let option = option.to_owned();
                        LocationError::Option {
                            url: owned(),
                            option,
                        }
                    })?;
                    if synchronous.replace(asked).is_some() {
                        return Err(LocationError::Twice { url: owned() });
                    }
                }
                rest.strip_prefix("//").unwrap_or(rest)
            }
            None if url.contains("://") || url.starts_with("file:") => {
                return Err(LocationError::OtherScheme { url: owned() });
            }
            None if url.contains("?synchronous=") => {
                return Err(LocationError::OptionOfPath { url: owned() });
            }
            None => url,
        };
        let location = match path {
            "" => return Err(LocationError::Empty { url: owned() }),
            ":memory:" => Self::Memory,
            path if is_misspelt(path) => {
                let file = path.to_owned();
                return Err(LocationError::Misspelt { url: owned(), file });
            }
            path => Self::File(PathBuf::from(path)),
        };
        Ok((location, synchronous.unwrap_or_default()))
    }
}

/// Whether this is hardly meant to be a file: `sqlite::memory` (a colon short), `memory`, `sqlite`. In silence each
/// would be one of that name, wherever the process was started.
fn is_misspelt(path: &str) -> bool {
    let names = ["memory", "sqlite", "sqlite3", "postgres", "postgresql"];
    let is_name = names.iter().any(|name| path.eq_ignore_ascii_case(name));
    is_name || path.starts_with(':') || path.ends_with(':')
}

impl Synchronous {
    fn asked_by(option: &str) -> Option<Self> {
        match option {
            "synchronous=full" => Some(Self::Full),
            "synchronous=normal" => Some(Self::Normal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_a_file_and_of_memory() {
        let full = |location| Ok((location, Synchronous::Full));
        let file = |path: &str| full(Location::File(PathBuf::from(path)));
        assert_eq!(Location::parse("sqlite://a/b.db"), file("a/b.db"));
        assert_eq!(Location::parse("sqlite:///var/b.db"), file("/var/b.db"));
        assert_eq!(Location::parse("sqlite:b.db"), file("b.db"));
        assert_eq!(Location::parse("/var/50%.db"), file("/var/50%.db"));
        assert_eq!(Location::parse("b.db"), file("b.db"));
        for memory in ["sqlite::memory:", "sqlite://:memory:", ":memory:"] {
            assert_eq!(Location::parse(memory), full(Location::Memory));
        }
    }

    #[test]
    fn what_a_commit_survives_is_an_option() {
        let asked = |url| Location::parse(url).map(|(_, synchronous)| synchronous);
        assert_eq!(
            asked("sqlite://a.db?synchronous=normal"),
            Ok(Synchronous::Normal)
        );
        assert_eq!(asked("sqlite:a.db?synchronous=full"), Ok(Synchronous::Full));
        for url in [
            "sqlite://a.db?synchronous=off",
            "sqlite://a.db?synchronous=NORMAL",
            "sqlite://a.db?mode=ro",
        ] {
            let error = asked(url).unwrap_err().to_string();
            assert!(error.contains("`?synchronous=normal`"), "{error}");
        }
        // Where no option is read, the file would have this name.
        let error = asked("a.db?synchronous=normal").unwrap_err().to_string();
        let remedy = "`sqlite://a.db?synchronous=normal`";
        assert!(error.contains(remedy), "{error}");
        let twice = "sqlite://a.db?synchronous=normal&synchronous=full";
        let error = asked(twice).unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
    }

    #[test]
    fn what_is_hardly_meant_to_be_a_file_is_refused_with_what_would_be_one() {
        let urls = [
            "sqlite::memory",
            "sqlite:memory:",
            "sqlite://memory",
            "sqlite::MEMORY:",
            "Sqlite::memory:",
            "memory",
            ":memory",
            "sqlite",
            "Postgres",
        ];
        for url in urls {
            let error = Location::parse(url).unwrap_err();
            assert!(matches!(error, LocationError::Misspelt { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("`sqlite::memory:`"), "{text}");
        }
        for file in ["./memory", "memory.db", "sqlite://./sqlite", "in/memory"] {
            assert!(Location::parse(file).is_ok(), "{file}");
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
            Location::parse("sqlite://?synchronous=normal"),
            Err(LocationError::Empty { .. })
        ));
        assert!(matches!(
            Location::parse("sqlite://a%20b"),
            Err(LocationError::Escape { sign: '%', .. })
        ));
    }
}
