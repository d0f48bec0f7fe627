//! A server, workflows that write and read all sorts of rows, and ways to look behind the engine.

use std::future::Future;
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Builder, Error, StoreErrorKind};
use chrono_forge_tests::process::bounded_by;
use chrono_forge_tests::server::Server;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

/// When a test that waits for something is given up.
const HANGS: Duration = Duration::from_secs(120);

/// A branch of children, each with a step, and a wait.
#[workflow]
pub(crate) async fn family(children: u32) -> Result<u32> {
    let branch = branch!("all", {
        spawn_each!("child", 0..children, |nth| member(nth))
    })
    .await?;
    wait!("moment", Duration::from_millis(5)).await;
    let members = merge!(branch).await?;
    Ok(members.len() as u32)
}

#[workflow]
pub(crate) async fn member(nth: u32) -> Result<u32> {
    step!("twice", { Ok(nth * 2) }).await.map_err(Into::into)
}

/// A branch of children that take a while, so that something may happen meanwhile.
#[workflow]
pub(crate) async fn convoy(children: u32) -> Result<u32> {
    let branch = branch!("all", automerge = true, {
        spawn_each!("child", 0..children, |nth| straggler(nth))
    })
    .await?;
    Ok(branch.collect().await?.into_iter().sum())
}

#[workflow]
pub(crate) async fn straggler(nth: u32) -> Result<u32> {
    let nth = step!("slow", {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(nth)
    })
    .await?;
    Ok(nth)
}

/// A result above 4 KiB a day, all of which each pass reads anew, one by one.
#[workflow]
pub(crate) async fn diary(days: u32) -> Result<u32> {
    for day in 0..days {
        let page = step!(format!("{day}"), { Ok("x".repeat(5_000)) }).await?;
        assert_eq!(page.len(), 5_000);
        wait!(format!("night {day}"), Duration::from_millis(20)).await;
    }
    Ok(days)
}

/// The server that `start` gives, or `None` with the reason told.
pub(crate) fn server_of(test: &str, start: Result<Server, String>) -> Option<Server> {
    start
        .inspect_err(|reason| eprintln!("skipped: {test}: {reason}"))
        .ok()
}

/// A server without anything special.
pub(crate) fn server(test: &str) -> Option<Server> {
    server_of(test, Server::start())
}

/// An engine that serves the workflows of this room.
pub(crate) fn engine(url: &str) -> Builder {
    Forge::builder(url).workflows([
        family::NAME,
        member::NAME,
        convoy::NAME,
        straggler::NAME,
        diary::NAME,
    ])
}

/// Runs a family to its end.
pub(crate) async fn prove(forge: &Forge, key: &str) {
    let run = forge.start(key, family(40)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 40);
}

/// Waits for `body`, not for ever.
pub(crate) fn bounded<F: Future>(body: F) -> F::Output {
    bounded_by(HANGS, body)
}

/// Why a database is not opened.
pub(crate) async fn refusal(builder: Builder) -> (StoreErrorKind, String) {
    match builder.open().await {
        Err(Error::Store(error)) => (error.kind, error.to_string()),
        other => panic!("{:?}", other.map(|_| "opened")),
    }
}

pub(crate) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

pub(crate) fn execute(conn: &mut PgConnection, sql: &str) {
    conn.batch_execute(sql).unwrap();
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// The column `text` of a query's only row.
pub(crate) fn text(conn: &mut PgConnection, sql: &str) -> String {
    let lines: Vec<Line> = diesel::sql_query(sql).load(conn).unwrap();
    let [line] = <[Line; 1]>::try_from(lines).ok().unwrap();
    line.text
}
