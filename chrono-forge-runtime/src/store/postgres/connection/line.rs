//! One connection to the server: our own, or lent by the application's pool.

use diesel::ConnectionError;
use diesel::connection::{CacheSize, SimpleConnection};
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::lender::Lender;
use super::lent::LentLine;
use super::{Purpose, Setting, Source};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::postgres::{PostgresOptions, fault, servers};

/// See the module. It closes, or goes back to its pool, when it is dropped.
pub(super) enum Line {
    Own(Box<PgConnection>),
    Lent(LentLine),
}

impl Line {
    /// Opens one to the server that the others are with, or to one that they go over to; answers which generation that
    /// is. What leads through a pooler is told its settings in each transaction anew.
    pub(super) fn open(
        source: &Source,
        settings: &[Setting],
        purpose: Purpose,
    ) -> StoreResult<(Self, u64)> {
        if let Some(lender) = source
            .lender
            .as_ref()
            .filter(|_| purpose != Purpose::Listen)
        {
            return Self::lend(source, lender, settings);
        }
        let addresses = source.options.addresses(purpose.name());
        let mut addresses = addresses.iter();
        let mut open = |url: &String| Self::admitted(source, settings, purpose, url);
        let refusal = match addresses.next().map(&mut open) {
            Some(Err(refusal)) if refusal.kind != StoreErrorKind::Refused => refusal,
            Some(done) => return done,
            None => StoreError::new("open", StoreErrorKind::Refused, "no address"),
        };
        // The host that stands first may be the one that was left, or close the door on whoever
        // comes, where libpq tries no other.
        addresses.map(open).find_map(Result::ok).ok_or(refusal)
    }

    fn admitted(
        source: &Source,
        settings: &[Setting],
        purpose: Purpose,
        url: &str,
    ) -> StoreResult<(Self, u64)> {
        let mut line = Self::establish(source, settings, url)?;
        let found = servers::ask(line.conn())?;
        let generation = match source.lender.is_some() && purpose == Purpose::Listen {
            true => source.servers.admit_beside_lent(found)?,
            false => source.servers.admit(found)?,
        };
        Ok((line, generation))
    }

    fn lend(source: &Source, lender: &Lender, settings: &[Setting]) -> StoreResult<(Self, u64)> {
        let mut lent = LentLine::borrow(source, lender, settings)?;
        let found = servers::ask(&mut lent);
        match found.and_then(|found| source.servers.admit(found)) {
            Ok(generation) => Ok((Self::Lent(lent), generation)),
            Err(refusal) => {
                lent.end();
                Err(refusal)
            }
        }
    }

    fn establish(source: &Source, settings: &[Setting], url: &str) -> StoreResult<Self> {
        let options = &source.options;
        let mut conn = PgConnection::establish(url).map_err(|error| refused(options, &error))?;
        if options.pooler {
            // A statement that is prepared in one session is not there in the next.
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        } else {
            let settings: String = settings
                .iter()
                .map(|(name, value)| format!("SET {name} TO {value};"))
                .collect();
            conn.batch_execute(&settings)
                .map_err(|error| fault::statement("open", &error))?;
        }
        Ok(Self::Own(Box::new(conn)))
    }

    /// Gives it up without a word to a server that may not answer.
    pub(super) fn leave(self) {
        if let Self::Lent(lent) = self {
            lent.leave();
        }
    }

    /// Gives it up with whatever was begun on it.
    pub(super) fn end(self) {
        if let Self::Lent(mut lent) = self {
            lent.end();
        }
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(conn) => conn,
            Self::Lent(conn) => conn,
        }
    }
}

/// A server without room may have some soon, or never: who is told can count.
fn refused(options: &PostgresOptions, error: &ConnectionError) -> StoreError {
    let mut told = fault::connection("open", error);
    if fault::is_crowded(error) {
        let (working, idle) = (options.connections(true), options.connections(false));
        let listening = if options.notify {
            ", and one that listens"
        } else {
            ""
        };
        told.message += &format!(
            ": an engine keeps up to {working} connections ({idle} with `.worker(false)`){listening}: raise \
             `max_connections` of the server or the limit of the role or the database, end what nobody needs, or \
             ask for fewer (`.readers(..)`, `.writers(..)`)"
        );
    }
    told
}
