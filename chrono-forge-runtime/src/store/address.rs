//! What a database is named by: the kind that a text means, and how the text is told to others,
//! which is without its password.

use std::borrow::Cow;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// Why a text names no database. Taken for a file, each of these would make one, and runs would go
/// where nobody looks for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// It is a URL of something else, or of a database under another name.
    #[error("`{shown}` is not a database URL: `{scheme}://` is not known, write `{nearest}`")]
    Scheme {
        shown: String,
        scheme: String,
        nearest: &'static str,
    },
    /// It reads like an address on a network.
    #[error(
        "`{shown}` reads like a server's address, and would be a file of this name: write \
         `postgres://user@host/database`, or begin with `./` if it is a file"
    )]
    Unclear { shown: String },
}

const POSTGRES: &str = "postgres://user@host/database";
const SQLITE: &str = "sqlite://path/to/file.db";
const EITHER: &str = "postgres://user@host/database` or `sqlite://path/to/file.db";

/// Words of libpq's that no path has in it.
const KEYWORDS: [&str; 7] = [
    "host", "hostaddr", "port", "dbname", "user", "password", "service",
];

/// The kind of database that this text means, and the text as that kind reads it: without the white
/// space around it, such as the newline of a file that a secret was read from.
pub(super) fn read(text: &str) -> Result<(Kind, Cow<'_, str>), AddressError> {
    let text = text.trim();
    let begins = |kind: &str| {
        let begin = text.get(..kind.len()).unwrap_or_default();
        begin.eq_ignore_ascii_case(kind)
    };
    if let Some((scheme, rest)) = of_scheme(text) {
        return match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => Ok((Kind::Sqlite, text.into())),
            // libpq takes it in lower case only.
            "postgres" | "postgresql" => Ok((Kind::Postgres, format!("postgres://{rest}").into())),
            other => Err(AddressError::Scheme {
                shown: shown(text),
                scheme: scheme.to_owned(),
                nearest: nearest(other),
            }),
        };
    }
    if is_of_keywords(text) {
        return Ok((Kind::Postgres, text.into()));
    }
    let lacks_slashes = ["postgres:", "postgresql:"].into_iter().any(begins);
    if !begins("sqlite:") && (lacks_slashes || is_unclear(text)) {
        return Err(AddressError::Unclear { shown: shown(text) });
    }
    Ok((Kind::Sqlite, text.into()))
}

/// What is before `://` if that is a scheme, and what is behind it.
fn of_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let name = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    (!name.is_empty() && name.chars().all(is_of_name)).then_some((scheme, rest))
}

/// The right spelling that this scheme was meant to be.
fn nearest(scheme: &str) -> &'static str {
    let scheme = scheme.to_ascii_lowercase();
    if ["pg", "postg", "psql"]
        .iter()
        .any(|part| scheme.contains(part))
    {
        return POSTGRES;
    }
    match scheme.contains("sqlite") || scheme == "file" {
        true => SQLITE,
        false => EITHER,
    }
}

/// Whether this is libpq's other spelling, as in `host=db dbname=app`.
pub(crate) fn is_of_keywords(text: &str) -> bool {
    let mut pieces = text.split('=');
    // Behind the last `=` is a value.
    pieces.next_back();
    let is_named = |piece: &str| {
        let name = piece.split_whitespace().next_back();
        name.is_some_and(|name| KEYWORDS.contains(&name))
    };
    of_scheme(text).is_none() && pieces.any(is_named)
}

/// Whether a text without a scheme is no path either, unless somebody insists:
/// `postgres//me@db/app` (a colon short), `me@db/app` or `db.internal:5432/app`.
fn is_unclear(text: &str) -> bool {
    let begins = text.get(..8).unwrap_or_default();
    let is_postgres = begins.eq_ignore_ascii_case("postgres");
    let Some((first, _)) = text.split_once('/') else {
        return is_postgres && text.contains('@');
    };
    let has_port = first.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    });
    // A drive has one letter.
    let has_user = first.find(':').is_some_and(|at| at > 1) && text.contains('@');
    first.contains('@')
        || has_port
        || has_user
        || is_postgres && (text.contains("//") || text.contains('@'))
}

