//! `spawn_each!`: keys, transactions, cursors, retries.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

#[workflow]
async fn leaf(n: u64) -> Result<u64> {
    Ok(n + 1)
}

#[workflow]
async fn even(n: u64) -> Result<u64> {
    Ok(n)
}

#[workflow]
async fn fan_out(probe: State<Probe>, count: u64, of: u64) -> Result<u64> {
    let source = (0..count).inspect(|_| probe.note("read"));
    let branch = branch!("grp", {
        spawn_each!("n", of = of, source.clone(), |n| leaf(n))
    })
    .await?;
    wait!("pause", days(1)).await;
    let children = merge!(branch).await?;
    assert_eq!(children.len() as u64, count);
    assert_eq!(children.is_empty(), count == 0);
    Ok(children.collect().await?.iter().sum())
}

#[scenario]
async fn each_item_has_a_child_under_its_index_in_order(world: &World) {
    let forge = world.forge([fan_out::NAME, leaf::NAME]).await;
    let run = forge.start("p", fan_out(12, 5)).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), 66 + 12);
    let keys: Vec<_> = world
        .rows()
        .children("p")
        .into_iter()
        .map(|c| c.key)
        .collect();
    let expected: Vec<_> = (0..12).map(|i| format!("p$grp$n${i}")).collect();
    assert_eq!(keys, expected);
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.spawned, branch.pending, branch.state), (12, 0, 1));
    let metadata = branch.metadata.unwrap();
    assert!(metadata.contains(r#""n":{"n":12}"#), "{metadata}");
}

#[scenario]
async fn a_replayed_branch_reads_its_source_zero_times(world: &World) {
    let forge = world.forge([fan_out::NAME, leaf::NAME]).await;
    forge.start("p", fan_out(7, 1_000)).await.unwrap();
    world.parked("p").await;
    assert_eq!(world.probe.count("read"), 7);
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(world.probe.count("read"), 7);
}

#[scenario]
async fn an_empty_source_seals_an_empty_branch(world: &World) {
    let forge = world.forge([fan_out::NAME, leaf::NAME]).await;
    let run = forge.start("p", fan_out(0, 10)).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), 0);
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.spawned, branch.pending, branch.state), (0, 0, 1));
}

#[workflow]
async fn counted(count: u64, of: u64) -> Result<()> {
    let _branch = branch!("grp", {
        spawn_each!("n", of = of, 0..count, |n| parked_leaf(n));
    })
    .await?;
    merge!("grp").await?;
    Ok(())
}

#[workflow]
async fn parked_leaf(n: u64) -> Result<()> {
    wait!("pause", days(n + 1)).await;
    Ok(())
}

#[scenario]
async fn a_fan_out_takes_a_transaction_per_batch_and_not_per_child(world: &World) {
    // Nobody here executes the children, so that only dispatch commits.
    let forge = world.forge([counted::NAME]).await;
    let written = || world.failpoints.hits("commit.after.apply");
    let mut commits = Vec::new();
    for (key, count) in [("two", 20), ("five", 50)] {
        let before = written();
        forge.start(key, counted(count, 10)).await.unwrap();
        world.parked(key).await;
        commits.push(written() - before);
        assert_eq!(world.rows().children(key).len() as u64, count);
    }
    // The batches, the empty one after them, the seal with the merge's row, the park.
    // Fewer when some of them meet in one transaction.
    assert!(commits[0] <= 2 + 4, "{commits:?}");
    assert!(commits[1] <= 5 + 4, "{commits:?}");
}

#[workflow]
async fn by_class() -> Result<()> {
    let branch = branch!("grp", {
        spawn_each!("n", [3_u64, 4], |n| if n % 2 == 0 {
            even(n)
        } else {
            leaf(n)
        })
    })
    .await?;
    let outputs = merge!(branch).await?.collect().await?;
    assert_eq!(outputs, [4, 4]);
    Ok(())
}

#[scenario]
async fn the_closure_chooses_the_workflow(world: &World) {
    let forge = world.forge([by_class::NAME, leaf::NAME, even::NAME]).await;
    forge
        .start("p", by_class())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    let workflows: Vec<_> = world
        .rows()
        .children("p")
        .into_iter()
        .map(|c| c.workflow)
        .collect();
    assert_eq!(workflows, ["leaf", "even"]);
}

