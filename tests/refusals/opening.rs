//! What `open` refuses: knobs, files, schemas.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Builder, Error, StoreErrorKind};
use chrono_forge_tests::scenario::{World, scenario};

use super::{healthy, serves_on};

async fn refused(builder: Builder, knob: &str) -> String {
    match builder.open().await {
        Err(Error::Config {
            knob: named,
            problem,
        }) if named == knob => problem,
        other => panic!("{knob}: {other:?}"),
    }
}

#[scenario]
async fn a_knob_that_cannot_work_is_named_with_its_remedy(world: &World) {
    let new = || world.builder([healthy::NAME]);
    refused(new().queue("default", 0), "queue").await;
    refused(new().queue("", 1), "queue").await;
    refused(new().heartbeat(Duration::ZERO), "heartbeat").await;
    let late = new().lease(secs(3)).heartbeat(secs(2));
    assert!(refused(late, "lease").await.contains("two heartbeats"));
    refused(new().poll_interval(Duration::ZERO), "poll_interval").await;
    refused(new().payload_bytes_max(0), "payload_bytes_max").await;
    refused(new().commit_batch_max(0), "commit_batch_max").await;
    assert!(world.is_untouched(), "nothing was opened");
    new()
        .lease(secs(4))
        .heartbeat(secs(2))
        .open()
        .await
        .unwrap();
}

async fn not_opened(url: &str) -> (StoreErrorKind, String) {
    let builder = Forge::builder(url).workflows([healthy::NAME]);
    match builder.open().await {
        Err(Error::Store(error)) => (error.kind, error.to_string()),
        other => panic!("{url}: {other:?}"),
    }
}

#[scenario(sqlite_only = "a server has no file")]
async fn a_url_or_a_file_that_is_no_database_is_a_typed_error(world: &World) {
    let dir = world.dir().display().to_string();
    let mut urls = vec![
        "",
        "mysql://x",
        "sqlite:",
        "sqlite::memory",
        "memory",
        "sqlite",
    ];
    if !cfg!(feature = "postgres") {
        urls.push("postgres://localhost/x");
    }
    for url in urls {
        let (kind, text) = not_opened(url).await;
        assert_eq!(kind, StoreErrorKind::Refused, "{url}: {text}");
    }
    for path in [dir.clone(), format!("{dir}/missing/forge.db")] {
        let (kind, text) = not_opened(&format!("sqlite://{path}")).await;
        assert_eq!(kind, StoreErrorKind::Access, "{path}: {text}");
    }
    let junk = world.dir().join("junk.db");
    std::fs::write(
        &junk,
        "this is no database, but it is long enough to have a header. ".repeat(50),
    )
    .unwrap();
    let (kind, text) = not_opened(&format!("sqlite://{}", junk.display())).await;
    assert_eq!(kind, StoreErrorKind::Corrupt, "{text}");
    assert!(text.contains("junk.db"), "{text}");
    assert!(text.contains("not a database"), "{text}");
}

/// Taken for a path, each would be a file of this name, wherever the process was started.
#[scenario(sqlite_only = "it is about files")]
async fn what_reads_like_a_server_makes_no_file_and_shows_no_password(_world: &World) {
    for url in [
        "postgres//app:s3cret@db/app",
        "postgres:/app:s3cret@db/app",
        "pgsql://app:s3cret@db/app",
        "app:s3cret@db/app",
        "db.internal:5432/app?password=s3cret",
        "host=127.0.0.1 password=s3cret dbname",
        "postgres://app:s3/cret@db/app",
    ] {
        let (kind, text) = not_opened(url).await;
        assert_eq!(kind, StoreErrorKind::Refused, "{url}: {text}");
        assert!(!text.contains("s3"), "{text}");
        assert!(!std::path::Path::new(url).exists(), "{url}");
    }
}

#[scenario]
async fn an_option_of_the_url_that_means_nothing_is_refused_by_name(world: &World) {
    let url = world.url();
    let sign = if url.contains('?') { '&' } else { '?' };
    for option in [
        "colour=blue",
        "synchronous=NORMAL",
        "Synchronous=normal",
        "synchronous=",
        "synchronous",
        "synchronous=off",
    ] {
        let (kind, text) = not_opened(&format!("{url}{sign}{option}")).await;
        assert_eq!(kind, StoreErrorKind::Refused, "{option}: {text}");
        let name = option.split('=').next().unwrap();
        assert!(text.contains(name), "{option}: {text}");
    }
    assert!(world.is_untouched(), "nothing was opened");
}

#[scenario]
async fn a_schema_of_a_newer_version_is_refused_untouched(world: &World) {
    drop(world.forge([healthy::NAME]).await);
    let insert = "INSERT INTO chrono_forge_schema_migrations (version) VALUES ('99990101000000')";
    world.rows().edit(insert, &[]);
    let (kind, text) = not_opened(&world.url()).await;
    assert_eq!(kind, StoreErrorKind::Schema, "{text}");
    let versions = "SELECT count(*) FROM chrono_forge_schema_migrations WHERE version LIKE '9999%'";
    assert_eq!(world.rows().number(versions), 1);
}

#[scenario]
async fn verify_only_refuses_an_older_schema_and_takes_the_right_one(world: &World) {
    let verify = || world.builder([healthy::NAME]).verify_only();
    match verify().open().await {
        Err(Error::Store(error)) => {
            assert_eq!(error.kind, StoreErrorKind::Schema, "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(world.forge([healthy::NAME]).await);
    let forge = verify().open().await.unwrap();
    serves_on(&forge, "verified").await;
}

#[scenario]
async fn a_table_that_is_gone_under_the_engine_takes_nobody_down(world: &World) {
    let builder = world.builder([healthy::NAME]);
    let forge = builder
        .poll_interval(Duration::from_millis(20))
        .open()
        .await
        .unwrap();
    let rows = world.rows();
    rows.edit("ALTER TABLE chrono_forge_workflows RENAME TO gone", &[]);
    let error = forge.start("k", healthy()).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    rows.edit("ALTER TABLE gone RENAME TO chrono_forge_workflows", &[]);
    serves_on(&forge, "gone").await;
}
