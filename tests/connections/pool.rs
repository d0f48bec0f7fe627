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
    let pool = pool(&server.url(""), 9);
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
        let small = pool(&server.url(""), 7);
        let builder = engine("postgres://").database_pool(small.clone());
        let (kind, text) = refusal(builder).await;
        assert_eq!(kind, StoreErrorKind::Refused);
        assert!(
            text.contains("lends 7") && text.contains("keeps 8"),
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
        let pool = pool(&server.url(""), 9);
        let (kind, text) = refusal(engine("sqlite::memory:").database_pool(pool)).await;
        assert_eq!(kind, StoreErrorKind::Refused);
        assert!(text.contains("is not a PostgreSQL URL"), "{text}");
    });
}
