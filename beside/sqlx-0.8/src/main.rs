//! Chrono-Forge beside sqlx 0.8, which is what most projects have: orders in a table of the application's, their runs
//! in the engine's, in one file.

use std::time::Duration;

use chrono_forge::prelude::*;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};

const FILE: &str = "shop.db";

#[workflow]
async fn order(cx: Context, pool: State<SqlitePool>, item: String) -> Result<i64> {
    // The run's key is the row's: executed again, the step finds its own row.
    step!("enter", enter(&pool, cx.key(), &item)).await?;
    Ok(step!("count", count(&pool)).await?)
}

async fn enter(pool: &SqlitePool, key: &str, item: &str) -> Result<()> {
    let insert = "INSERT OR IGNORE INTO orders (key, item) VALUES (?, ?)";
    sqlx::query(insert)
        .bind(key)
        .bind(item)
        .execute(pool)
        .await?;
    Ok(())
}

async fn count(pool: &SqlitePool) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(pool)
        .await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(FILE)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(5));
    let pool = SqlitePool::connect_with(options).await?;
    let table = "CREATE TABLE IF NOT EXISTS orders (key TEXT PRIMARY KEY, item TEXT NOT NULL)";
    sqlx::query(table).execute(&pool).await?;

    let url = format!("sqlite://{FILE}");
    let forge = Forge::builder(&url).state(pool.clone()).open().await?;
    for (key, item) in [("o-1", "tea"), ("o-2", "milk"), ("o-1", "tea")] {
        forge.start(key, order(item.into())).await?.result().await?;
    }
    forge.shutdown().await;

    let (orders, runs, version): (i64, i64, String) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM chrono_forge_workflows), sqlite_version()",
    )
    .fetch_one(&pool)
    .await?;
    println!("{orders} orders and {runs} runs in one file, by SQLite {version}");
    assert_eq!((orders, runs), (2, 2));
    Ok(())
}