#[workflow]
async fn interrupted(probe: State<Probe>) -> Result<u64> {
    let source = (0..40_u64).inspect(|n| probe.note(format!("read {n}")));
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", of = 10, source.clone(), |n| {
            if n == 25 {
                probe.note("at 25");
                probe.raised("go").await;
            }
            leaf(n)
        })
    })
    .await?;
    Ok(children.collect().await?.iter().sum())
}

#[scenario]
async fn after_a_crash_dispatch_goes_on_from_the_cursor(world: &World) {
    let forge = world.forge([interrupted::NAME]).await;
    forge.start("p", interrupted()).await.unwrap();
    world.noted("at 25", 1).await;
    world
        .until(|| world.rows().find("p$grp$n$19").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    assert_eq!(world.rows().children("p").len(), 20);
    world.probe.set("go", 1);
    let forge = world.forge([interrupted::NAME, leaf::NAME]).await;
    let run = forge.get::<interrupted>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), (1..=40).sum::<u64>());
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.spawned, branch.pending), (40, 0));
    assert_eq!(world.probe.count("at 25"), 2);
    let sizes = world
        .rows()
        .number("SELECT count(DISTINCT key) FROM chrono_forge_workflows");
    assert_eq!(sizes, 41);
}

#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn flaky_closure(probe: State<Probe>) -> Result<u64> {
    let children = branch!("grp", automerge = true, {
        let _first = spawn!("first", leaf(100));
        spawn_each!("n", of = 2, 0..6_u64, |n| {
            anyhow::ensure!(n != 3 || probe.nth("at 3") > 1, "three is difficult");
            leaf(n)
        })
    })
    .await?;
    Ok(children.collect().await?.iter().sum())
}

#[scenario]
async fn an_error_of_a_closure_is_retried_from_the_cursor(world: &World) {
    let forge = world.forge([flaky_closure::NAME, leaf::NAME]).await;
    let run = forge.start("p", flaky_closure()).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), (1..=6).sum::<u64>());
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.spawned, branch.pending, branch.attempts), (7, 0, 2));
    assert_eq!(world.rows().errors("p")[0].message, "three is difficult");
}

#[scenario]
async fn a_batch_that_is_dispatched_again_wakes_no_child_that_is_parked(world: &World) {
    let names = [counted::NAME, parked_leaf::NAME];
    let forge = world.forge(names).await;
    forge.start("p", counted(3, 10)).await.unwrap();
    world.parked("p").await;
    world.quiet().await;
    world.crash(&forge);
    drop(forge);
    // As if the seal and the cursor had been lost.
    let rows = world.rows();
    rows.edit("UPDATE chrono_forge_execution_logs SET state = 0, seq = NULL, result = NULL, metadata = NULL WHERE step_name = 'branch$grp'", &[]);
    rows.make_due("p", world.now());
    let epochs = |rows: &chrono_forge_tests::scenario::Rows| -> Vec<i64> {
        rows.children("p")
            .into_iter()
            .map(|c| c.lock_epoch)
            .collect()
    };
    let before = epochs(&rows);
    let _forge = world.forge(names).await;
    world
        .until(|| world.rows().record("p", "branch$grp").state == 1)
        .await;
    world.quiet().await;
    assert_eq!(epochs(&world.rows()), before);
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!(
        (branch.spawned, branch.pending),
        (3, 3),
        "not counted again"
    );
    assert_eq!(world.settle("p").await.state, COMPLETED);
}

#[workflow]
async fn borrowing(names: Vec<String>) -> Result<Vec<u64>> {
    let factor = step!("factor", { Ok(10_u64) }).await?;
    let children = branch!("grp", automerge = true, {
        spawn_each!("name", names.iter(), |name| {
            let n: u64 = name.parse()?;
            leaf(n * factor)
        })
    })
    .await?;
    Ok(children.collect().await?)
}

#[scenario]
async fn a_source_may_borrow_and_a_closure_may_capture_and_fail(world: &World) {
    let forge = world.forge([borrowing::NAME, leaf::NAME]).await;
    let names = vec!["1".to_owned(), "2".to_owned()];
    let run = forge.start("p", borrowing(names)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), [11, 21]);
}
