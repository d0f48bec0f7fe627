//! A table whose rows become children, for processes that are killed. As those of [`labour`](crate::labour)
//! the workflows ask for no state: they open the table that their arguments name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono_forge::prelude::*;
use diesel::prelude::*;

use crate::shop::{self, ShopPool, customers};

/// The table in a folder, opened once per process.
fn table(folder: &str) -> ShopPool {
    static OPEN: Mutex<BTreeMap<String, ShopPool>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = || shop::open(Path::new(folder));
    open.entry(folder.to_owned()).or_insert_with(pool).clone()
}

/// A child of one step that takes so long; gives its row's key.
#[workflow]
pub async fn billed_row(id: i64, millis: u64) -> Result<i64> {
    let bill = step!("bill", {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(id)
    });
    Ok(bill.await?)
}

/// A child per customer in the folder's table, whose rows are read once, or twice for a snapshot; gives
/// their number.
#[workflow]
pub async fn billed_table(
    folder: String,
    is_snapshot: bool,
    of: u64,
    millis: u64,
) -> Result<usize> {
    let billed = branch!("bills", automerge = true, {
        let active = customers::table.filter(customers::active.eq(true));
        let rows = if is_snapshot {
            Keyset::snapshot(active, customers::id)
        } else {
            Keyset::new(active, customers::id)
        };
        let rows = rows.select(customers::id).pool(&table(&folder));
        spawn_each!("row", of = of, rows, |id: i64| billed_row(id, millis))
    })
    .await?;
    Ok(billed.len())
}
