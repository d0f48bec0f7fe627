//! Sessions: a server has few, so an engine takes as many as it says, tells when there is no room, and leaves none
//! behind.

use std::time::{Duration, Instant};

use chrono_forge::{Error, StoreErrorKind};
use chrono_forge_tests::server::Server;
use diesel::PgConnection;

use crate::world::{
    bounded, connect, engine, execute, family, prove, refusal, server, server_of, text,
};

/// A session that was ended goes a moment later.
const GONE_MAX: Duration = Duration::from_secs(5);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Of engines; others say who they are.
const SESSIONS: &str = "SELECT count(*)::text AS text FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name LIKE 'chrono-forge%'";

/// Ends them.
const END: &str =
    "SELECT count(pg_terminate_backend(pid, 5000))::text AS text FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name LIKE 'chrono-forge%'";

fn sessions(conn: &mut PgConnection) -> u32 {
    text(conn, SESSIONS).parse().unwrap()
}

/// Waits for the last session to be gone; nobody ends it.
async fn none_is_left(conn: &mut PgConnection) {
    let begun = Instant::now();
    while sessions(conn) > 0 {
        let left = "SELECT string_agg(concat_ws(' ', state, query), '; ') AS text
            FROM pg_stat_activity WHERE application_name LIKE 'chrono-forge%'";
        assert!(begun.elapsed() < GONE_MAX, "{}", text(conn, left));
        tokio::time::sleep(LOOK).await;
    }
}

#[test]
fn a_shutdown_leaves_no_session_behind_whoever_still_has_a_handle() {
    let test = "a_shutdown_leaves_no_session_behind_whoever_still_has_a_handle";
    let Some(server) = server(test) else {
        return;
    };
    let mut conn = connect(&server.url(""));
    bounded(async {
        for executes in [true, false] {
            let worker = engine(&server.url("schema=forge")).open().await.unwrap();
            prove(&worker, &format!("a{executes}")).await;
            let forge = match executes {
                true => worker,
                false => {
                    worker.shutdown().await;
                    let client = engine(&server.url("schema=forge")).worker(false);
                    client.open().await.unwrap()
                }
            };
            let run = forge.get::<family>("atrue").await.unwrap().unwrap();
            // Two that write, one that reads, and one that listens, which comes by itself.
            while sessions(&mut conn) < 4 {
                tokio::time::sleep(LOOK).await;
            }
            assert!(sessions(&mut conn) <= 9);
            forge.shutdown().await;
            none_is_left(&mut conn).await;
            // Who looks all the same is answered.
            assert!(run.state().await.unwrap().is_settled());
            none_is_left(&mut conn).await;
        }
    });
}

#[test]
fn an_engine_that_is_dropped_leaves_no_session_behind() {
    let Some(server) = server("an_engine_that_is_dropped_leaves_no_session_behind") else {
        return;
    };
    let mut conn = connect(&server.url(""));
    bounded(async {
        let forge = engine(&server.url("schema=forge")).open().await.unwrap();
        prove(&forge, "a").await;
        // In the midst of work.
        drop(forge.start("b", family(2_000)).await.unwrap());
        drop(forge);
        none_is_left(&mut conn).await;
    });
}

#[test]
fn a_server_without_room_is_told_with_the_numbers_and_nothing_is_left_of_the_try() {
    let test = "a_server_without_room_is_told_with_the_numbers_and_nothing_is_left_of_the_try";
    let few = "max_connections = 12\nsuperuser_reserved_connections = 0";
    let Some(server) = server_of(test, Server::start_with(few, &[])) else {
        return;
    };
    let url = server.url("schema=forge");
    let mut conn = connect(&server.url("application_name=other"));
    bounded(async {
        engine(&url)
            .worker(false)
            .open()
            .await
            .unwrap()
            .shutdown()
            .await;
        none_is_left(&mut conn).await;
        // Room for some of what it needs.
        let mut others: Vec<PgConnection> = (0..9)
            .map(|_| connect(&server.url("application_name=other")))
            .collect();
        let (kind, text) = refusal(engine(&url)).await;
        assert_eq!(kind, StoreErrorKind::Transient);
        for part in [
            "too many clients",
            "up to 8 connections (6 with",
            "`max_connections`",
        ] {
            assert!(text.contains(part), "{text}");
        }
        none_is_left(&mut conn).await;
        others.clear();
        let forge = engine(&url).open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
    });
}

/// Not only at `open`: sessions that are lost are opened anew once there is room.
#[test]
fn an_engine_whose_sessions_find_no_room_waits_for_it() {
    let Some(server) = server("an_engine_whose_sessions_find_no_room_waits_for_it") else {
        return;
    };
    let mut conn = connect(&server.url("application_name=other"));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    let url = server.url("schema=forge");
    bounded(async {
        engine(&url)
            .worker(false)
            .open()
            .await
            .unwrap()
            .shutdown()
            .await;
        execute(
            &mut conn,
            "GRANT USAGE ON SCHEMA forge TO runtime;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA forge TO runtime;
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA forge TO runtime",
        );
        let of_runtime = engine(&url.replace("postgres@", "runtime@"));
        let forge = of_runtime.open().await.unwrap();
        prove(&forge, "a").await;
        let run = forge.start("b", family(400)).await.unwrap();
        execute(&mut conn, "ALTER ROLE runtime CONNECTION LIMIT 0");
        text(&mut conn, END);
        match forge.start("c", family(1)).await.map(drop) {
            Err(Error::Store(error)) => {
                assert_eq!(error.kind, StoreErrorKind::Transient, "{error}");
                let text = error.to_string();
                assert!(text.contains("too many connections"), "{text}");
                assert!(text.contains("keeps up to 8 connections"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        execute(&mut conn, "ALTER ROLE runtime CONNECTION LIMIT -1");
        assert_eq!(run.result().await.unwrap(), 400);
        prove(&forge, "c").await;
        forge.shutdown().await;
        none_is_left(&mut conn).await;
    });
}
