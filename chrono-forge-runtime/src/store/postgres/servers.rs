//! Which server the sessions of a store are with: one, and never an older one again.
//!
//! A URL may name several hosts, and a name may lead to another server from one minute to the next. After a failover
//! the former primary may still, or again, take writes. Sessions of both would claim from one and commit to the other.
//! So each session asks who the server is as soon as it is open, and all of them keep to one:
//!
//! - another system identifier is another database: such a session is closed;
//! - a later timeline is a standby that was promoted, and a later start on the same timeline is the same data on
//!   another machine: the store goes over, and every session of the old server is closed, also one whose commit is
//!   under way: it is not acknowledged;
//! - an earlier timeline or start is the server that was left: such a session is closed.
//!
//! What a process has in memory when it goes over to another timeline, or to a database that was created anew under
//! the same name, may be ahead of what is there, since the last transactions may be lost: its worker's life is over.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::fault;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// Two clocks may differ: where only an earlier start speaks against a server, and no other answers for so long, it
/// is the one.
const TURNED_AWAY_MAX: Duration = Duration::from_secs(30);

/// Anybody may ask this, unless an administrator has taken the right away. A server that was just promoted writes to
/// its new timeline before its control file says so.
const WHO: &str = "
SELECT (pg_control_system()).system_identifier,
    CASE WHEN pg_is_in_recovery() THEN (pg_control_checkpoint()).timeline_id::bigint
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint,
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
    pg_is_in_recovery(),
    coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'a local socket')";

/// A server, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    system: i64,
    timeline: i64,
    /// When it was started, in milliseconds.
    started: i64,
    database: i64,
    is_replica: bool,
    address: String,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (system {}, timeline {})",
            self.address, self.system, self.timeline
        )
    }
}

/// The server that this connection is with; `None` where it may not be asked.
pub(super) fn ask(conn: &mut PgConnection) -> StoreResult<Option<Server>> {
    type Columns = (BigInt, BigInt, BigInt, BigInt, Bool, Text);
    type Row = (i64, i64, i64, i64, bool, String);
    let rows: QueryResult<Vec<Row>> = Stmt::<Columns>::new(WHO, &[]).load(conn);
    let (system, timeline, started, database, is_replica, address) = match rows {
        Ok(rows) => match rows.into_iter().next() {
            Some(row) => row,
            None => return Ok(None),
        },
        // A server that does not answer now may be one that was left.
        Err(error) if fault::is_passing(&error) => return Err(fault::lost("open", &error)),
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            if !TOLD.swap(true, Ordering::Relaxed) {
                tracing::warn!(target: TARGET, %error, "the server does not say which one it is, so that nobody notices if two stand behind one URL; this role needs EXECUTE on pg_control_system, pg_control_checkpoint and pg_walfile_name");
            }
            return Ok(None);
        }
    };
    Ok(Some(Server {
        system,
        timeline,
        started,
        database,
        is_replica,
        address,
    }))
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Servers {
    state: Mutex<State>,
    /// Grows when the store goes over to another server: sessions of earlier ones are closed.
    generation: AtomicU64,
    /// Grows when memory may be ahead of what the new one knows.
    life: AtomicU64,
    /// In which of them, counted from 1, this process's worker was registered last.
    registered: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Server>,
    /// Those that were told of.
    told: HashSet<(String, i64)>,
    /// Since when one is turned away that may be the same data elsewhere, by a clock that is behind.
    turned_away: Option<Instant>,
    /// Databases that were left for others: each was dropped, or is not the one that is meant.
    left: HashSet<i64>,
}

/// What a server is to the one that the store is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    /// The same data, further on or elsewhere.
    Later,
    /// It may know less than memory does.
    Forked,
    Earlier,
    Stranger,
}

fn relation(current: &Server, found: &Server) -> Relation {
    if found.system != current.system {
        return Relation::Stranger;
    }
    // Who asks for any server reads from replicas; they follow, and decide nothing.
    if found.is_replica {
        return Relation::Same;
    }
    match found.timeline.cmp(&current.timeline) {
        std::cmp::Ordering::Less => return Relation::Earlier,
        std::cmp::Ordering::Greater => return Relation::Forked,
        std::cmp::Ordering::Equal => {}
    }
    if found.database != current.database {
        return Relation::Forked;
    }
    match found.started.cmp(&current.started) {
        // Its clock was set back.
        std::cmp::Ordering::Less if found.address == current.address => Relation::Later,
        std::cmp::Ordering::Less => Relation::Earlier,
        std::cmp::Ordering::Equal => Relation::Same,
        std::cmp::Ordering::Greater => Relation::Later,
    }
}

impl Servers {
    /// Grows with each server that the store goes over to.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Grows when memory may be ahead of what is there.
    pub(super) fn life(&self) -> u64 {
        self.life.load(Ordering::Acquire)
    }

    /// A worker was registered in this life.
    pub(super) fn registered(&self, life: u64) {
        self.registered.store(life + 1, Ordering::Release);
    }

    /// Whether what this process's worker holds may be ahead of what is there.
    pub(super) fn is_worker_over(&self) -> bool {
        let registered = self.registered.load(Ordering::Acquire);
        registered != 0 && registered != self.life() + 1
    }

