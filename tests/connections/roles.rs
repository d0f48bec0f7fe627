//! Rights and schemas: who migrates need not be who runs, and two schemas of a database are two databases.

use std::time::{Duration, Instant};

use chrono_forge::{Error, RetryFilter, Run, RunError, RunState, StoreErrorKind};

use crate::world::{
    bounded, connect, convoy, diary, engine, execute, family, prove, refusal, server, text,
};

#[test]
fn a_role_without_the_right_to_create_runs_what_another_migrated() {
    let test = "a_role_without_the_right_to_create_runs_what_another_migrated";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let of_runtime = url.replace("postgres@", "runtime@");
    let mut conn = connect(&server.url(""));
    execute(
        &mut conn,
        "CREATE ROLE runtime LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    bounded(async {
        let (kind, text) = refusal(engine(&of_runtime)).await;
        assert_eq!(kind, StoreErrorKind::Schema, "{text}");
        assert!(text.contains("permission denied"), "{text}");
        let (kind, text) = refusal(engine(&of_runtime).verify_only()).await;
        assert_eq!(kind, StoreErrorKind::Schema, "{text}");
        assert!(
            text.contains("open it once without `verify_only()`"),
            "{text}"
        );

        let migrated = engine(&url).worker(false).open().await.unwrap();
        migrated.shutdown().await;
        execute(&mut conn, RIGHTS);
        // Who may migrate and has nothing to do needs no more rights than who may not.
        for (key, builder) in [
            ("a", engine(&of_runtime).verify_only()),
            ("b", engine(&of_runtime)),
        ] {
            let forge = builder.open().await.unwrap();
            prove(&forge, key).await;
            forge.retry_all(RetryFilter::new()).await.unwrap();
            let run = forge.start(key, family(40)).await.unwrap();
            run.audit().await.unwrap();
            forge.shutdown().await;
        }
        let mut file = Vec::new();
        let moves = engine(&of_runtime).worker(false).open().await.unwrap();
        moves.export(&mut file).await.unwrap();
        execute(
            &mut conn,
            "TRUNCATE forge.chrono_forge_workflows, forge.chrono_forge_execution_logs",
        );
        let imported = moves.import(std::io::Cursor::new(file)).await.unwrap();
        assert_eq!(imported.runs, 82);
    });
    let owners = "SELECT string_agg(DISTINCT tableowner, ' ') AS text FROM pg_tables
        WHERE schemaname = 'forge'";
    assert_eq!(text(&mut conn, owners), "postgres");
}

/// As a dashboard has it.
#[test]
fn a_role_that_may_only_read_reads_and_is_told_what_it_lacks_to_start() {
    let test = "a_role_that_may_only_read_reads_and_is_told_what_it_lacks_to_start";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let mut conn = connect(&server.url(""));
    bounded(async {
        let forge = engine(&url).open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
        let rights = "CREATE ROLE dashboard LOGIN; GRANT USAGE ON SCHEMA forge TO dashboard;
            GRANT SELECT ON ALL TABLES IN SCHEMA forge TO dashboard";
        execute(&mut conn, rights);
        let reads = engine(&url.replace("postgres@", "dashboard@"));
        let reads = reads.worker(false).open().await.unwrap();
        let run = reads.get::<family>("a").await.unwrap().unwrap();
        assert_eq!(run.state().await.unwrap(), RunState::Completed);
        let refused = reads.start("b", family(1)).await.map(drop).unwrap_err();
        assert_told(&refused);
        reads.shutdown().await;
    });
}

/// What the role needs to execute runs.
const RIGHTS: &str = "GRANT USAGE ON SCHEMA forge TO runtime;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA forge TO runtime;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA forge TO runtime";

/// A refusal that names the remedy.
fn assert_told(error: &Error) {
    let Error::Store(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind, StoreErrorKind::Schema, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("permission denied") && text.contains("GRANT"),
        "{text}"
    );
}

