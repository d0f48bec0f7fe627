//! Two servers behind one URL, both of which take writes: a process is with one of them, and never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Builder, DatabasePool};
use chrono_forge_tests::proxy::Proxy;
use chrono_forge_tests::server::Server;
use chrono_forge_tests::telling;
use diesel::r2d2::{ConnectionManager, Pool};

use crate::world::{bounded, connect, execute, server_of, text};

/// Steps that began, for all runs of the test together.
#[derive(Clone, Default)]
struct Begun(Arc<AtomicUsize>);

/// Step after step, each recorded before the next one begins.
#[workflow]
async fn walk(begun: State<Begun>, steps: u32) -> Result<u32> {
    for step in 0..steps {
        step!(format!("{step}"), {
            begun.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        })
        .await?;
    }
    Ok(steps)
}

const STEPS: u32 = 20;

/// The former primary and the server that was promoted, each behind a stretch of network of its own.
struct Pair {
    former: Server,
    promoted: Server,
    to_former: Proxy,
    to_promoted: Proxy,
}

impl Pair {
    fn new(test: &str) -> Option<Self> {
        let former = server_of(test, Server::start())?;
        let promoted = server_of(test, former.start_standby())?;
        let (to_former, to_promoted) = (Proxy::to(former.port()), Proxy::to(promoted.port()));
        Some(Self {
            former,
            promoted,
            to_former,
            to_promoted,
        })
    }

