//! Chrono-Forge beside rusqlite 0.37: orders in a table of the application's, their runs in the engine's, in one file.

use std::sync::{Arc, Mutex, PoisonError};

use chrono_forge::prelude::*;
use rusqlite::Connection;

const FILE: &str = "shop.db";

/// One connection, used by one thread at a time.
#[derive(Clone)]
struct Shop(Arc<Mutex<Connection>>);

impl Shop {
    /// rusqlite blocks its thread, so it has one of its own.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let conn = Arc::clone(&self.0);
        let work = move || work(&conn.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(work).await??)
    }
}

#[workflow]
async fn order(cx: Context, shop: State<Shop>, item: String) -> Result<i64> {
    // The run's key is the row's: executed again, the step finds its own row.
    step!("enter", enter(&shop, cx.key(), &item)).await?;
    Ok(step!("count", count(&shop)).await?)
}

async fn enter(shop: &Shop, key: &str, item: &str) -> Result<()> {
    let insert = "INSERT OR IGNORE INTO orders (key, item) VALUES (?, ?)";
    let row = (key.to_owned(), item.to_owned());
    shop.with(move |conn| conn.execute(insert, row).map(drop))
        .await
}

async fn count(shop: &Shop) -> Result<i64> {
    let select = "SELECT count(*) FROM orders";
    shop.with(|conn| conn.query_row(select, [], |row| row.get(0)))
        .await
}

#[tokio::main]
async fn main() -> Result<()> {
    let conn = Connection::open(FILE)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    let table = "CREATE TABLE IF NOT EXISTS orders (key TEXT PRIMARY KEY, item TEXT NOT NULL)";
    conn.execute(table, [])?;
    let shop = Shop(Arc::new(Mutex::new(conn)));

    let url = format!("sqlite://{FILE}");
    let forge = Forge::builder(&url).state(shop.clone()).open().await?;
    for (key, item) in [("o-1", "tea"), ("o-2", "milk"), ("o-1", "tea")] {
        forge.start(key, order(item.into())).await?.result().await?;
    }
    forge.shutdown().await;

    let select =
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM chrono_forge_workflows)";
    let counts = shop.with(|conn| conn.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))));
    let (orders, runs): (i64, i64) = counts.await?;
    let version = rusqlite::version();
    println!("{orders} orders and {runs} runs in one file, by SQLite {version}");
    assert_eq!((orders, runs), (2, 2));
    Ok(())
}
