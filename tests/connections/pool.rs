//! The application's own pool: its connections are lent, and come back as they were.

use chrono_forge::{DatabasePool, StoreErrorKind};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{PgConnection, r2d2};

use crate::world::{bounded, connect, engine, execute, prove, refusal, server, text};

/// What the application tells each of its connections.
#[derive(Debug)]
struct OfTheApplication;

impl CustomizeConnection<PgConnection, r2d2::Error> for OfTheApplication {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), r2d2::Error> {
        execute(
            conn,
            "SET search_path TO shop; SET statement_timeout TO '77s'; SET application_name TO 'shop'",
        );
        Ok(())
    }
}

fn pool(url: &str, most: u32) -> DatabasePool {
    Pool::builder()
        .max_size(most)
        .min_idle(Some(0))
        .connection_customizer(Box::new(OfTheApplication))
        .build(ConnectionManager::new(url))
        .unwrap()
}

/// All that a session may be told.
const SETTINGS: &str = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) AS text
    FROM pg_settings WHERE name !~ '^(transaction_|in_hot)'";

#[test]
fn lent_connections_come_back_as_they_were() {
    let Some(server) = server("lent_connections_come_back_as_they_were") else {
        return;
    };
    let pool = pool(&server.url(""), 11);
    execute(&mut connect(&server.url("")), "CREATE SCHEMA shop");
    let before = text(&mut pool.get().unwrap(), SETTINGS);
    bounded(async {
        let builder = engine("postgres://?schema=forge").database_pool(pool.clone());
        let forge = builder.open().await.unwrap();
        prove(&forge, "a").await;
        assert!(pool.state().connections > 1, "the pool's were used");
        forge.shutdown().await;
    });
    let mut lent = Vec::new();
    for _ in 0..pool.state().connections {
        lent.push(pool.get().unwrap());
    }
    for conn in &mut lent {
        assert_eq!(text(conn, SETTINGS), before);
        // Not even a transaction is left open.
        execute(conn, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    }
    let others = text(
        &mut lent[0],
        "SELECT count(*)::text AS text FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'shop'",
    );
    assert_eq!(others, "0", "nothing was connected to beside the pool");
}

#[test]
fn a_pool_that_is_too_small_is_refused_with_the_number_that_is_needed() {
    let Some(server) = server("a_pool_that_is_too_small_is_refused_with_the_number_that_is_needed")
    else {
        return;
    };
    bounded(async {
        let small = pool(&server.url(""), 9);
        let builder = engine("postgres://").database_pool(small.clone());
        let (kind, text) = refusal(builder).await;
        assert_eq!(kind, StoreErrorKind::Refused);
        assert!(
            text.contains("lends 9") && text.contains("keeps 8"),
            "{text}"
        );
        let idle = engine("postgres://").database_pool(small.clone());
        let idle = idle.worker(false).open().await.unwrap();
        idle.shutdown().await;
        let builder = engine("postgres://?writers=1").database_pool(small);
        let forge = builder.open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
    });
}

#[test]
fn a_pool_serves_postgresql_only() {
    let Some(server) = server("a_pool_serves_postgresql_only") else {
        return;
    };
    bounded(async {
        let pool = pool(&server.url(""), 11);
        let (kind, text) = refusal(engine("sqlite::memory:").database_pool(pool)).await;
        assert_eq!(kind, StoreErrorKind::Refused);
        assert!(text.contains("is not a PostgreSQL URL"), "{text}");
    });
}

/// Beside a pool the engine opens one connection of its own, where it knows to which server.
#[test]
fn other_processes_are_heard_beside_a_pool_if_the_url_names_the_server() {
    let test = "other_processes_are_heard_beside_a_pool_if_the_url_names_the_server";
    let Some(server) = server(test) else {
        return;
    };
    let pool = pool(&server.url(""), 11);
    let ears = "SELECT count(*)::text AS text FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    let mut conn = connect(&server.url(""));
    bounded(async {
        for (url, expected) in [
            ("postgres://?schema=a".to_owned(), "0"),
            (server.url("schema=b"), "1"),
        ] {
            let builder = engine(&url).database_pool(pool.clone());
            let forge = builder.open().await.unwrap();
            prove(&forge, "a").await;
            assert_eq!(text(&mut conn, ears), expected, "{url}");
            forge.shutdown().await;
        }
        // What another process starts is begun long before the next poll.
        let builder = engine(&server.url("schema=b")).database_pool(pool.clone());
        let long = std::time::Duration::from_secs(600);
        let worker = builder.poll_interval(long).open().await.unwrap();
        let client = engine(&server.url("schema=b"))
            .worker(false)
            .open()
            .await
            .unwrap();
        prove(&client, "of another").await;
        client.shutdown().await;
        worker.shutdown().await;
    });
}

/// A pool of another kind, whose connections are Diesel's, lends them by a closure.
#[test]
fn whatever_lends_connections_of_diesels_may_lend_them_to_an_engine() {
    let test = "whatever_lends_connections_of_diesels_may_lend_them_to_an_engine";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("application_name=shop");
    let lend = move || <PgConnection as diesel::Connection>::establish(&url).map(Box::new);
    let names = "SELECT string_agg(DISTINCT application_name, ' ') AS text FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let mut conn = connect(&server.url(""));
    bounded(async {
        let too_few = engine("postgres://?schema=forge").database_connections(9, lend.clone());
        let (kind, told) = refusal(too_few).await;
        assert_eq!(kind, StoreErrorKind::Refused, "{told}");
        assert!(told.contains("lends 9"), "{told}");
        let builder = engine("postgres://?schema=forge").database_connections(10, lend.clone());
        let forge = builder.open().await.unwrap();
        prove(&forge, "a").await;
        assert_eq!(text(&mut conn, names), "shop");
        forge.shutdown().await;
        let nowhere = || Err::<Box<PgConnection>, _>("the pool is closed");
        let closed = engine("postgres://?schema=forge").database_connections(10, nowhere);
        let (_, told) = refusal(closed.open_timeout(std::time::Duration::ZERO)).await;
        assert!(
            told.contains("the pool is closed") && told.contains("keeps up to 8"),
            "{told}"
        );
    });
}

/// What was prepared in one session of a pooler in transaction mode is not there in the next.
#[test]
fn nothing_is_prepared_in_a_lent_session_behind_a_pooler_in_transaction_mode() {
    let test = "nothing_is_prepared_in_a_lent_session_behind_a_pooler_in_transaction_mode";
    let Some(server) = server(test) else {
        return;
    };
    let prepared = "SELECT (count(*) > 0)::text AS text FROM pg_prepared_statements
        WHERE name LIKE '\\_\\_diesel%' AND statement LIKE '/* chrono_forge %'";
    bounded(async {
        for (pooler, expected) in [("none", "true"), ("transaction", "false")] {
            let pool = pool(&server.url(""), 11);
            let url = format!("postgres://?schema=forge&pooler={pooler}");
            let forge = engine(&url)
                .database_pool(pool.clone())
                .open()
                .await
                .unwrap();
            prove(&forge, pooler).await;
            forge.shutdown().await;
            let lent: Vec<_> = (0..pool.state().connections)
                .map(|_| pool.get().unwrap())
                .collect();
            let found = lent
                .into_iter()
                .any(|mut conn| text(&mut conn, prepared) == "true");
            assert_eq!(found.to_string(), expected, "{pooler}");
        }
    });
}
