//! Where a database lives and how to talk to it, from the address that the user wrote.

mod defaults;
mod hosts;
mod line;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::store::address::shown;
use crate::store::caller::Caller;
use line::Line;

/// How to open a database on a server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// What libpq is given: the user's address without the parameters that are ours.
    pub url: String,
    /// The schema that holds our tables; created when it is missing and `migrate` is on.
    pub schema: String,
    /// Bring the schema up to date; otherwise an older one is refused, and no right to create is needed.
    pub migrate: bool,
    /// The most connections that read at the same time.
    pub readers: u32,
    /// Connections that commit batches at the same time.
    pub writers: u32,
    /// Call out to other processes with `NOTIFY`, and listen.
    pub notify: bool,
    /// The way leads through a pooler in transaction mode: nothing may be kept in a session.
    pub pooler: bool,
    /// The workers' lease: no statement of ours that writes may last half as long.
    pub lease: Duration,
    /// How long a server is waited for that is not up yet.
    pub open_timeout: Duration,
    /// Whether the address says where the server is, beside what only the environment says.
    pub names_a_server: bool,
    /// Whose sessions these are, for the server's operator.
    pub name: String,
    /// Whether this process executes runs, which takes more sessions.
    pub executes: bool,
    /// Who waits for the database to be opened.
    pub caller: Caller,
}

/// Why a text names no PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is a URL of something else.
    #[error("`{url}` is not a PostgreSQL URL: write `postgres://user@host/database`")]
    OtherScheme { url: String },
    /// A sign that has a meaning in a URL stands for itself. What libpq makes of it would show a
    /// part of the password.
    #[error(
        "`{url}` cannot be read: in a user's name and password write `/`, `@`, `:`, `?`, `#` and `%` \
         as `%2F`, `%40`, `%3A`, `%3F`, `%23` and `%25`, and a port as a number"
    )]
    Unescaped { url: String },
    /// It is not made of `keyword=value`.
    #[error(
        "`{address}` cannot be read: write `keyword=value`, a blank between each two, and a value \
         with blanks or quotes in it as `'it\\'s one'`"
    )]
    Keywords { address: String },
    /// One of our parameters has a value that means nothing.
    #[error("`{parameter}={value}` in the database URL: write {remedy}")]
    Parameter {
        parameter: &'static str,
        value: String,
        remedy: &'static str,
    },
}

/// The schema where the URL names none: ours alone, so that a dump of the application's is one of
/// the application's.
const SCHEMA: &str = "chrono_forge";

/// How many of them may be asked for.
const WRITERS: RangeInclusive<u32> = 1..=16;
const READERS: RangeInclusive<u32> = 1..=1000;

/// Whose sessions those of a process are that has no name.
const NAME: &str = "chrono-forge";

/// Writers of the engine beside those that commit batches: one for claims and operators, one for heartbeats.
const WRITERS_BESIDE: u32 = 2;

/// Writers where nothing is executed.
const WRITERS_IDLE: u32 = 2;

/// Parameters of an address that are ours.
const OURS: [&str; 5] = ["schema", "notify", "pooler", "writers", "readers"];

/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;

impl PostgresOptions {
    /// The addresses to try, one after the other: all of its hosts in one, and each of them alone.
    /// A session tells the server whose it is and what it is for, unless somebody has named it.
    #[must_use]
    pub fn addresses(&self, purpose: &str) -> Vec<String> {
        let Ok(line) = Line::parse(&self.url) else {
            return vec![self.url.clone()];
        };
        let name = format!("{} {purpose}", self.name);
        let named = |mut line: Line| {
            line.name(&name);
            line.to_string()
        };
        let each = line.each_host();
        std::iter::once(line).chain(each).map(named).collect()
    }

    /// The most sessions that this process has open at the same time.
    pub(super) fn sessions(&self) -> u32 {
        let ear = u32::from(self.notify);
        self.connections(self.executes).saturating_add(ear)
    }

    /// The most connections that a process has open at the same time, leaving aside the one that listens.
    #[must_use]
    pub fn connections(&self, executes: bool) -> u32 {
        let writers = match executes {
            true => self.writers.saturating_add(WRITERS_BESIDE),
            false => WRITERS_IDLE,
        };
        writers.saturating_add(self.readers)
    }

    /// How many more it opens while somebody keeps a row locked: one for calls that wait for it,
    /// and where runs are executed one for what is set aside.
    pub(super) fn connections_for_locks(&self) -> u32 {
        1 + u32::from(self.executes)
    }

    /// Reads `postgres://[user[:password]@]host[:port][,..]/database[?parameters]`, or libpq's
    /// other spelling, `host=.. dbname=.. ..`. The parameters `schema`, `notify=off`,
    /// `pooler=transaction`, `writers` and `readers` are ours, all others are libpq's (`sslmode`,
    /// `sslrootcert`, `target_session_attrs`, ..).
    pub fn parse(address: &str) -> Result<Self, UrlError> {
        let line = Line::parse(address)?;
        let mut options = Self {
            url: String::new(),
            schema: SCHEMA.to_owned(),
            migrate: true,
            readers: 4,
            writers: 2,
            notify: true,
            pooler: false,
            lease: Duration::from_secs(10),
            open_timeout: Duration::ZERO,
            names_a_server: line.names_a_server(),
            name: NAME.to_owned(),
            executes: true,
            caller: Caller::default(),
        };
        let mut left = line.without_parameters();
        for (name, value) in line.parameters() {
            if !options.take(name, value)? {
                left.push(name, value);
            }
        }
        for name in OURS {
            let mut given = line.parameters().iter().filter(|(given, _)| given == name);
            if let (Some(_), Some((_, value))) = (given.next(), given.next()) {
                return Err(wrong(name, value, "it once, since it is there twice"));
            }
        }
        // A pooler in transaction mode forgets who listens.
        options.notify &= !options.pooler;
        defaults::add(&mut left, &|name| std::env::var(name).ok());
        options.url = left.to_string();
        Ok(options)
    }