/// Whoever waits is told what to do; the run is not failed by it, stays where it is, and goes on once it may.
#[test]
fn a_right_that_is_lost_meanwhile_is_told_and_what_waits_goes_on_once_it_is_back() {
    let test = "a_right_that_is_lost_meanwhile_is_told_and_what_waits_goes_on_once_it_is_back";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let of_runtime = url.replace("postgres@", "runtime@");
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    bounded(async {
        engine(&url).worker(false).open().await.unwrap();
        execute(&mut conn, RIGHTS);
        let forge = engine(&of_runtime).open().await.unwrap();
        prove(&forge, "a").await;

        execute(
            &mut conn,
            "REVOKE INSERT ON forge.chrono_forge_execution_logs FROM runtime",
        );
        let run = forge.start("b", family(40)).await.unwrap();
        match run.result().await {
            Err(RunError::Forge(error)) => assert_told(&error),
            other => panic!("{other:?}"),
        }
        assert_eq!(run.state().await.unwrap(), RunState::Running);
        // What needs no such right goes on beside it.
        forge.wake::<family>("b").await.unwrap();

        execute(
            &mut conn,
            "REVOKE INSERT, UPDATE ON forge.chrono_forge_workflows FROM runtime",
        );
        assert_told(&forge.start("c", family(1)).await.map(drop).unwrap_err());
        assert_told(&forge.wake::<family>("b").await.unwrap_err());

        execute(&mut conn, RIGHTS);
        let mut result = run.result().await;
        while let Err(RunError::Forge(error)) = &result {
            // Commits are tried now and then.
            assert_told(error);
            result = run.result().await;
        }
        assert_eq!(result.unwrap(), 40);
        prove(&forge, "c").await;
        forge.shutdown().await;
    });
    let left = "SELECT string_agg(concat_ws(' ', key, state, crashes), ', ' ORDER BY key) AS text
        FROM forge.chrono_forge_workflows WHERE key IN ('a', 'b', 'c')";
    assert_eq!(text(&mut conn, left), "a 2 0, b 2 0, c 2 0");
}

/// A shutdown does not wait for rights.
#[test]
fn a_shutdown_leaves_what_may_not_be_written_to_others() {
    let test = "a_shutdown_leaves_what_may_not_be_written_to_others";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    bounded(async {
        engine(&url).worker(false).open().await.unwrap();
        execute(&mut conn, RIGHTS);
        let of_runtime = engine(&url.replace("postgres@", "runtime@"));
        let of_runtime = of_runtime.shutdown_grace(Duration::from_secs(1));
        let forge = of_runtime.open().await.unwrap();
        execute(
            &mut conn,
            "REVOKE INSERT ON forge.chrono_forge_execution_logs FROM runtime",
        );
        let run = forge.start("a", family(40)).await.unwrap();
        assert!(run.result().await.is_err());
        let begun = Instant::now();
        forge.shutdown().await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        let other = engine(&url).open().await.unwrap();
        let run = other.get::<family>("a").await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 40);
        other.shutdown().await;
    });
}

#[test]
fn rights_that_are_granted_in_advance_cover_every_later_migration() {
    let test = "rights_that_are_granted_in_advance_cover_every_later_migration";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    execute(
        &mut connect(&server.url("")),
        "CREATE ROLE runtime LOGIN; CREATE SCHEMA forge; GRANT USAGE ON SCHEMA forge TO runtime;
        ALTER DEFAULT PRIVILEGES IN SCHEMA forge GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO runtime;
        ALTER DEFAULT PRIVILEGES IN SCHEMA forge GRANT USAGE ON SEQUENCES TO runtime",
    );
    bounded(async {
        let migrated = engine(&url).worker(false).open().await.unwrap();
        migrated.shutdown().await;
        let of_runtime = engine(&url.replace("postgres@", "runtime@")).verify_only();
        let forge = of_runtime.open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
    });
}

