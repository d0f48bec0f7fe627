//! `Keyset`: rows of a user's table as children, in the order of their primary key.

mod changes;
mod composite;
mod keys;
mod snapshot;
mod trouble;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use chrono_forge_tests::shop::{self, Customer, ShopConnection, ShopPool, customers};
use diesel::prelude::*;

/// The shop's connections, one per page; each page is noted.
fn counted(
    probe: &Probe,
    pool: &ShopPool,
) -> impl Fn() -> Result<ShopConnection> + Clone + Send + use<> {
    let (probe, pool) = (probe.clone(), pool.clone());
    move || {
        if probe.nth("page") == 2 && probe.is("flaky") {
            anyhow::bail!("the pool is exhausted");
        }
        Ok(pool.get()?)
    }
}

/// The ends of the children's keys, in order of dispatch.
fn keys(world: &World, key: &str) -> Vec<String> {
    let children = world.rows().children(key).into_iter();
    children
        .map(|child| child.key.rsplit_once("$c$").unwrap().1.to_owned())
        .collect()
}

#[workflow]
async fn bill(name: String) -> Result<usize> {
    Ok(name.len())
}

#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn bill_all(probe: State<Probe>, pool: State<ShopPool>, of: u64) -> Result<usize> {
    let billed = branch!("b", {
        let active = customers::table.filter(customers::active.eq(true));
        let rows = Keyset::new(active, customers::id)
            .select(Customer::as_select())
            .pool(&counted(&probe, &pool));
        spawn_each!("c", of = of, rows, |customer| {
            probe.note(format!("at {}", customer.id));
            if probe.get("hold at") == customer.id {
                probe.note("held");
                probe.raised("go").await;
            }
            bill(customer.name)
        })
    })
    .await?;
    wait!("pause", days(1)).await;
    let billed = merge!(billed).await?;
    let sum = billed.fold(0, |sum, name| sum + name).await?;
    anyhow::ensure!(billed.len() * "customer 10".len() == sum);
    Ok(billed.len())
}

const NAMES: [&str; 2] = [bill_all::NAME, bill::NAME];

#[scenario]
async fn each_row_has_a_child_under_its_primary_key_in_order(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, (10..=30).rev());
    shop::edit(
        &pool,
        "UPDATE customers SET active = FALSE WHERE id % 10 = 5",
    );
    let forge = world.builder(NAMES).state(pool).open().await.unwrap();
    let run = forge.start("p", bill_all(5)).await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 19);
    let expected = (10..=30).filter(|id| id % 10 != 5);
    let expected: Vec<_> = expected.map(|id| id.to_string()).collect();
    assert_eq!(keys(world, "p"), expected);
    let metadata = world.rows().record("p", "branch$b").metadata.unwrap();
    assert!(metadata.contains(r#""c":{"pk":30,"n":19}"#), "{metadata}");
    assert_eq!(world.probe.count("page"), 4, "{:?}", world.probe.log());
}

#[scenario]
async fn a_sealed_branch_reads_its_rows_zero_times(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..20);
    let forge = world
        .builder(NAMES)
        .state(pool.clone())
        .open()
        .await
        .unwrap();
    forge.start("p", bill_all(100)).await.unwrap();
    world.parked("p").await;
    assert_eq!(world.probe.count("page"), 1);
    world.crash(&forge);
    drop(forge);
    let _forge = world.builder(NAMES).state(pool).open().await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(world.probe.count("page"), 1);
}

#[scenario]
async fn a_page_is_a_transaction_and_none_is_empty(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..30);
    // Nobody here executes the children, so that only dispatch commits.
    let forge = world
        .builder([bill_all::NAME])
        .state(pool)
        .open()
        .await
        .unwrap();
    for (key, of, pages) in [("a", 10, 2), ("b", 7, 3), ("c", 1_000, 1)] {
        let (pages_before, before) = (
            world.probe.count("page"),
            world.failpoints.hits("commit.after.apply"),
        );
        forge.start(key, bill_all(of)).await.unwrap();
        world.parked(key).await;
        assert_eq!(world.probe.count("page") - pages_before, pages, "of {of}");
        // Beside them the start, the seal with the wait's row, the park; some may share one.
        let commits = world.failpoints.hits("commit.after.apply") - before;
        assert!(commits <= pages as u64 + 3, "of {of}: {commits} commits");
        assert_eq!(world.rows().children(key).len(), 20);
    }
}

#[scenario]
async fn an_empty_table_seals_an_empty_branch(world: &World) {
    let pool = shop::open(world.dir());
    let forge = world.builder(NAMES).state(pool).open().await.unwrap();
    let run = forge.start("p", bill_all(5)).await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 0);
}

#[scenario]
async fn after_a_crash_between_pages_reading_goes_on_from_the_cursor(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..22);
    world.probe.set("hold at", 17);
    let forge = world.builder([bill_all::NAME]).state(pool.clone());
    let forge = forge.open().await.unwrap();
    forge.start("p", bill_all(3)).await.unwrap();
    world.noted("held", 1).await;
    world
        .until(|| world.rows().find("p$b$c$15").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    assert_eq!(world.rows().children("p").len(), 6);
    world.probe.set("hold at", 0);
    world.probe.set("go", 1);
    let forge = world.builder(NAMES).state(pool).open().await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    let run = forge.get::<bill_all>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
    for (id, times) in [(10, 1), (15, 1), (16, 2), (17, 2), (18, 1), (21, 1)] {
        assert_eq!(world.probe.count(&format!("at {id}")), times, "{id}");
    }
    let branch = world.rows().record("p", "branch$b");
    assert_eq!((branch.spawned, branch.pending), (12, 0));
}
