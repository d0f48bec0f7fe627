//! The two spellings of an address that libpq reads, taken apart and put together again.

use std::fmt;

use super::{UrlError, shown};
use crate::store::address::is_of_keywords;

/// An address with its parameters. A URL's are as they were written, with their escapes; values of
/// keywords are plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `postgres://user@host/database`, before the parameters.
    Url(String, Vec<(String, String)>),
    /// `host=.. dbname=..`
    Keywords(Vec<(String, String)>),
}

impl Line {
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if is_of_keywords(text) {
            let unread = || UrlError::Keywords {
                address: shown(text),
            };
            return keywords(text).map(Self::Keywords).ok_or_else(unread);
        }
        let is_url = ["postgres://", "postgresql://"];
        if !is_url.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(UrlError::OtherScheme { url: shown(text) });
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        if !is_escaped(address) {
            return Err(UrlError::Unescaped { url: shown(text) });
        }
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.to_owned(), value.to_owned())
        });
        Ok(Self::Url(address.to_owned(), parameters.collect()))
    }

    pub(super) fn parameters(&self) -> &[(String, String)] {
        match self {
            Self::Url(_, parameters) | Self::Keywords(parameters) => parameters,
        }
    }

    /// The address alone.
    pub(super) fn without_parameters(&self) -> Self {
        match self {
            Self::Url(address, _) => Self::Url(address.clone(), Vec::new()),
            Self::Keywords(_) => Self::Keywords(Vec::new()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters().iter().any(|(given, _)| given == name)
    }

    pub(super) fn push(&mut self, name: &str, value: &str) {
        match self {
            Self::Url(_, parameters) | Self::Keywords(parameters) => {
                parameters.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

impl Line {
    /// Whether it says where the server is.
    pub(super) fn names_a_server(&self) -> bool {
        let of_url = match self {
            Self::Url(address, _) => {
                let rest = address.split_once("://").map_or("", |(_, rest)| rest);
                !rest.trim_start_matches('/').is_empty()
            }
            Self::Keywords(_) => false,
        };
        let names = ["host", "hostaddr", "service", "dbname"];
        of_url || names.iter().any(|name| self.has(name))
    }

    /// Tells the server this name, unless the address, the environment or a service has another.
    pub(super) fn name(&mut self, name: &str) {
        let escaped: String = match self {
            Self::Url(..) => name.bytes().map(escaped).collect(),
            Self::Keywords(_) => name.to_owned(),
        };
        self.push("fallback_application_name", &escaped);
    }
}

/// A byte of a value, as a URL has it.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    }
}

/// As libpq reads it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(address, parameters) => {
                f.write_str(address)?;
                for (nth, (name, value)) in parameters.iter().enumerate() {
                    let separator = if nth == 0 { '?' } else { '&' };
                    write!(f, "{separator}{name}={value}")?;
                }
            }
            Self::Keywords(parameters) => {
                for (nth, (name, value)) in parameters.iter().enumerate() {
                    let separator = if nth == 0 { "" } else { " " };
                    let value = value.replace('\\', r"\\").replace('\'', r"\'");
                    write!(f, "{separator}{name}='{value}'")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether libpq finds user, hosts and ports where they were meant to be.
fn is_escaped(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let is_host = |host: &str| {
        // A colon in an address of version 6 is in brackets.
        let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
        after.rsplit_once(':').is_none_or(|(_, port)| is_port(port))
    };
    let mut escapes = user.split('%').skip(1);
    let is_escape = |after: &str| {
        let code = after.get(..2).unwrap_or_default();
        code.len() == 2 && code.bytes().all(|b| b.is_ascii_hexdigit())
    };
    !user.contains('@')
        && user.matches(':').count() <= 1
        && escapes.all(is_escape)
        && hosts.split(',').all(is_host)
        && !path.contains('@')
}

/// The pairs of `keyword=value`; `None` where libpq could not read them.
fn keywords(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        pairs.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Some(pairs)
}

/// The value that this begins with, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let is_quoted = text.starts_with('\'');
    let text = text.strip_prefix('\'').unwrap_or(text);
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => value.push(signs.next()?.1),
            '\'' if is_quoted => return Some((value, &text[at + 1..])),
            sign if !is_quoted && sign.is_whitespace() => return Some((value, &text[at..])),
            sign => value.push(sign),
        }
    }
    (!is_quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        keywords(text).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn keywords_are_read_as_libpq_reads_them_and_written_so_that_it_reads_the_same() {
        let text = r"host = 127.0.0.1 password='it\'s \\ a b' user=a\ b dbname=''";
        let expected = [
            pair("host", "127.0.0.1"),
            pair("password", r"it's \ a b"),
            pair("user", "a b"),
            pair("dbname", ""),
        ];
        assert_eq!(pairs(text), expected);
        let written = Line::Keywords(pairs(text)).to_string();
        assert_eq!(pairs(&written), expected);
        for unread in [
            "host",
            "host=a dbname",
            "password='open",
            "=x",
            "host=a b c=d",
        ] {
            assert_eq!(keywords(unread), None, "{unread}");
        }
    }

    #[test]
    fn a_password_that_is_not_escaped_is_refused_before_libpq_tells_a_part_of_it() {
        for secret in [
            "s3/cret", "s3@cret", "s3:cret", "s3?cret", "s3%cret", "s3cret%4",
        ] {
            let url = format!("postgres://me:{secret}@db/app");
            let error = Line::parse(&url).unwrap_err();
            assert!(matches!(error, UrlError::Unescaped { .. }), "{error}");
            let error = error.to_string();
            assert!(!error.contains("s3") && error.contains("%2F"), "{error}");
        }
        for url in [
            "postgres://me:p%40ss%2F@db/app",
            "postgres://me@[::1]:5432,b:5433,[fe80::1]/app",
            "postgres://%2Fvar%2Frun/app",
            "postgres://",
            "postgresql:///app?host=/var/run&user=a@b",
        ] {
            assert_eq!(Line::parse(url).unwrap().to_string(), url);
        }
    }
}
