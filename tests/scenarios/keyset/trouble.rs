//! Pools without connections and queries that fail: errors of the block, tried again from the cursor.

use super::*;
use std::time::Duration;

#[scenario]
async fn a_pool_that_gives_no_connection_is_asked_again_from_the_cursor(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..16);
    world.probe.set("flaky", 1);
    let forge = world.builder(NAMES).state(pool).open().await.unwrap();
    let run = forge.start("p", bill_all(3)).await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(world.rows().errors("p")[0].message, "the pool is exhausted");
    assert_eq!(world.probe.count("page"), 3);
    assert_eq!(world.probe.count("at 10"), 1);
}

#[scenario]
async fn a_query_that_fails_is_an_error_of_the_block(world: &World) {
    let pool = shop::open(world.dir());
    shop::edit(&pool, "DROP TABLE customers");
    let forge = world
        .builder(NAMES)
        .state(pool.clone())
        .open()
        .await
        .unwrap();
    let run = forge.start("p", bill_all(3)).await.unwrap();
    world.until(|| !world.rows().errors("p").is_empty()).await;
    let message = &world.rows().errors("p")[0].message;
    assert!(message.contains("no such table: customers"), "{message}");
    let _again = shop::open(world.dir());
    shop::insert(&pool, 10..12);
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 2);
}

#[workflow]
async fn opens_its_own(dir: std::path::PathBuf) -> Result<usize> {
    let billed = branch!("b", automerge = true, {
        let url = dir.join("shop.db").display().to_string();
        let connect = move || SqliteConnection::establish(&url).map(Box::new);
        let rows = Keyset::new(customers::table, customers::id).pool(&connect);
        spawn_each!("c", rows, |(_, name, _): (i64, String, bool)| bill(name))
    })
    .await?;
    Ok(billed.len())
}

#[scenario]
async fn a_closure_may_open_a_connection_and_a_row_may_be_a_tuple_of_all_columns(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..13);
    let forge = world.forge([opens_its_own::NAME, bill::NAME]).await;
    let run = forge.start("p", opens_its_own(world.dir().to_owned()));
    assert_eq!(run.await.unwrap().result().await.unwrap(), 3);
}

#[scenario]
async fn a_page_gives_its_connection_back_before_its_children_are_made(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..20);
    world.probe.set("hold at", 14);
    let forge = world
        .builder(NAMES)
        .state(pool.clone())
        .open()
        .await
        .unwrap();
    forge.start("p", bill_all(3)).await.unwrap();
    world.noted("held", 1).await;
    assert_eq!(pool.state().idle_connections, pool.state().connections);
    let both = [pool.get(), pool.get_timeout(Duration::from_secs(5))];
    assert!(both.iter().all(|lent| lent.is_ok()), "both are idle");
    drop(both);
    world.probe.set("go", 1);
    assert_eq!(world.settle("p").await.state, COMPLETED);
}
