//! A server that is not up yet is waited for; what somebody has to correct is told at once, with
//! what helps.

use std::time::{Duration, Instant};

use chrono_forge::StoreErrorKind;
use chrono_forge_tests::server::Stop;
use chrono_forge_tests::telling;

use tokio::task::JoinSet;

use crate::world::{bounded, connect, engine, execute, family, prove, refusal, server, text};

/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn an_engine_may_be_opened_before_its_server_is_up() {
    let Some(server) = server("an_engine_may_be_opened_before_its_server_is_up") else {
        return;
    };
    server.stop(Stop::Fast);
    bounded(async {
        let opening = tokio::spawn(engine(&server.url("")).open_timeout(LONG).open());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!opening.is_finished());
        server.resume();
        let forge = opening.await.unwrap().unwrap();
        prove(&forge, "a").await;
        forge.shutdown().await;
    });
}

/// A runtime waits for what it has been given to do: this test hangs if `open` goes on.
#[test]
fn an_open_that_is_given_up_waits_no_longer() {
    let Some(server) = server("an_open_that_is_given_up_waits_no_longer") else {
        return;
    };
    server.stop(Stop::Fast);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let opening = engine(&server.url("")).open_timeout(LONG).open();
        let given_up = tokio::time::timeout(Duration::from_millis(300), opening);
        assert!(given_up.await.is_err(), "it waited for nothing");
    });
    drop(runtime);
}

#[test]
fn an_engine_that_waited_in_vain_says_for_how_long() {
    let Some(server) = server("an_engine_that_waited_in_vain_says_for_how_long") else {
        return;
    };
    server.stop(Stop::Fast);
    bounded(async {
        let begun = Instant::now();
        let short = Duration::from_millis(700);
        let (kind, text) = refusal(engine(&server.url("")).open_timeout(short)).await;
        assert_eq!(kind, StoreErrorKind::Transient, "{text}");
        assert!(
            text.contains("open_timeout") && text.contains("700ms"),
            "{text}"
        );
        assert!(begun.elapsed() >= short);
        let (kind, text) = refusal(engine(&server.url("")).open_timeout(Duration::ZERO)).await;
        assert_eq!(kind, StoreErrorKind::Transient, "{text}");
        assert!(!text.contains("open_timeout"), "{text}");
    });
}

/// Each is told while there is time left to wait for a server that would come.
#[test]
fn what_does_not_pass_by_itself_is_told_at_once_and_with_what_helps() {
    let test = "what_does_not_pass_by_itself_is_told_at_once_and_with_what_helps";
    let Some(server) = server(test) else {
        return;
    };
    let mut conn = connect(&server.url(""));
    execute(&mut conn, "CREATE ROLE app LOGIN");
    let with = |parameters: &str| server.url(parameters);
    bounded(async {
        for (url, kind, remedy) in [
            (
                with("shema=f1"),
                StoreErrorKind::Refused,
                "ours are `schema`",
            ),
            (with("sslmode=always"), StoreErrorKind::Refused, "sslmode"),
            (
                with("sslmode=require"),
                StoreErrorKind::Access,
                "`sslmode=disable`",
            ),
            (with("user=nobody"), StoreErrorKind::Schema, "let it log in"),
            (with("dbname=nowhere"), StoreErrorKind::Schema, "create it"),
            (with("service=none"), StoreErrorKind::Refused, "`service=`"),
            (with("schema=Forge"), StoreErrorKind::Refused, "a-z"),
            (with("writers=99"), StoreErrorKind::Refused, "1 to 16"),
        ] {
            let (found, text) = refusal(engine(&url).open_timeout(LONG)).await;
            assert_eq!(found, kind, "{url}: {text}");
            assert!(text.contains(remedy), "{remedy}: {text}");
            assert!(!text.contains("migrate"), "{text}");
        }
    });
}

