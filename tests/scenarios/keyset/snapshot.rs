//! A keyset that is read twice: what entered behind the first reading is dispatched before the seal.

use super::*;

#[workflow]
async fn bill_small(name: String) -> Result<usize> {
    Ok(name.len())
}

/// Pages of two; held at the row that the flag names, and once more at `hold again`.
#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn bill_each(probe: State<Probe>, pool: State<ShopPool>) -> Result<usize> {
    let billed = branch!("b", automerge = true, {
        let rows = Keyset::snapshot(customers::table, customers::id)
            .select((customers::id, customers::name))
            .pool(&counted(&probe, &pool));
        spawn_each!("c", of = 2, rows, |(id, name): (i64, String)| {
            probe.note(format!("at {id}"));
            for hold in ["hold at", "hold again"] {
                if probe.get(hold) == id {
                    probe.note(hold);
                    probe.raised(&format!("{hold}: go")).await;
                }
            }
            if id % 3 == 0 {
                bill_small(name)
            } else {
                bill(name)
            }
        })
    })
    .await?;
    Ok(billed.len())
}

const ALL: [&str; 3] = [bill_each::NAME, bill::NAME, bill_small::NAME];

/// A run that is held at 30 with 10 and 20 dispatched, of 10, 20, .. 60.
async fn held(world: &World, workflows: &[&str]) -> (ShopPool, Forge) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, (10..=60).step_by(10));
    world.probe.set("hold at", 30);
    let builder = world.builder(workflows.iter().copied());
    let forge = builder.state(pool.clone()).open().await.unwrap();
    forge.start("p", bill_each()).await.unwrap();
    world.noted("hold at", 1).await;
    (pool, forge)
}

#[scenario]
async fn what_entered_behind_the_reader_has_a_child_before_the_seal(world: &World) {
    let (pool, forge) = held(world, &ALL).await;
    shop::insert(&pool, [5, 21, 35, 45]);
    shop::remove(&pool, &[10, 60]);
    world.probe.set("hold at: go", 1);
    assert_eq!(world.settle("p").await.state, COMPLETED);
    let expected = ["10", "20", "30", "40", "45", "50", "5", "21", "35"];
    assert_eq!(keys(world, "p"), expected);
    // Nobody is asked twice, whatever workflow was chosen.
    for id in expected {
        assert_eq!(world.probe.count(&format!("at {id}")), 1, "{id}");
    }
    let run = forge.get::<bill_each>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 9);
    let branch = world.rows().record("p", "branch$b");
    assert_eq!((branch.spawned, branch.pending), (9, 0));
    let metadata = branch.metadata.unwrap();
    let cursor = r#""c":{"pk":50,"n":9,"again":true}"#;
    assert!(metadata.contains(cursor), "{metadata}");
}

#[scenario]
async fn the_second_reading_has_a_cursor_and_rules_of_its_own(world: &World) {
    let (pool, forge) = held(world, &[bill_each::NAME]).await;
    shop::insert(&pool, [5, 25]);
    world.probe.set("hold again", 25);
    world.probe.set("hold at: go", 1);
    world.noted("hold again", 1).await;
    // 5 and 10 are passed, 20 and 25 are read.
    world.until(|| world.rows().find("p$b$c$5").is_some()).await;
    let pages = world.probe.count("page");
    world.crash(&forge);
    drop(forge);
    shop::insert(&pool, [1, 24, 55, 70]);
    shop::remove(&pool, &[25]);
    world.probe.set("hold again", 0);
    let forge = world.builder(ALL).state(pool).open().await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    let expected = ["10", "20", "30", "40", "50", "60", "5", "24", "55", "70"];
    assert_eq!(keys(world, "p"), expected);
    for id in expected {
        assert_eq!(world.probe.count(&format!("at {id}")), 1, "{id}");
    }
    // From behind 10 there are seven rows.
    assert_eq!(world.probe.count("page") - pages, 4);
    let run = forge.get::<bill_each>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
}

#[scenario]
async fn a_table_at_rest_takes_two_readings_and_as_many_transactions(world: &World) {
    let pool = shop::open(world.dir());
    shop::insert(&pool, 10..20);
    // Nobody here executes the children, so that only dispatch commits.
    let forge = world.builder([bill_each::NAME]).state(pool);
    let forge = forge.open().await.unwrap();
    let before = world.failpoints.hits("commit.after.apply");
    forge.start("p", bill_each()).await.unwrap();
    world.parked("p").await;
    assert_eq!(world.probe.count("page"), 5 + 5);
    // Beside them the start, the seal with the merge's row, the park.
    let commits = world.failpoints.hits("commit.after.apply") - before;
    assert!(commits <= 5 + 5 + 3, "{commits} commits");
    assert_eq!(world.rows().children("p").len(), 10);
}

#[scenario]
async fn a_table_that_is_empty_at_first_is_read_again(world: &World) {
    let pool = shop::open(world.dir());
    let forge = world.builder(ALL).state(pool).open().await.unwrap();
    let run = forge.start("p", bill_each()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 0);
    assert_eq!(world.probe.count("page"), 2);
}
