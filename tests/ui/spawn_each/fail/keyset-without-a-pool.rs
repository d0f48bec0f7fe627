use chrono_forge::prelude::*;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};

type Shop = Pool<ConnectionManager<SqliteConnection>>;

diesel::table! {
    customers (id) {
        id -> BigInt,
        name -> Text,
    }
}

#[workflow]
async fn bill(id: i64) -> Result<i64> {
    Ok(id)
}

#[workflow]
async fn run(pool: State<Shop>) -> Result<()> {
    let b = branch!("b", {
        let rows = Keyset::new(customers::table, customers::id);
        spawn_each!("c", rows, |(id, _): (i64, String)| bill(id))
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