#[test]
fn two_schemas_of_a_database_do_not_see_each_other() {
    let Some(server) = server("two_schemas_of_a_database_do_not_see_each_other") else {
        return;
    };
    bounded(async {
        let north = engine(&server.url("schema=north")).open().await.unwrap();
        let south = engine(&server.url("schema=south")).worker(false);
        let south = south.open().await.unwrap();
        let waiting = south.start("a", family(3)).await.unwrap();
        prove(&north, "a").await;
        prove(&north, "b").await;
        assert!(south.get::<family>("b").await.unwrap().is_none());
        assert_eq!(waiting.state().await.unwrap(), RunState::Idle);
        let south = engine(&server.url("schema=south")).open().await.unwrap();
        let found = south.get::<family>("a").await.unwrap().unwrap();
        assert_eq!(found.result().await.unwrap(), 3);
    });
    let counted = "SELECT (SELECT count(*) FROM north.chrono_forge_workflows) || ' ' ||
        (SELECT count(*) FROM south.chrono_forge_workflows) AS text";
    assert_eq!(text(&mut connect(&server.url("")), counted), "82 4");
}

/// What to say to hide a table of this name, or to show it again.
type Words = fn(&str) -> String;

/// While runs are under way, what they need of these tables is taken away from the role for a while, and given back.
fn hidden_meanwhile(test: &str, tables: &[&str], (hide, show): (Words, Words), word: &str) {
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let of_runtime = url.replace("postgres@", "runtime@");
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    bounded(async {
        engine(&url).worker(false).open().await.unwrap();
        execute(&mut conn, RIGHTS);
        let forge = engine(&of_runtime).lease(Duration::from_secs(2));
        let forge = forge.heartbeat(Duration::from_millis(400));
        let forge = forge.queue("default", 4);
        let forge = forge.open().await.unwrap();
        prove(&forge, "a").await;
        for (nth, table) in tables.iter().enumerate() {
            let run = forge.start(&format!("b{nth}"), convoy(200)).await.unwrap();
            let reads = forge.start(&format!("c{nth}"), diary(40)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(150)).await;
            let table = format!("forge.chrono_forge_{table}");
            execute(&mut conn, &hide(&table));
            // A heartbeat or two, which compare and prune.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            execute(&mut conn, &show(&table));
            assert_eq!(goes_on(&run, word).await, 19_900, "{table}");
            assert_eq!(goes_on(&reads, word).await, 40, "{table}");
        }
        forge.shutdown().await;
    });
    let failures = "SELECT count(*)::text AS text FROM forge.chrono_forge_error_logs";
    assert_eq!(text(&mut conn, failures), "0");
    let left =
        "SELECT (SELECT count(*) FROM forge.chrono_forge_workflows WHERE state <> 2) || ' ' ||
        (SELECT count(*) FROM forge.chrono_forge_claims) AS text";
    assert_eq!(text(&mut conn, left), "0 0");
}

