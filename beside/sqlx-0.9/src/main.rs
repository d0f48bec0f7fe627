//! Chrono-Forge beside sqlx 0.9: the application's tables in a file of sqlx's, the runs in one of the engine's own.

use chrono_forge::prelude::*;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

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
        .filename("shop.db")
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    let table = "CREATE TABLE IF NOT EXISTS orders (key TEXT PRIMARY KEY, item TEXT NOT NULL)";
    sqlx::query(table).execute(&pool).await?;

    let forge = Forge::builder("sqlite://forge.db")
        .state(pool.clone())
        .open()
        .await?;
    for (key, item) in [("o-1", "tea"), ("o-2", "milk"), ("o-1", "tea")] {
        forge.start(key, order(item.into())).await?.result().await?;
    }
    forge.shutdown().await;

    let select = "SELECT count(*), sqlite_version() FROM orders";
    let (orders, version): (i64, String) = sqlx::query_as(select).fetch_one(&pool).await?;
    println!("{orders} orders in a file of their own, by SQLite {version}");
    assert_eq!(orders, 2);
    Ok(())
}