    /// The former primary stands first.
    fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?schema=forge",
            self.to_former.port(),
            self.to_promoted.port()
        )
    }

    /// The other one stands first, and takes no writes before it is promoted.
    fn url_of_both(&self, parameters: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?{parameters}",
            self.promoted.port(),
            self.former.port()
        )
    }

    /// Waits until the other one has all that this one has.
    fn in_step(&self) {
        let mut former = connect(&self.former.url(""));
        let at = text(&mut former, "SELECT pg_current_wal_lsn()::text AS text");
        let mut standby = connect(&self.promoted.url("target_session_attrs=any"));
        let is_there = format!("SELECT (pg_last_wal_replay_lsn() >= '{at}')::text AS text");
        while text(&mut standby, &is_there) != "true" {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn promote(&self) {
        let mut standby = connect(&self.promoted.url("target_session_attrs=any"));
        execute(&mut standby, "SELECT pg_promote()");
    }
}

fn worker(url: &str, begun: &Begun) -> Builder {
    let second = Duration::from_secs(1);
    let builder = Forge::builder(url).workflows([walk::NAME]);
    let builder = builder.state(begun.clone()).lease(second * 4);
    builder.heartbeat(second / 2).poll_interval(second / 5)
}

/// Runs that the database at this URL has, and those of them that are done.
fn runs(server: &Server) -> String {
    let sql = "SELECT count(*) || ' ' || count(*) FILTER (WHERE state = 2) AS text
        FROM forge.chrono_forge_workflows";
    text(&mut connect(&server.url("")), sql)
}

/// Ends half of the sessions of the engine.
const CUT_HALF: &str = "SELECT count(pg_terminate_backend(pid))::text AS text
    FROM (
        SELECT pid, row_number() OVER (ORDER BY pid) AS nth FROM pg_stat_activity
        WHERE application_name LIKE 'chrono-forge%'
    ) AS session
    WHERE nth % 2 = 0";

/// Sessions of the engine.
const OURS: &str = "SELECT count(*)::text AS text FROM pg_stat_activity
    WHERE application_name LIKE 'chrono-forge%'";

#[test]
fn a_process_never_goes_back_to_the_server_that_it_left() {
    let Some(pair) = Pair::new("a_process_never_goes_back_to_the_server_that_it_left") else {
        return;
    };
    telling::listen();
    let begun = Begun::default();
    bounded(async {
        let forge = worker(&pair.url(), &begun).open().await.unwrap();
        forge
            .start("first", walk(1))
            .await
            .unwrap()
            .result()
            .await
            .unwrap();
        pair.in_step();
        pair.to_former.cut();
        pair.promote();
        let run = forge.start("second", walk(1)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        let left = runs(&pair.former);
        assert_eq!(left, "1 1");
        // The former one is back, takes writes, and stands first.
        telling::listen();
        pair.to_former.mend();
        for round in 0..4 {
            let run = forge
                .start(&format!("round {round}"), walk(STEPS))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = text(&mut connect(&pair.promoted.url("")), CUT_HALF);
            assert_eq!(run.result().await.unwrap(), STEPS);
        }
        assert_eq!(
            runs(&pair.former),
            left,
            "nothing was written to the one that was left"
        );
        assert_eq!(runs(&pair.promoted), "6 6");
        let went_over = ["WARN", "go over to another server", "under way run again"];
        assert!(!telling::told(&went_over).is_empty());
        let turned_away = ["ERROR", "was closed", "take it out of the database URL"];
        assert!(!telling::told(&turned_away).is_empty());
        forge.shutdown().await;
    });
    let of = |server: &Server| format!("127.0.0.1:{} (system ", server.port());
    let (left, with) = (of(&pair.former), of(&pair.promoted));
    let told = telling::told(&["ERROR", "take it out of the database URL", &left, &with]);
    assert_eq!(told.len(), 1, "{told:#?}");
    // A session that is cut off costs the reply, never a recorded step.
    assert_eq!(begun.0.load(Ordering::SeqCst), 2 + 4 * STEPS as usize);
}

#[test]
fn sessions_of_a_server_that_was_left_end_with_the_first_one_of_the_new() {
    let test = "sessions_of_a_server_that_was_left_end_with_the_first_one_of_the_new";
    let Some(pair) = Pair::new(test) else {
        return;
    };
    let begun = Begun::default();
    bounded(async {
        let url = pair.url_of_both("schema=forge");
        let forge = worker(&url, &begun).open().await.unwrap();
        let run = forge.start("long", walk(3 * STEPS)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        pair.in_step();
        goes_over_whole(&pair, &forge).await;
        assert_eq!(run.result().await.unwrap(), 3 * STEPS);
        assert_eq!(runs(&pair.promoted), "7 7");
        forge.shutdown().await;
    });
}

#[test]
fn sessions_that_are_lent_keep_to_one_server_too() {
    let Some(pair) = Pair::new("sessions_that_are_lent_keep_to_one_server_too") else {
        return;
    };
    let begun = Begun::default();
    let url = pair.url_of_both("target_session_attrs=read-write&application_name=chrono-forge");
    let pool: DatabasePool = Pool::builder()
        .max_size(12)
        .min_idle(Some(0))
        .build(ConnectionManager::new(url))
        .unwrap();
    bounded(async {
        let builder = worker("postgres://?schema=forge", &begun).database_pool(pool);
        let forge = builder.open().await.unwrap();
        let run = forge.start("first", walk(1)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        pair.in_step();
        goes_over_whole(&pair, &forge).await;
        forge.shutdown().await;
    });
}

/// Half of the sessions stay with the former primary, which answers and takes writes.
async fn goes_over_whole(pair: &Pair, forge: &Forge) {
    pair.promote();
    // Of those that are lent, the ones that are cut may be idle, and nobody opens another one in
    // their place.
    while {
        let _ = text(&mut connect(&pair.former.url("")), CUT_HALF);
        tokio::time::sleep(Duration::from_millis(200)).await;
        text(&mut connect(&pair.promoted.url("")), OURS) == "0"
    } {}
    tokio::time::sleep(Duration::from_secs(3)).await;
    let left = runs(&pair.former);
    for nth in 0..6 {
        let run = forge.start(&format!("{nth}"), walk(1)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
    }
    assert_eq!(
        runs(&pair.former),
        left,
        "nobody writes to the one that was left"
    );
}