/// The server is asked whose right lacks, before anything is tried.
#[test]
fn a_schema_that_cannot_be_used_is_told_with_the_statement_that_helps() {
    let test = "a_schema_that_cannot_be_used_is_told_with_the_statement_that_helps";
    let Some(server) = server(test) else {
        return;
    };
    let as_app = |parameters: &str| server.url(parameters).replace("postgres@", "app@");
    let mut conn = connect(&server.url(""));
    execute(
        &mut conn,
        "CREATE ROLE app LOGIN; CREATE SCHEMA empty; GRANT USAGE ON SCHEMA empty TO app",
    );
    bounded(async {
        let migrated = engine(&server.url("schema=forge")).worker(false).open();
        migrated.await.unwrap().shutdown().await;
        let told = async |url: &str, words: &[&str]| {
            for builder in [engine(url), engine(url).verify_only()] {
                let (kind, text) = refusal(builder.open_timeout(LONG)).await;
                assert_eq!(kind, StoreErrorKind::Schema, "{text}");
                for word in words {
                    assert!(text.contains(word), "no {word}: {text}");
                }
            }
        };
        // One letter too many.
        told(
            &as_app("schema=forgee"),
            &["no schema `forgee`", "runs are in `forge`"],
        )
        .await;
        told(
            &as_app("schema=forge"),
            &["GRANT USAGE ON SCHEMA forge TO app"],
        )
        .await;
        told(
            &as_app("schema=empty"),
            &["`empty`", "no tables of ours", "open it once"],
        )
        .await;
        // A role of workers, and a binary that is newer than what the owner migrated.
        execute(
            &mut conn,
            "GRANT USAGE ON SCHEMA forge TO app; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA forge TO app;
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA forge TO app;
            DELETE FROM forge.chrono_forge_schema_migrations WHERE version = (SELECT max(version) FROM forge.chrono_forge_schema_migrations)",
        );
        told(&as_app("schema=forge"), &["lacks schema version"]).await;
        let (_, text) = refusal(engine(&as_app("schema=forge"))).await;
        assert!(text.contains("as `postgres`"), "{text}");
    });
    let schemas = "SELECT string_agg(nspname, ' ' ORDER BY nspname) AS text FROM pg_namespace WHERE nspname LIKE 'forge%'";
    assert_eq!(text(&mut conn, schemas), "forge");
}

/// It may be one letter too many, by whoever may create what is not there.
#[test]
fn a_schema_that_is_made_beside_one_that_holds_runs_is_warned_of() {
    let Some(server) = server("a_schema_that_is_made_beside_one_that_holds_runs_is_warned_of")
    else {
        return;
    };
    telling::listen();
    // Schemas that only this test makes: it hears what every test of its process is told.
    let warned = || telling::told(&["WARN", "a schema is created", "schema=\"harbour"]);
    bounded(async {
        // The second time it is there, and the third name has a letter too many.
        for (schema, warnings) in [("harbour", 0), ("harbour", 0), ("harbours", 1)] {
            let url = server.url(&format!("schema={schema}"));
            engine(&url).open().await.unwrap().shutdown().await;
            assert_eq!(warned().len(), warnings, "{:#?}", warned());
        }
        let told = warned().concat();
        for word in [
            "schema=\"harbours\"",
            "others=\"harbour\"",
            "`schema=` in the URL",
        ] {
            assert!(told.contains(word), "no {word}: {told}");
        }
    });
}

/// What an engine makes stands apart from what is the application's.
#[test]
fn tables_go_to_a_schema_of_their_own_unless_told_otherwise() {
    let Some(server) = server("tables_go_to_a_schema_of_their_own_unless_told_otherwise") else {
        return;
    };
    let mut conn = connect(&server.url(""));
    let places = "SELECT string_agg(DISTINCT nspname, ' ') AS text FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE relname LIKE 'chrono\\_forge\\_%'";
    bounded(async {
        engine(&server.url(""))
            .open()
            .await
            .unwrap()
            .shutdown()
            .await;
        assert_eq!(text(&mut conn, places), "chrono_forge");
        engine(&server.url("schema=public"))
            .open()
            .await
            .unwrap()
            .shutdown()
            .await;
        assert_eq!(text(&mut conn, places), "chrono_forge public");
    });
}