/// The result, once nothing is in its way any more; until then whoever waits is told with this word.
async fn goes_on(run: &Run<u32>, word: &str) -> u32 {
    loop {
        match run.result().await {
            Ok(result) => return result,
            Err(RunError::Forge(Error::Store(error))) => {
                assert!(error.to_string().contains(word), "{error}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Rows that a policy hides are not taken for rows that do not exist.
#[test]
fn what_a_policy_hides_meanwhile_is_told_and_what_waits_goes_on_once_it_is_gone() {
    hidden_meanwhile(
        "what_a_policy_hides_meanwhile_is_told_and_what_waits_goes_on_once_it_is_gone",
        &["workflows", "execution_logs", "claims"],
        (
            |table| format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            |table| format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
        ),
        "row-level security",
    );
}

#[test]
fn what_a_role_may_not_read_meanwhile_is_told_and_what_waits_goes_on_once_it_may() {
    hidden_meanwhile(
        "what_a_role_may_not_read_meanwhile_is_told_and_what_waits_goes_on_once_it_may",
        &["workflows", "execution_logs", "claims", "workers"],
        (
            |table| format!("REVOKE SELECT ON {table} FROM runtime"),
            |table| format!("GRANT SELECT ON {table} TO runtime"),
        ),
        "permission denied",
    );
}

/// What cannot work is not begun with.
#[test]
fn a_database_that_hides_rows_or_lacks_characters_or_an_index_is_not_opened() {
    let test = "a_database_that_hides_rows_or_lacks_characters_or_an_index_is_not_opened";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let of_runtime = url.replace("postgres@", "runtime@");
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    bounded(async {
        for encoding in ["LATIN1", "EUC_JP", "SQL_ASCII"] {
            execute(
                &mut conn,
                &format!(
                    "CREATE DATABASE db_{encoding} ENCODING '{encoding}' TEMPLATE template0
                    LC_COLLATE 'C' LC_CTYPE 'C'"
                ),
            );
            let database = format!("/db_{}?", encoding.to_lowercase());
            let other = server.url("").replace("/postgres?", &database);
            let (kind, text) = refusal(engine(&other)).await;
            assert_eq!(kind, StoreErrorKind::Schema, "{text}");
            assert!(
                text.contains(encoding) && text.contains("ENCODING 'UTF8'"),
                "{text}"
            );
        }
        engine(&url).worker(false).open().await.unwrap();
        execute(&mut conn, RIGHTS);
        let policy = "ALTER TABLE forge.chrono_forge_execution_logs";
        execute(&mut conn, &format!("{policy} ENABLE ROW LEVEL SECURITY"));
        for builder in [engine(&of_runtime), engine(&of_runtime).verify_only()] {
            let (kind, text) = refusal(builder).await;
            assert_eq!(kind, StoreErrorKind::Schema, "{text}");
            let names = ["chrono_forge_execution_logs", "DISABLE ROW LEVEL SECURITY"];
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
        }
        // From its owner, and from who may bypass it, nothing is hidden.
        engine(&url).worker(false).open().await.unwrap();
        execute(&mut conn, "ALTER ROLE runtime BYPASSRLS");
        engine(&of_runtime).worker(false).open().await.unwrap();
        execute(&mut conn, "ALTER ROLE runtime NOBYPASSRLS");
        execute(&mut conn, &format!("{policy} DISABLE ROW LEVEL SECURITY"));
        for (drop, name) in [
            (
                "DROP INDEX forge.chrono_forge_workflows_ready",
                "chrono_forge_workflows_ready",
            ),
            (
                "DROP INDEX forge.chrono_forge_workflows_long_identity",
                "chrono_forge_workflows_long_identity",
            ),
            (
                "ALTER TABLE forge.chrono_forge_execution_logs
                DROP CONSTRAINT chrono_forge_execution_logs_workflow_id_step_name_key",
                "chrono_forge_execution_logs_workflow_id_step_name_key",
            ),
        ] {
            execute(&mut conn, drop);
            let (kind, text) = refusal(engine(&of_runtime)).await;
            assert_eq!(kind, StoreErrorKind::Schema, "{text}");
            assert!(text.contains(name), "{text}");
        }
    });
}

#[test]
fn a_sequence_that_is_behind_is_named_to_a_role_that_may_not_set_it() {
    let test = "a_sequence_that_is_behind_is_named_to_a_role_that_may_not_set_it";
    let Some(server) = server(test) else {
        return;
    };
    let url = server.url("schema=forge");
    let of_runtime = url.replace("postgres@", "runtime@");
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE runtime LOGIN");
    let behind = "SELECT setval('forge.chrono_forge_workflows_id_seq', 1, false)";
    bounded(async {
        let forge = engine(&url).open().await.unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
        execute(&mut conn, RIGHTS);
        execute(&mut conn, behind);
        let (kind, text) = refusal(engine(&of_runtime)).await;
        assert_eq!(kind, StoreErrorKind::Schema, "{text}");
        for part in [
            "chrono_forge_workflows_id_seq",
            "SELECT setval(",
            "permission denied",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // The same at work: told, not tried for ever in silence, and it goes on once it is mended.
        execute(
            &mut conn,
            "SELECT setval('forge.chrono_forge_workflows_id_seq', 1000)",
        );
        let forge = engine(&of_runtime).open().await.unwrap();
        execute(&mut conn, behind);
        let error = forge.start("b", family(40)).await.map(drop).unwrap_err();
        assert!(
            error.to_string().contains("chrono_forge_workflows_id_seq"),
            "{error}"
        );
        execute(
            &mut conn,
            "GRANT UPDATE ON ALL SEQUENCES IN SCHEMA forge TO runtime",
        );
        prove(&forge, "b").await;
        forge.shutdown().await;
    });
}