    /// Whether a session with this server may be used; the generation that it belongs to.
    pub(super) fn admit(&self, found: Option<Server>) -> StoreResult<u64> {
        let Some(found) = found else {
            return Ok(self.generation());
        };
        let mut state = self.state();
        let Some(current) = state.current.clone() else {
            if !found.is_replica {
                state.current = Some(found);
            }
            return Ok(self.generation());
        };
        let mut relation = relation(&current, &found);
        if relation == Relation::Earlier && found.timeline == current.timeline {
            let since = *state.turned_away.get_or_insert_with(Instant::now);
            if since.elapsed() >= TURNED_AWAY_MAX {
                relation = Relation::Forked;
            }
        } else if relation != Relation::Stranger {
            state.turned_away = None;
        }
        if relation == Relation::Forked && state.left.contains(&found.database) {
            relation = Relation::Earlier;
        }
        match relation {
            Relation::Same => {}
            Relation::Later | Relation::Forked => {
                if relation == Relation::Forked {
                    tracing::warn!(target: TARGET, from = %current, to = %found, "the sessions go over to another server; what this worker holds is dropped, since transactions may have been lost, and steps that were under way run again; what was recorded there does not");
                    self.life.fetch_add(1, Ordering::AcqRel);
                } else {
                    tracing::info!(target: TARGET, from = %current, to = %found, "the server was started anew, here or elsewhere");
                }
                self.generation.fetch_add(1, Ordering::AcqRel);
                if found.database != current.database {
                    state.left.insert(current.database);
                }
                state.current = Some(found);
            }
            Relation::Earlier | Relation::Stranger => {
                let why = match relation {
                    Relation::Stranger => "it is another database system",
                    _ => "it was left behind when this process went over",
                };
                let message = format!(
                    "a session with {found} was closed, since this process is with {current}: {why}; take it out of \
                     the database URL, or stop it. To have this process serve it, restart this process"
                );
                if state.told.insert((found.address, found.timeline)) {
                    tracing::error!(target: TARGET, "{message}");
                }
                return Err(StoreError::new("open", StoreErrorKind::Transient, message));
            }
        }
        Ok(self.generation())
    }

    /// As [`admit`](Self::admit), of a session beside those that are lent: where they lead is for
    /// the pool to say.
    pub(super) fn admit_beside_lent(&self, found: Option<Server>) -> StoreResult<u64> {
        let state = self.state();
        if let (Some(found), Some(current)) = (&found, &state.current)
            && (found.system, found.timeline) == (current.system, current.timeline)
            && found.database != current.database
        {
            let message = format!(
                "the URL leads to another database of {current} than the pool's connections: name the \
                 same one in both, since calls of other processes are heard where the runs are"
            );
            return Err(StoreError::new("listen", StoreErrorKind::Refused, message));
        }
        drop(state);
        self.admit(found)
    }

    /// As where another session has gone over to a server.
    #[cfg(test)]
    pub(super) fn leave(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(timeline: i64, started: i64) -> Server {
        Server {
            system: 7,
            timeline,
            started,
            database: 5,
            is_replica: false,
            address: format!("{timeline}.{started}"),
        }
    }

    #[test]
    fn a_store_goes_over_to_later_servers_and_never_back() {
        let servers = Servers::default();
        let seen = |servers: &Servers| (servers.generation(), servers.life());
        assert_eq!(servers.admit(Some(server(1, 10))).ok(), Some(0));
        assert_eq!(servers.admit(Some(server(1, 10))).ok(), Some(0));
        // Started anew: the same data, other sessions.
        assert_eq!(servers.admit(Some(server(1, 20))).ok(), Some(1));
        assert_eq!(seen(&servers), (1, 0));
        // Promoted, though it was started long ago.
        assert_eq!(servers.admit(Some(server(2, 5))).ok(), Some(2));
        assert_eq!(seen(&servers), (2, 1));
        for left in [server(1, 20), server(1, 99), server(2, 4)] {
            let error = servers.admit(Some(left)).unwrap_err();
            assert!(error.is_transient(), "{error}");
            assert!(error.message.contains("2.5"), "{error}");
        }
        let stranger = Server {
            system: 8,
            ..server(9, 99)
        };
        assert!(servers.admit(Some(stranger)).is_err());
        let replica = Server {
            is_replica: true,
            ..server(1, 1)
        };
        assert_eq!(servers.admit(Some(replica)).ok(), Some(2));
        let anew = Server {
            database: 6,
            ..server(2, 5)
        };
        assert_eq!(servers.admit(Some(anew.clone())).ok(), Some(3));
        assert_eq!(seen(&servers), (3, 2));
        // The database that was there before is none to go back to, on any timeline.
        assert!(servers.admit(Some(server(2, 5))).is_err());
        assert!(servers.admit(Some(server(3, 5))).is_err());
        assert_eq!(servers.admit(Some(anew)).ok(), Some(3));
        // One that does not say is believed.
        assert_eq!(servers.admit(None).ok(), Some(3));
    }

    #[test]
    fn where_connections_are_lent_the_pool_says_which_database_it_is() {
        let servers = Servers::default();
        assert_eq!(servers.admit(Some(server(1, 10))).ok(), Some(0));
        let other = || Server {
            database: 6,
            ..server(1, 10)
        };
        let error = servers.admit_beside_lent(Some(other())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        assert_eq!((servers.generation(), servers.life()), (0, 0));
        // It was made anew, and those that are lent have gone over.
        assert_eq!(servers.admit(Some(other())).ok(), Some(1));
        assert_eq!(servers.admit_beside_lent(Some(other())).ok(), Some(1));
        // A standby was promoted.
        let promoted = Server {
            timeline: 2,
            ..other()
        };
        assert_eq!(servers.admit_beside_lent(Some(promoted)).ok(), Some(2));
    }
}