#[test]
fn a_number_of_connections_is_set_in_the_url_or_at_the_builder_which_overrides_it() {
    let test = "a_number_of_connections_is_set_in_the_url_or_at_the_builder_which_overrides_it";
    let Some(server) = server(test) else {
        return;
    };
    let mut conn = connect(&server.url("application_name=other"));
    let mut locks = connect(&server.url("application_name=other"));
    let committing = "SELECT count(*)::text AS text FROM pg_stat_activity
        WHERE application_name = 'chrono-forge commits'";
    let waiting = "SELECT count(*)::text AS text FROM pg_stat_activity
        WHERE application_name = 'chrono-forge reads' AND wait_event_type = 'Lock'";
    bounded(async {
        for (nth, (url, builder, expected)) in [
            ("writers=3&readers=2", None, ("3", "2")),
            ("writers=3&readers=2", Some((1, 3)), ("1", "3")),
            ("", Some((4, 1)), ("4", "1")),
        ]
        .into_iter()
        .enumerate()
        {
            let url = server.url(&format!("{url}&schema=s{nth}"));
            let mut engine = engine(&url);
            if let Some((writers, readers)) = builder {
                engine = engine.writers(writers).readers(readers);
            }
            let forge = engine.open().await.unwrap();
            prove(&forge, "a").await;
            assert_eq!(text(&mut conn, committing), expected.0, "{url}");
            // More than are allowed want to read, and each waits with its connection.
            execute(
                &mut locks,
                &format!("BEGIN; LOCK TABLE s{nth}.chrono_forge_workflows"),
            );
            let mut crowd = JoinSet::new();
            for _ in 0..8 {
                let forge = forge.clone();
                crowd.spawn(async move { forge.get::<family>("a").await.is_ok() });
            }
            while text(&mut conn, waiting) != expected.1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(text(&mut conn, waiting), expected.1, "{url}");
            execute(&mut locks, "COMMIT");
            assert!(crowd.join_all().await.into_iter().all(|read| read));
            forge.shutdown().await;
        }
    });
}

/// Whose session is whose, and what for.
#[test]
fn sessions_and_statements_say_whose_they_are_and_what_for() {
    let Some(server) = server("sessions_and_statements_say_whose_they_are_and_what_for") else {
        return;
    };
    let mut conn = connect(&server.url("application_name=other"));
    let names = "SELECT string_agg(DISTINCT application_name, ', ' ORDER BY application_name) AS text
        FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'other'";
    let unnamed = "SELECT coalesce(string_agg(query, '; '), '') AS text FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'other'
            AND query !~ '^(/\\* chrono_forge [a-z_]+ \\*/ |BEGIN|COMMIT|ROLLBACK|SET |LISTEN |SELECT 1$)'";
    bounded(async {
        let forge = engine(&server.url(""))
            .worker_name("billing-7")
            .open()
            .await
            .unwrap();
        prove(&forge, "a").await;
        let told = text(&mut conn, names);
        assert_eq!(
            told,
            "billing-7 claims, billing-7 commits, billing-7 heartbeat, billing-7 listens, billing-7 reads"
        );
        assert_eq!(text(&mut conn, unnamed), "");
        forge.shutdown().await;
        // Who has said otherwise is left with it.
        let own = server.url("application_name=mine");
        let forge = engine(&own).worker_name("billing-7").open().await.unwrap();
        assert_eq!(text(&mut conn, names), "mine");
        forge.shutdown().await;
    });
}

/// As `psql` would be called here.
#[test]
fn a_name_that_the_environment_or_a_service_gives_is_kept() {
    const ALONE: &str = "CHRONO_FORGE_TEST_ALONE";
    let test = "a_name_that_the_environment_or_a_service_gives_is_kept";
    let Ok(url) = std::env::var(ALONE) else {
        let Some(server) = server(test) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let services = folder.path().join("services.conf");
        std::fs::write(&services, "[shop]\napplication_name=of-service\n").unwrap();
        for (variable, value, parameters, name) in [
            ("PGAPPNAME", "of-environment", "", "of-environment"),
            ("PGSERVICE", "shop", "", "of-service"),
            ("PGUSER", "postgres", "service=shop", "of-service"),
        ] {
            let url = server.url(parameters);
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            alone.args(["--exact", &format!("arrival::{test}")]);
            alone.env(ALONE, format!("{name} {url}"));
            alone.env("PGSERVICEFILE", &services).env(variable, value);
            assert!(alone.status().unwrap().success(), "{variable}");
        }
        return;
    };
    let (name, url) = url.split_once(' ').unwrap();
    let names = "SELECT string_agg(DISTINCT application_name, ', ') AS text FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    bounded(async {
        let forge = engine(url).worker_name("billing-7").open().await.unwrap();
        prove(&forge, "a").await;
        assert_eq!(text(&mut connect(url), names), name);
        forge.shutdown().await;
    });
}
