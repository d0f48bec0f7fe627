//! Branches below branches, through child workflows, to any depth.

use chrono_forge::prelude::*;
use chrono_forge::{RetryFilter, RunState};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, World, scenario};

const DEPTH: u32 = 6;
const FAN: u32 = 3;

/// 1 + 3 + 9 + .. + 729.
const RUNS: usize = 1_093;

/// Stands at the bottom, second of its branch each time.
const LEAF: &str = "t$b$n$1$b$n$1$b$n$1$b$n$1$b$n$1$b$n$1";

/// How many runs there are in and below it.
#[workflow]
async fn tree(cx: Context, probe: State<Probe>, depth: u32) -> Result<u64> {
    if depth == DEPTH {
        step!("work", retry = RetryPolicy::none(), {
            probe.note(format!("work of {}", cx.key()));
            anyhow::ensure!(probe.is("mended") || !probe.is(cx.key()), "broken");
            Ok(())
        })
        .await?;
        return Ok(1);
    }
    let below = branch!("b", automerge = true, {
        spawn_each!("n", 0..FAN, |_| tree(depth + 1))
    })
    .await?;
    Ok(below.fold(1, |sum, runs| sum + runs).await?)
}

/// Every key of the tree, sorted.
fn keys() -> Vec<String> {
    let mut level = vec!["t".to_owned()];
    let mut all = level.clone();
    for _ in 0..DEPTH {
        let below = |key: &String| {
            (0..FAN)
                .map(|n| format!("{key}$b$n${n}"))
                .collect::<Vec<_>>()
        };
        level = level.iter().flat_map(below).collect();
        all.extend_from_slice(&level);
    }
    all.sort_unstable();
    all
}

fn level_of(key: &str) -> usize {
    key.matches("$b$n$").count()
}

/// Every run of the tree is there once and completed.
fn is_whole(world: &World) {
    let mut runs = world.rows().runs();
    assert!(runs.iter().all(|run| run.state == COMPLETED));
    runs.sort_by(|a, b| a.key.cmp(&b.key));
    assert!(runs.iter().map(|run| &run.key).eq(&keys()));
    assert_eq!(runs.len(), RUNS);
}

#[scenario(threads = 2)]
async fn a_tree_of_1_093_runs_completes_and_results_go_up_level_by_level(world: &World) {
    let forge = world.forge([tree::NAME]).await;
    let run = forge.start("t", tree(0)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), RUNS as u64);
    is_whole(world);
    let child = forge.get::<tree>("t$b$n$2$b$n$0").await.unwrap().unwrap();
    assert_eq!(child.result().await.unwrap(), 1 + 3 + 9 + 27 + 81);
    let worked = world.probe.log().len();
    assert_eq!(worked, 729, "each leaf, once");
}

#[scenario(threads = 2)]
async fn a_leaf_that_stalls_parks_all_above_it_and_is_found_from_the_root(world: &World) {
    world.probe.set(LEAF, 1);
    let forge = world.forge([tree::NAME]).await;
    let run = forge.start("t", tree(0)).await.unwrap();
    let completed = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 2";
    let wanted = (RUNS - 1) as i64 - i64::from(DEPTH);
    world
        .until(|| world.rows().find("t").is_some() && world.rows().number(completed) == wanted)
        .await;
    world.quiet().await;
    let mut above = LEAF.to_owned();
    for _ in 0..DEPTH {
        above.truncate(above.len() - "$b$n$1".len());
        let ancestor = world.parked(&above).await;
        assert_eq!((ancestor.state, ancestor.wake_at), (IDLE, None), "{above}");
    }
    assert!(
        run.blocked_children().await.unwrap().is_empty(),
        "the root's own only wait"
    );
    let below = run.blocked_descendants().await.unwrap();
    assert_eq!(below.len(), 1);
    let named = (&*below[0].key, &*below[0].branch, below[0].state);
    assert_eq!(named, (LEAF, "b", RunState::Stalled));
    assert_eq!(below[0].stalled_by.as_deref(), Some("step$work"));
    let sound = forge.get::<tree>("t$b$n$0").await.unwrap().unwrap();
    assert!(sound.blocked_descendants().await.unwrap().is_empty());
    world.probe.set("mended", 1);
    forge.retry::<tree>(&below[0].key).await.unwrap();
    assert_eq!(run.result().await.unwrap(), RUNS as u64);
    assert!(run.blocked_descendants().await.unwrap().is_empty());
    is_whole(world);
}

#[scenario(threads = 2)]
async fn a_tree_whose_worker_dies_at_several_depths_goes_on_where_it_was(world: &World) {
    let mut forge = world.forge([tree::NAME]).await;
    forge.start("t", tree(0)).await.unwrap();
    for depth in [1, 2, 4, 6] {
        let is_there = || {
            world
                .rows()
                .runs()
                .iter()
                .any(|run| level_of(&run.key) >= depth)
        };
        world.until(is_there).await;
        world.crash(&forge);
        drop(forge);
        forge = world.forge([tree::NAME]).await;
    }
    let done = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 2";
    world.until(|| world.rows().number(done) > 500).await;
    world.crash(&forge);
    drop(forge);
    let forge = world.forge([tree::NAME]).await;
    let run = forge.get::<tree>("t").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), RUNS as u64);
    is_whole(world);
}

