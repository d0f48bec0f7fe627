//! Servers that take no writes: the old primary of a failover, whose name still leads there for a while.

use std::time::Duration;

use chrono_forge::StoreErrorKind;

use crate::world::{bounded, connect, engine, execute, prove, refusal, server};

/// From now on new sessions read only; those that are there are ended, as by a restart.
const DEMOTE: &str = "ALTER DATABASE postgres SET default_transaction_read_only = on;
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// New sessions write again; who reads only goes on to do so.
const PROMOTE: &str = "SET default_transaction_read_only TO off;
    ALTER DATABASE postgres RESET default_transaction_read_only";

#[test]
fn no_session_stays_with_a_server_that_takes_no_writes() {
    let Some(server) = server("no_session_stays_with_a_server_that_takes_no_writes") else {
        return;
    };
    let mut conn = connect(&server.url(""));
    bounded(async {
        let forge = engine(&server.url("schema=forge")).open().await.unwrap();
        prove(&forge, "a").await;
        execute(&mut conn, DEMOTE);
        // Long enough for every part of the engine to connect anew.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (kind, text) = refusal(engine(&server.url("schema=forge")).worker(false)).await;
        assert_eq!(kind, StoreErrorKind::Transient, "{text}");
        assert!(text.contains("read-only"), "{text}");
        execute(&mut conn, PROMOTE);
        prove(&forge, "b").await;
        forge.shutdown().await;
    });
}

/// Reading what a replica has of it is fine where the URL asks for that.
#[test]
fn a_url_may_ask_for_any_server() {
    let Some(server) = server("a_url_may_ask_for_any_server") else {
        return;
    };
    let url = server.url("schema=forge");
    bounded(async {
        let forge = engine(&url).open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
        execute(&mut connect(&server.url("")), DEMOTE);
        let reader = engine(&format!("{url}&target_session_attrs=any")).worker(false);
        let reader = reader.open().await.unwrap();
        let found = reader
            .get::<crate::world::family>("a")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.result().await.unwrap(), 40);
        reader.shutdown().await;
    });
}
