//! What is written at once ends at bytes as well as at rows.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use chrono_forge_tests::shop::{self, Customer, ShopPool, customers};
use diesel::prelude::*;
use futures::stream as items;

/// Of this one plan of eight has about 8 MiB.
const ITEMS: u64 = 24;

/// More transactions than this write 24 MiB, if each ends at about 8 MiB.
const COMMITS_MIN: u64 = 3;

fn text(n: u64) -> String {
    format!("{n:<8}").repeat((1 << 20) / 8)
}

#[workflow]
async fn wide_child(text: String) -> Result<usize> {
    Ok(text.len())
}

#[workflow]
async fn of_an_iterator() -> Result<usize> {
    let children = branch!("b", automerge = true, {
        spawn_each!("c", 0..ITEMS, |n| wide_child(text(n)))
    })
    .await?;
    Ok(children.len())
}

#[workflow]
async fn of_one_page(probe: State<Probe>) -> Result<usize> {
    let children = branch!("b", automerge = true, {
        let fetch = |token: Option<u64>| {
            probe.note("page");
            async move {
                let from = token.unwrap_or(0);
                let to = if from == 0 { ITEMS - 1 } else { ITEMS };
                Ok(((from..to).collect::<Vec<_>>(), (to < ITEMS).then_some(to)))
            }
        };
        spawn_each!("c", pages(fetch), |n| wide_child(text(n)))
    })
    .await?;
    Ok(children.len())
}

#[workflow]
async fn of_a_stream() -> Result<usize> {
    let children = branch!("b", automerge = true, {
        let source = stream(|token: Option<u64>| {
            let from = token.map_or(0, |token| token + 1);
            items::iter((from..ITEMS).map(|n| Ok((n, n))))
        });
        spawn_each!("c", source, |n| wide_child(text(n)))
    })
    .await?;
    Ok(children.len())
}

#[workflow]
async fn of_a_table(pool: State<ShopPool>, snapshot: bool) -> Result<usize> {
    let children = branch!("b", automerge = true, {
        let rows = match snapshot {
            true => Keyset::snapshot(customers::table, customers::id),
            false => Keyset::new(customers::table, customers::id),
        };
        let rows = rows.select(Customer::as_select()).pool(&*pool);
        spawn_each!("c", rows, |customer| wide_child(text(customer.id as u64)))
    })
    .await?;
    Ok(children.len())
}

#[workflow]
async fn of_single_spawns() -> Result<usize> {
    branch!("b", automerge = true, {
        for n in 0..ITEMS {
            spawn!(format!("c{n}"), wide_child(text(n)));
        }
    })
    .await?;
    Ok(ITEMS as usize)
}

const PARENTS: [&str; 5] = [
    of_an_iterator::NAME,
    of_one_page::NAME,
    of_a_stream::NAME,
    of_a_table::NAME,
    of_single_spawns::NAME,
];

/// Dies in the middle of the dispatch, and goes on behind what was written.
async fn dispatch(world: &World, parent: Invocation<usize>) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 0..ITEMS as i64);
    // Nobody here executes the children, so that only the dispatch commits.
    let open = || world.builder(PARENTS).state(pool.clone()).open();
    let forge = open().await.unwrap();
    world.failpoints.arm("commit.before.apply", 3);
    forge.start("p", parent).await.unwrap();
    forge.crashed().await;
    let there = world.rows().children("p").len() as u64;
    assert!(0 < there && there < ITEMS, "{there} children after a death");
    world.bury();
    drop(forge);
    let before = world.failpoints.hits("commit.after.apply");
    let forge = open().await.unwrap();
    world.parked("p").await;
    let commits = world.failpoints.hits("commit.after.apply") - before;
    assert!(commits + 1 >= COMMITS_MIN, "{commits} more commits");
    drop(forge);
    let mut keys: Vec<_> = world
        .rows()
        .children("p")
        .into_iter()
        .map(|it| it.key)
        .collect();
    assert_eq!(keys.len() as u64, ITEMS, "{keys:?}");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len() as u64, ITEMS);
    assert_eq!(world.rows().record("p", "branch$b").spawned, ITEMS as i64);
}

#[scenario(threads = 2)]
async fn a_batch_of_an_iterator_ends_at_bytes(world: &World) {
    dispatch(world, of_an_iterator()).await;
}

#[scenario(threads = 2)]
async fn a_batch_of_a_page_ends_at_bytes(world: &World) {
    dispatch(world, of_one_page()).await;
}

#[scenario(threads = 2)]
async fn a_batch_of_a_stream_ends_at_bytes(world: &World) {
    dispatch(world, of_a_stream()).await;
}

#[scenario(threads = 2)]
async fn a_batch_of_rows_ends_at_bytes(world: &World) {
    dispatch(world, of_a_table(false)).await;
}

#[scenario(threads = 2)]
async fn a_batch_of_rows_that_are_read_twice_ends_at_bytes(world: &World) {
    dispatch(world, of_a_table(true)).await;
}

#[scenario(threads = 2)]
async fn what_single_spawns_of_a_block_write_ends_at_bytes(world: &World) {
    dispatch(world, of_single_spawns()).await;
}

#[workflow]
async fn many_results() -> Result<usize> {
    let steps = (0..ITEMS).map(|n| async move { step!(format!("s{n}"), { Ok(text(n)) }).await });
    let texts = futures::future::try_join_all(steps).await?;
    Ok(texts.len())
}

/// Each process dies after its first commit: with the ends of the lives the records grow by parts.
#[scenario(threads = 2)]
async fn what_one_pass_writes_at_once_ends_at_bytes(world: &World) {
    let mut recorded = Vec::new();
    while recorded.len() < 12 {
        world.failpoints.arm("commit.after.apply", 1);
        let forge = world.forge([many_results::NAME]).await;
        forge.start("p", many_results()).await.unwrap();
        let died = tokio::time::timeout(Duration::from_secs(10), forge.crashed()).await;
        let records = world.rows().records("p").into_iter();
        recorded.push(records.filter(|record| record.result.is_some()).count() as u64);
        if died.is_err() || world.rows().run("p").state == COMPLETED {
            break;
        }
        world.bury();
    }
    let is_part = |count: &u64| (1..ITEMS).contains(count);
    assert!(recorded.iter().any(is_part), "{recorded:?}");
}