#[workflow(queue = "low", priority = low)]
async fn ranked_leaf() -> Result<()> {
    Ok(())
}

#[workflow(priority = high)]
async fn ranked_middle(n: u64) -> Result<()> {
    if n == 101 {
        branch!("b", automerge = true, {
            spawn_each!("n", 0..102_u64, |_| ranked_leaf())
        })
        .await?;
    }
    Ok(())
}

#[workflow(queue = "top")]
async fn ranked() -> Result<()> {
    branch!("b", automerge = true, {
        spawn_each!("n", 0..102_u64, |n| ranked_middle(n))
    })
    .await?;
    Ok(())
}

#[scenario]
async fn each_level_has_tiers_and_a_queue_of_its_own(world: &World) {
    let workflows = [ranked::NAME, ranked_middle::NAME, ranked_leaf::NAME];
    let builder = world.builder(workflows).queue("default", 8);
    let builder = builder.queue("top", 1).queue("low", 8);
    let forge = builder.open().await.unwrap();
    let run = forge.start("t", ranked()).await.unwrap();
    run.result().await.unwrap();
    // Tier times three, plus the priority of the child's own workflow; by its index in its own branch.
    for (key, level, queue) in [
        ("t", 1, "top"),
        ("t$b$n$0", 3, "default"),
        ("t$b$n$99", 3, "default"),
        ("t$b$n$100", 6, "default"),
        ("t$b$n$101", 6, "default"),
        ("t$b$n$101$b$n$0", 5, "low"),
        ("t$b$n$101$b$n$99", 5, "low"),
        ("t$b$n$101$b$n$100", 8, "low"),
    ] {
        let row = world.rows().run(key);
        assert_eq!((row.priority, &*row.queue), (level, queue), "{key}");
    }
}

/// How deep it is from here.
#[workflow]
async fn chain(left: u64) -> Result<u64> {
    if left == 0 {
        return Ok(0);
    }
    let below = branch!("b", automerge = true, { spawn!("n", chain(left - 1)) }).await?;
    Ok(below.output().await? + 1)
}

#[scenario(threads = 2)]
async fn a_chain_200_deep_completes(world: &World) {
    let forge = world.forge([chain::NAME]).await;
    let run = forge.start("c", chain(200)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 200);
    let deepest = format!("c{}", "$b$n".repeat(200));
    assert_eq!(world.rows().run(&deepest).state, COMPLETED);
}

/// Spawns itself, and would do so for ever.
#[workflow]
async fn endless(padding: String) -> Result<()> {
    branch!("b", automerge = true, {
        spawn!("{padding}", endless(padding.clone()))
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_recursion_without_end_fails_at_the_limit_of_keys_and_is_found_from_its_root(
    world: &World,
) {
    let forge = world.forge([endless::NAME]).await;
    let run = forge.start("e", endless("x".repeat(1_000))).await.unwrap();
    let failed = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 3";
    world
        .until(|| world.rows().find("e").is_some() && world.rows().number(failed) == 1)
        .await;
    world.quiet().await;
    let below = run.blocked_descendants().await.unwrap();
    assert_eq!((below.len(), below[0].state), (1, RunState::Failed));
    assert_eq!(below[0].key.len(), 1 + 8 * 1_003);
    let (_, message) = below[0].last_error.as_ref().unwrap();
    assert!(
        message.contains("9028 bytes, 8192 are the limit"),
        "{message}"
    );
}

#[workflow(retry = RetryPolicy::none())]
async fn picky(probe: State<Probe>, n: u64) -> Result<()> {
    anyhow::ensure!(n.is_multiple_of(2) || probe.is("mended"), "{n} is odd");
    Ok(())
}

#[workflow]
async fn two_branches(count: u64) -> Result<()> {
    let first = branch!("first", { spawn_each!("n", 0..count, |n| picky(n)) }).await?;
    let second = branch!("second", { spawn_each!("n", 0..count, |n| picky(n)) }).await?;
    merge!(first, second).await?;
    Ok(())
}

#[scenario(threads = 2)]
async fn all_blocked_children_of_one_run_are_retried_and_no_others(world: &World) {
    let forge = world.forge([two_branches::NAME, picky::NAME]).await;
    let run = forge.start("p", two_branches(500)).await.unwrap();
    let other = forge.start("q", two_branches(10)).await.unwrap();
    let failed = "SELECT count(*) FROM chrono_forge_blocked";
    world
        .until(|| world.rows().find("q").is_some() && world.rows().number(failed) == 510)
        .await;
    world.quiet().await;
    world.probe.set("mended", 1);
    let nobody = RetryFilter::new().children_of(run.id()).stalled();
    assert_eq!(forge.retry_all(nobody).await.unwrap(), 0);
    let blocked = RetryFilter::new().children_of(run.id()).failed();
    assert_eq!(forge.retry_all(blocked).await.unwrap(), 500);
    run.result().await.unwrap();
    assert_eq!(other.blocked_children().await.unwrap().len(), 10);
    assert_eq!(world.rows().run("q$second$n$9").state, FAILED);
    let gone = RetryFilter::new().children_of(999_999);
    assert_eq!(forge.retry_all(gone).await.unwrap(), 0);
}
