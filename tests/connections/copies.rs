//! A database that goes on where a copy of it was taken: a back-up, and a server that followed another one.

use std::time::Duration;

use chrono_forge::{Builder, Forge};
use chrono_forge_tests::server::{Server, Stop};

use crate::world::{bounded, connect, convoy, engine, execute, server, server_of, text};

const CHILDREN: u32 = 400;

/// Quick to notice that the workers in a copy are not alive.
fn worker(url: &str) -> Builder {
    let second = Duration::from_secs(1);
    engine(url).lease(second * 2).heartbeat(second / 2)
}

/// Children that have completed.
const DONE: &str = "SELECT count(*)::text AS text FROM forge.chrono_forge_workflows
    WHERE workflow = 'straggler' AND state = 2";

/// Steps that are recorded, and children that have one.
const RECORDED: &str = "SELECT count(*) || ' of ' || count(DISTINCT workflow_id) AS text
    FROM forge.chrono_forge_execution_logs WHERE step_name = 'step$slow' AND state = 1";

/// Waits until a part of the children has completed.
async fn half_way(url: &str) {
    let mut conn = connect(url);
    while text(&mut conn, DONE).parse::<u32>().unwrap() < CHILDREN / 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn goes_on(forge: &Forge, url: &str) {
    let run = forge.get::<convoy>("a").await.unwrap().unwrap();
    let sum = CHILDREN * (CHILDREN - 1) / 2;
    assert_eq!(run.result().await.unwrap(), sum);
    let recorded = text(&mut connect(url), RECORDED);
    assert_eq!(recorded, format!("{CHILDREN} of {CHILDREN}"));
}

fn dump(server: &Server, file: &std::path::Path) {
    let mut dump = server.program("pg_dump");
    dump.args(["-Fc", "-d", &server.url("")])
        .arg("-f")
        .arg(file);
    assert!(dump.status().unwrap().success());
}

fn restore(server: &Server, file: &std::path::Path, url: &str) {
    execute(&mut connect(&server.url("")), "CREATE DATABASE restored");
    let mut restore = server.program("pg_restore");
    restore.args(["-d", url]).arg(file);
    assert!(restore.status().unwrap().success());
}

#[test]
fn a_backup_of_a_database_at_work_goes_on_where_it_was_taken() {
    let Some(server) = server("a_backup_of_a_database_at_work_goes_on_where_it_was_taken") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let url = server.url("schema=forge");
    let restored = url.replace("/postgres?", "/restored?");
    bounded(async {
        let forge = worker(&url).open().await.unwrap();
        forge.start("a", convoy(CHILDREN)).await.unwrap();
        half_way(&server.url("")).await;
        dump(&server, &file);
        forge.shutdown().await;

        restore(&server, &file, &restored.replace("?schema=forge", ""));
        let mut conn = connect(&restored.replace("?schema=forge", ""));
        let done: u32 = text(&mut conn, DONE).parse().unwrap();
        assert!((1..CHILDREN).contains(&done), "{done}");
        let forge = worker(&restored).open().await.unwrap();
        goes_on(&forge, &restored.replace("?schema=forge", "")).await;
        forge.shutdown().await;
    });
}

#[test]
fn workers_go_over_to_the_server_that_is_promoted() {
    let test = "workers_go_over_to_the_server_that_is_promoted";
    let Some(primary) = server_of(test, Server::start()) else {
        return;
    };
    let Some(standby) = server_of(test, primary.start_standby()) else {
        return;
    };
    // Nothing is acknowledged that the other one does not have.
    let mut conn = connect(&primary.url(""));
    execute(
        &mut conn,
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
    );
    execute(&mut conn, "SELECT pg_reload_conf()");
    let hosts = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    bounded(async {
        let forge = worker(&format!("{hosts}&schema=forge"))
            .open()
            .await
            .unwrap();
        forge.start("a", convoy(CHILDREN)).await.unwrap();
        half_way(&primary.url("")).await;
        primary.stop(Stop::Immediate);
        execute(&mut connect(&standby.url("")), "SELECT pg_promote()");
        goes_on(&forge, &standby.url("")).await;
        forge.shutdown().await;
    });
}