    /// Takes a parameter if it is ours.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, UrlError> {
        match name {
            "schema" => self.schema = schema_name(value)?,
            "notify" => {
                self.notify = switch(value).ok_or_else(|| {
                    wrong("notify", value, "`notify=off` to poll only, or `notify=on`")
                })?;
            }
            "pooler" => {
                self.pooler = match value {
                    "transaction" => true,
                    "none" | "session" => false,
                    _ => {
                        return Err(wrong(
                            "pooler",
                            value,
                            "`pooler=transaction`, `pooler=session` or `pooler=none`",
                        ));
                    }
                };
            }
            "writers" => {
                let writers = number(value, WRITERS);
                self.writers =
                    writers.ok_or_else(|| wrong("writers", value, "a number from 1 to 16"))?;
            }
            "readers" => {
                let readers = number(value, READERS);
                self.readers =
                    readers.ok_or_else(|| wrong("readers", value, "a number from 1 to 1000"))?;
            }
            "currentSchema" | "search_path" => {
                return Err(wrong(
                    "search_path",
                    value,
                    "`schema=` and the schema of our tables",
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// As many writers as may be asked for.
#[must_use]
pub fn writers(wanted: u32) -> u32 {
    wanted.clamp(*WRITERS.start(), *WRITERS.end())
}

fn number(value: &str, range: RangeInclusive<u32>) -> Option<u32> {
    value.parse().ok().filter(|number| range.contains(number))
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

/// A name that needs no quotes, so that it means the same wherever it is written.
fn schema_name(value: &str) -> Result<String, UrlError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = value
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let is_reserved = value.starts_with("pg_") || value == "information_schema";
    if !begins_well || !value.chars().all(is_plain) || value.len() > NAME_BYTES_MAX || is_reserved {
        let remedy = "1 to 63 of a-z, 0-9 and _, not beginning with a digit or `pg_`";
        return Err(wrong("schema", value, remedy));
    }
    Ok(value.to_owned())
}

fn wrong(parameter: &'static str, value: &str, remedy: &'static str) -> UrlError {
    let value = value.to_owned();
    UrlError::Parameter {
        parameter,
        value,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_mean_the_same_in_any_order_and_are_there_once() {
        for address in [
            "postgres://db/app?notify=on&pooler=transaction",
            "postgres://db/app?pooler=transaction&notify=on",
        ] {
            let options = PostgresOptions::parse(address).unwrap();
            assert!(options.pooler && !options.notify, "{address}");
        }
        for name in OURS {
            let value = match name {
                "notify" => "on",
                "pooler" => "none",
                "schema" => "a",
                _ => "1",
            };
            let twice = format!("postgres://db/app?{name}={value}&{name}={value}");
            let error = PostgresOptions::parse(&twice).unwrap_err().to_string();
            assert!(error.contains("twice") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn our_parameters_are_taken_and_the_rest_is_libpqs() {
        let url = "postgres://me@db/app?sslmode=verify-full&schema=forge&writers=3&readers=2&connect_timeout=9";
        let options = PostgresOptions::parse(url).unwrap();
        assert_eq!((options.writers, options.readers), (3, 2));
        assert_eq!(options.schema, "forge");
        assert!(options.notify && !options.pooler);
        assert!(
            options
                .url
                .starts_with("postgres://me@db/app?sslmode=verify-full&connect_timeout=9&")
        );
        assert!(!options.url.contains("schema") && !options.url.contains("connect_timeout=5"));
    }

    #[test]
    fn a_pooler_in_transaction_mode_carries_no_calls() {
        let url = "postgresql://db/app?pooler=transaction";
        let options = PostgresOptions::parse(url).unwrap();
        assert!(options.pooler && !options.notify);
        assert_eq!(options.schema, "chrono_forge");
    }

    #[test]
    fn values_that_mean_nothing_are_told_with_the_remedy() {
        let error = |query: &str| {
            let url = format!("postgres://db/app?{query}");
            PostgresOptions::parse(&url).unwrap_err().to_string()
        };
        assert!(error("schema=My-Schema").contains("a-z, 0-9 and _"));
        assert!(error("schema=").contains("schema="));
        assert!(error("schema=pg_temp").contains("pg_"));
        assert!(error("writers=0").contains("from 1 to 16"));
        assert!(error("notify=perhaps").contains("notify=off"));
        assert!(error("pooler=x").contains("pooler=transaction"));
        assert!(error("readers=0").contains("from 1 to 1000"));
        assert!(error("currentSchema=f").contains("`schema=`"));
        let other = PostgresOptions::parse("mysql://db").unwrap_err();
        assert!(other.to_string().contains("postgres://user@host/database"));
    }
}