/// The text without passwords, for errors and for the log.
pub(crate) fn shown(text: &str) -> String {
    let begin = of_scheme(text).map_or(0, |(_, rest)| text.len() - rest.len());
    // Whatever is before the last `@`: in a password that is not escaped, there may be others.
    let user_end = text.rfind('@').filter(|end| *end >= begin);
    let mut shown = text[..begin].to_owned();
    let mut rest = &text[begin..];
    if let Some(end) = user_end {
        let (user, after) = text.split_at(end);
        let user = &user[begin..];
        rest = after;
        match user.split_once(':') {
            Some((name, _)) => shown.extend([name, ":***"]),
            None => shown.push_str(user),
        }
    }
    shown.push_str(rest);
    // Also of what is before an `@`, which a secret may have in it.
    without_parameters(&shown)
}

/// Parameters that are secrets, and `sslpassword`.
const SECRETS: [&str; 4] = [
    "password",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
];

/// The same for `password=..`, of a URL and of libpq's keywords.
fn without_parameters(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let secret = |text: &str| {
        let found = SECRETS
            .iter()
            .filter_map(|name| Some((text.find(name)?, name)));
        found.min().map(|(at, name)| at + name.len())
    };
    while let Some(end) = secret(rest) {
        let (before, after) = rest.split_at(end);
        shown.push_str(before);
        // libpq allows blanks on both sides.
        rest = match after.trim_start().strip_prefix('=') {
            Some(value) => {
                shown.push_str("=***");
                let value = value.trim_start();
                &value[value_bytes(value)..]
            }
            None => after,
        };
        // A secret that has a blank in it, and no quotes: who knows where it ends.
        if after.trim_start().starts_with('=') && !goes_on(rest) {
            return shown;
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether another parameter follows, or nothing.
fn goes_on(rest: &str) -> bool {
    let next = rest.trim_start();
    let name_end = next.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_named = name_end.is_some_and(|end| end > 0 && next[end..].trim_start().starts_with('='));
    next.is_empty() || rest.starts_with('&') || next.len() < rest.len() && is_named
}

/// How long the value is that this begins with.
fn value_bytes(text: &str) -> usize {
    let is_quoted = text.starts_with('\'');
    let mut is_escaped = false;
    for (at, sign) in text.char_indices() {
        let is_plain = is_escaped;
        is_escaped = sign == '\\' && !is_plain;
        match sign {
            _ if is_plain => {}
            '\'' if is_quoted && at > 0 => return at + 1,
            '&' if !is_quoted => return at,
            sign if !is_quoted && sign.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        read(text).unwrap().0
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn every_spelling_of_a_server_is_one_and_paths_are_paths() {
        for server in [
            "postgres://me@db/app",
            "postgresql://db",
            "POSTGRES://me@db/app",
            "PostgreSQL:///app?host=/var/run",
            "host=127.0.0.1 port=5432 dbname=app user=app password=s3cret",
            "dbname=app",
            "dbname = app",
            "sslmode=require service=forge",
        ] {
            assert_eq!(kind(server), Kind::Postgres, "{server}");
        }
        for file in [
            "b.db",
            "/var/a@b/c.db",
            "./me@db/app",
            "./host=x",
            "data/me@home.db",
            "me@home.db",
            "postgres.db",
            "postgres/data.db",
            r"C:\data\b.db",
            "C:/me@home/b.db",
            "sqlite://a=b/c.db",
            "a b.db",
        ] {
            assert_eq!(kind(file), Kind::Sqlite, "{file}");
        }
    }

    #[test]
    fn white_space_around_an_address_is_none_of_its_parts() {
        let (_, text) = read(" Postgres://me@db/app\n").unwrap();
        assert_eq!(text, "postgres://me@db/app");
        assert_eq!(read("b.db\r\n").unwrap(), (Kind::Sqlite, "b.db".into()));
    }

    #[test]
    fn what_reads_like_a_server_and_is_none_is_refused_with_the_right_spelling() {
        for text in [
            "pgsql://app:s3cret@db/app",
            "postgress://app:s3cret@db/app",
            "postgres//app:s3cret@db/app",
            "postgres:/app:s3cret@db/app",
            "postgres:app:s3cret@db/app",
            "postgres/app:s3cret@db",
            "app:s3cret@db/app",
            "app:s3cret://@db/app",
            "db.internal:5432/app",
            "jdbc:postgresql://db/app?password=s3cret",
            "jdbc:postgresql://db/app?user=me&password=s3cret&ssl=true",
        ] {
            let told = error(text);
            assert!(told.contains("`postgres://user@host/database`"), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
        assert!(error("sqlite3://a.db").contains("write `sqlite://"));
        assert!(error("mysql://db").contains("` or `sqlite://"));
    }

    #[test]
    fn no_password_is_shown() {
        for (text, expected) in [
            ("postgres://me@db/app", "postgres://me@db/app"),
            ("postgres://me:s3cret@db/app", "postgres://me:***@db/app"),
            ("postgres://me:a/b?c@d@db/app", "postgres://me:***@db/app"),
            (
                "postgres://db/app?password=x%20y&sslpassword=z&schema=s",
                "postgres://db/app?password=***&sslpassword=***&schema=s",
            ),
            (
                r"host=db password='it\'s a b' dbname=app",
                "host=db password=*** dbname=app",
            ),
            (r"password=a\ b host=db", "password=*** host=db"),
            ("password='open", "password=***"),
            (
                "host=db password=p@s3cret dbname=app",
                "host=db password=*** dbname=app",
            ),
            (
                "host=db password=a:s3@cret dbname=app",
                "host=db password=*** dbname=app",
            ),
            (
                "postgres://db/app?password=p@s3cret&schema=s",
                "postgres://db/app?password=***&schema=s",
            ),
            // Not quoted, or badly: who knows where it ends.
            (
                "host=db password=s3 cret dbname=app",
                "host=db password=***",
            ),
            ("password='it's s3cret' host=db", "password=***"),
            ("password='it' s3cret' host=db", "password=***"),
            (
                "host=db oauth_client_secret=s3cret user=me",
                "host=db oauth_client_secret=*** user=me",
            ),
            ("password = s3 host=password", "password=*** host=password"),
            ("pässword@ü", "pässword@ü"),
            (
                "sqlite://a.db?synchronous=normal",
                "sqlite://a.db?synchronous=normal",
            ),
            ("sqlite::memory:", "sqlite::memory:"),
            (
                "postgres://app:s3@db:5432/app",
                "postgres://app:***@db:5432/app",
            ),
            (
                "postgresql://app@db/app?schema=f",
                "postgresql://app@db/app?schema=f",
            ),
            (
                "postgres://db/app?user=a&password=s3&schema=f",
                "postgres://db/app?user=a&password=***&schema=f",
            ),
            (
                "postgres://app:s@3/x@db/app?sslmode=require",
                "postgres://app:***@db/app?sslmode=require",
            ),
            ("postgres://app:s?3@db/app", "postgres://app:***@db/app"),
            ("postgres://?schema=forge", "postgres://?schema=forge"),
            ("Postgres://app:s3@db/app", "Postgres://app:***@db/app"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    proptest::proptest! {
        /// No text panics, and a password of letters and signs that is not escaped stays unseen.
        #[test]
        fn no_text_panics(text in ".{0,40}", secret in "[a-z/?@:#]{6,12}") {
            let _ = (read(&text), shown(&text));
            let url = format!("pgsql://me:{secret}@db/app");
            proptest::prop_assert!(!error(&url).contains(&secret), "{}", error(&url));
            for text in [
                format!("host=db password={secret} dbname=app"),
                format!("host=db password=x {secret}y dbname=app"),
                format!("postgres://db/app?sslpassword={secret}&schema=s"),
            ] {
                proptest::prop_assert!(!shown(&text).contains(&secret), "{}", shown(&text));
            }
        }
    }
}
