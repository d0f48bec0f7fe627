#![deny(warnings)]

use chrono_forge::prelude::*;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use futures::{Stream, StreamExt};

type Shop = Pool<ConnectionManager<SqliteConnection>>;

diesel::table! {
    customers (id) {
        id -> BigInt,
        name -> Text,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(check_for_backend(diesel::sqlite::Sqlite))]
struct Customer {
    id: i64,
    name: String,
}

#[workflow]
async fn bill(id: i64, name: String) -> Result<usize> {
    Ok(name.len() + id as usize)
}

struct Client(i64);

impl Client {
    async fn list(&self, from: Option<i64>) -> Result<(Vec<i64>, Option<i64>)> {
        Ok((vec![self.0], from))
    }

    fn events(&self, from: Option<i64>) -> impl Stream<Item = Result<(i64, i64)>> {
        futures::stream::iter([self.0]).map(move |n| Ok((n, from.unwrap_or(n))))
    }
}

#[workflow]
async fn run(pool: State<Shop>, client: State<Client>, names: Vec<String>) -> Result<()> {
    let branch = branch!("b", {
        let all = Keyset::new(customers::table, customers::id).select(Customer::as_select());
        spawn_each!("all", all.pool(&pool), |c| bill(c.id, c.name));
        let some = customers::table
            .filter(customers::name.eq_any(names.clone()))
            .filter(customers::id.gt(5));
        let some = Keyset::snapshot(some, customers::id).pool(&pool);
        spawn_each!("some", of = 10, some, |(id, name): (i64, String)| bill(
            id, name
        ));
        let ids = Keyset::new(customers::table, customers::id).select(customers::id);
        let ids = ids.key::<i64>().pool(&pool);
        spawn_each!("ids", ids, |id: i64| bill(id, String::new()));
        spawn_each!("pages", pages(|from| client.list(from)), |n| bill(
            n,
            String::new()
        ));
        spawn_each!("stream", stream(|from| client.events(from)), |n| {
            bill(n, String::new())
        })
    })
    .await?;
    merge!(branch).await?;
    Ok(())
}
