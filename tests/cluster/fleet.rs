//! Worker processes on a server of their own, with a look at its rows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono_forge::Forge;
use chrono_forge_tests::labour::{Line, lines};
use chrono_forge_tests::process::Victim;
use chrono_forge_tests::server::Server;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// Whatever takes longer than this hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(600);

/// A figure of the environment.
pub(crate) fn figure(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("CHRONO_FORGE_CLUSTER_{name}"));
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// The same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A server, and the folder in which the processes leave their effects.
pub(crate) struct Fleet {
    pub(crate) server: Server,
    pub(crate) lease: Duration,
    folder: tempfile::TempDir,
}

impl Fleet {
    /// A server for this test, or `None` with the reason told.
    pub(crate) fn start(test: &str) -> Option<Self> {
        match Server::start() {
            Ok(server) => Some(Self {
                server,
                lease: Duration::from_millis(figure("LEASE_MS", 2_000)),
                folder: tempfile::tempdir().unwrap(),
            }),
            Err(reason) => {
                eprintln!("skipped: {test}: {reason}");
                None
            }
        }
    }

    /// The side file, as workflows take it.
    pub(crate) fn out(&self) -> String {
        self.effects().display().to_string()
    }

    fn effects(&self) -> PathBuf {
        self.folder.path().join("effects")
    }

    /// Effects so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        lines(&self.effects())
    }

    /// Starts a worker process and waits until it is open.
    pub(crate) fn worker(&self) -> Victim {
        self.worker_at(&self.server.url(""), &[])
    }

    /// A worker whose way to the server is this URL.
    pub(crate) fn worker_at(&self, url: &str, flags: &[&str]) -> Victim {
        let lease = self.lease.as_millis().to_string();
        let heartbeat = (self.lease / 4).as_millis().to_string();
        let own = ["--lease-ms", &lease, "--heartbeat-ms", &heartbeat];
        Victim::start(env!("CARGO_BIN_EXE_victim"), url, &[&own, flags].concat())
    }

    /// A worker that may be killed before it is open.
    pub(crate) fn unwatched(&self) -> Victim {
        Victim::unwatched(env!("CARGO_BIN_EXE_victim"), &self.server.url(""))
    }

    /// An engine in this process that starts and reads, but executes nothing.
    pub(crate) async fn observer(&self) -> Forge {
        Forge::builder(&self.server.url(""))
            .worker(false)
            .poll_interval(Duration::from_millis(100))
            .open()
            .await
            .unwrap()
    }

    /// A connection that only looks; opened anew for each look, since the server comes and goes.
    pub(crate) fn look(&self) -> Option<PgConnection> {
        PgConnection::establish(&self.server.look_url()).ok()
    }

    /// The number that a query answers; `None` while the server is away.
    pub(crate) fn number(&self, sql: &str) -> Option<i64> {
        let row = diesel::sql_query(sql).get_result::<Number>(&mut self.look()?);
        row.ok().map(|row| row.number)
    }

    /// The texts that a query answers.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let mut conn = self.look().expect("the server is there");
        let rows = diesel::sql_query(sql).load::<Words>(&mut conn).unwrap();
        rows.into_iter().map(|row| row.text).collect()
    }

    /// Waits until a query answers a number other than zero.
    pub(crate) fn await_row(&self, what: &str, sql: &str) {
        let begun = Instant::now();
        while self.number(sql).unwrap_or(0) == 0 {
            assert!(begun.elapsed() < HANGS, "never: {what}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is left undone, for the message of a failure.
    pub(crate) fn story(&self) -> String {
        if self.look().is_none() {
            return "the server is away".to_owned();
        }
        let runs = self.texts(
            "SELECT format('%s %s state=%s epoch=%s locked_by=%s wake_at=%s woken=%s crashes=%s', id, key, state,
                lock_epoch, locked_by, wake_at, wake_requested, crashes) AS text
            FROM chrono_forge_workflows WHERE state <> 2 ORDER BY id LIMIT 20",
        );
        let workers = self.texts(
            "SELECT format('worker %s pid=%s beat=%s stopped=%s', id, pid, heartbeat_at, stopped_at) AS text
            FROM chrono_forge_workers ORDER BY id DESC LIMIT 12",
        );
        let errors = self.texts(
            "SELECT format('error %s %s %s: %s', workflow_id, step_name, error_class, error_message) AS text
            FROM chrono_forge_error_logs ORDER BY id DESC LIMIT 10",
        );
        [runs, workers, errors].concat().join("\n")
    }

    /// Fails unless every run is completed, each step of each child is recorded once, counters add up and nobody holds
    /// anything that is over.
    pub(crate) fn assert_whole(&self, children: u64, steps: u64) {
        let expect = |what: &str, sql: &str, expected: u64| {
            let found = self.number(sql).expect("the server is there");
            assert_eq!(found, expected as i64, "{what}\n{}", self.story());
        };
        expect(
            "children, each under its own key",
            "SELECT count(DISTINCT key) AS number FROM chrono_forge_workflows
            WHERE parent_execution_log_id IS NOT NULL AND state = 2",
            children,
        );
        expect(
            "runs that are not completed",
            "SELECT count(*) AS number FROM chrono_forge_workflows WHERE state <> 2",
            0,
        );
        expect(
            "records of steps, one each",
            "SELECT count(*) AS number FROM chrono_forge_execution_logs
            WHERE step_name LIKE 'step$%' AND state = 1 AND result IS NOT NULL",
            children * steps,
        );
        expect(
            "branches whose counter is not zero",
            "SELECT count(*) AS number FROM chrono_forge_execution_logs WHERE pending <> 0",
            0,
        );
        expect(
            "children that the branch counted",
            "SELECT coalesce(sum(spawned), 0)::bigint AS number FROM chrono_forge_execution_logs",
            children,
        );
        expect(
            "errors",
            "SELECT count(*) AS number FROM chrono_forge_error_logs",
            0,
        );
        expect(
            "rows of blocked runs",
            "SELECT count(*) AS number FROM chrono_forge_blocked",
            0,
        );
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    text: String,
}
