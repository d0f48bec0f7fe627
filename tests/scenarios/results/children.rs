//! Results of a fan-out of any size, and the children that keep one from ending.

use std::pin::pin;
use std::sync::Mutex;

use chrono_forge::prelude::*;
use chrono_forge::{JoinError, RunState};
use chrono_forge_tests::scenario::{FAILED, Probe, World, scenario};
use futures::TryStreamExt;

/// A step's body that is not ready at once.
async fn turn() -> Result<()> {
    tokio::task::yield_now().await;
    Ok(())
}

/// Three pages.
const CHILDREN: u64 = 1_001;

#[workflow]
async fn counted_leaf(n: u64) -> Result<u64> {
    Ok(n)
}

/// Sum by key, number of keys in order of dispatch, sums by folding and collecting.
#[workflow]
async fn read_all(count: u64) -> Result<[u64; 4]> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..count, |n| counted_leaf(n))
    })
    .await?;
    let (mut by_key, mut in_order) = (0, 0);
    let mut outputs = leaves.outputs();
    while let Some((key, n)) = outputs.try_next().await? {
        let index: u64 = key.strip_prefix("p$grp$n$").unwrap().parse()?;
        in_order += u64::from(index == n && by_key == index * index.saturating_sub(1) / 2);
        by_key += index;
    }
    assert!(outputs.next().await.is_none(), "the end is the end");
    let folded = leaves.fold(0, |sum, n| sum + n).await?;
    let collected = leaves.collect().await?.into_iter().sum();
    Ok([by_key, in_order, folded, collected])
}

#[scenario]
async fn every_way_of_reading_gives_all_results_in_order_of_dispatch(world: &World) {
    let forge = world.forge([read_all::NAME, counted_leaf::NAME]).await;
    let run = forge.start("p", read_all(CHILDREN)).await.unwrap();
    let sum = CHILDREN * (CHILDREN - 1) / 2;
    assert_eq!(run.result().await.unwrap(), [sum, CHILDREN, sum, sum]);
    let none = forge.start("none", read_all(0)).await.unwrap();
    assert_eq!(none.result().await.unwrap(), [0; 4]);
}

#[workflow]
async fn read_beside_steps(probe: State<Probe>, pauses: u32) -> Result<String> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..CHILDREN, |n| counted_leaf(n))
    })
    .await?;
    let seen = Mutex::new(String::new());
    let see = |what: String| seen.lock().unwrap().push_str(&what);
    let reading = async {
        let mut outputs = leaves.outputs();
        while let Some((_, n)) = outputs.try_next().await? {
            if n % 100 == 0 {
                step!("item-{n}", turn()).await?;
                see(format!("item-{n} "));
            }
            if n % 500 == 499 || n + 1 == CHILDREN {
                see(format!("page-{n} "));
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let beside = async {
        for i in 0..15 {
            step!("beside-{i}", turn()).await?;
            see(format!("beside-{i} "));
        }
        Ok(())
    };
    futures::try_join!(reading, beside)?;
    let seen = seen.into_inner()?;
    probe.note(seen.clone());
    for i in 0..pauses {
        wait!("pause-{i}", secs(1)).await;
    }
    Ok(seen)
}

#[scenario]
async fn what_is_read_beside_other_operations_has_one_place_on_every_replay(world: &World) {
    let forge = world
        .forge([read_beside_steps::NAME, counted_leaf::NAME])
        .await;
    let run = forge.start("p", read_beside_steps(10)).await.unwrap();
    world.until(|| !world.probe.log().is_empty()).await;
    world.settle("p").await;
    let seen = run.result().await.unwrap();
    assert_eq!(seen.split_whitespace().count(), 11 + 3 + 15, "{seen}");
    assert_eq!(
        world.probe.count(&seen),
        11,
        "the first pass and 10 replays"
    );
    assert_eq!(world.probe.log().len(), 11);
}

#[workflow]
async fn turns_away(probe: State<Probe>) -> Result<u64> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..3_u64, |n| counted_leaf(n))
    })
    .await?;
    let mut outputs = leaves.outputs();
    // As an arm of a race that another one won.
    let begun = futures::poll!(pin!(outputs.next())).is_pending();
    step!("after", {
        probe.note(format!("begun: {begun}"));
        Ok(())
    })
    .await?;
    let (_, first) = outputs.next().await.unwrap()?;
    let rest: Vec<(String, u64)> = outputs.try_collect().await?;
    Ok(first + rest.len() as u64)
}

#[scenario]
async fn a_read_that_nobody_waits_for_holds_up_nothing_and_is_not_lost(world: &World) {
    let forge = world.forge([turns_away::NAME, counted_leaf::NAME]).await;
    let run = forge.start("p", turns_away()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(world.probe.log(), ["begun: true"]);
}

#[workflow]
async fn read_later() -> Result<String> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..3_u64, |n| counted_leaf(n))
    })
    .await?;
    wait!("later", secs(1)).await;
    let mut outputs = leaves.outputs();
    let mut seen = String::new();
    while let Some(result) = outputs.next().await {
        match result {
            Ok((_, n)) => seen.push_str(&format!("{n} ")),
            Err(JoinError::Child { key }) => seen.push_str(&format!("no {key} ")),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(seen)
}

#[scenario]
async fn a_child_without_a_result_is_an_error_after_those_that_have_one(world: &World) {
    let forge = world.forge([read_later::NAME, counted_leaf::NAME]).await;
    let run = forge.start("p", read_later()).await.unwrap();
    world.parked("p").await;
    world
        .until(|| world.rows().order("p").contains(&"merge$grp".to_owned()))
        .await;
    let torn = "UPDATE chrono_forge_workflows SET state = 5 WHERE key = 'p$grp$n$1'";
    assert_eq!(world.rows().edit(torn, &[]), 1);
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), "0 2 no p$grp$n ");
}

#[workflow(retry = RetryPolicy::none())]
async fn fragile_leaf(probe: State<Probe>, n: u64) -> Result<u64> {
    anyhow::ensure!(n != 3_333 || probe.is("mended"), "leaf {n} is broken");
    Ok(n)
}

#[workflow]
async fn large_sum(count: u64) -> Result<u64> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..count, |n| fragile_leaf(n))
    })
    .await?;
    Ok(leaves.fold(0, |sum, n| sum + n).await?)
}

#[scenario(threads = 2)]
async fn the_one_blocked_child_of_5_000_is_found_and_retried_by_hand(world: &World) {
    let statements = world.statements();
    let forge = world.forge([large_sum::NAME, fragile_leaf::NAME]).await;
    let run = forge.start("p", large_sum(5_000)).await.unwrap();
    let pending = "SELECT count(*) FROM chrono_forge_execution_logs
        WHERE step_name = 'branch$grp' AND state = 1 AND pending = 1";
    let is_stuck = || world.rows().find("p").is_some() && world.rows().number(pending) == 1;
    world.until(is_stuck).await;
    world
        .until(|| world.rows().run("p$grp$n$3333").state == FAILED)
        .await;
    assert_eq!(world.parked("p").await.wake_at, None);
    let _ = statements.take();
    let blocked = run.blocked_children().await.unwrap();
    let asked = statements.take_of("chrono_forge_blocked");
    assert_eq!(
        (blocked.len(), asked.len()),
        (1, 1),
        "one statement, one row"
    );
    // A walk over the 5,000 would take 5,000 times a few.
    let steps = asked[0].steps(world);
    assert!(steps.is_none_or(|steps| steps < 200), "{steps:?}");
    let child = &blocked[0];
    let named = (&*child.branch, &*child.key, &*child.workflow);
    assert_eq!(named, ("grp", "p$grp$n$3333", fragile_leaf::NAME));
    assert_eq!((child.state, &child.stalled_by), (RunState::Failed, &None));
    let (_, message) = child.last_error.as_ref().unwrap();
    assert_eq!(message, "leaf 3333 is broken");
    world.probe.set("mended", 1);
    forge.retry::<fragile_leaf>(&child.key).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 5_000 * 4_999 / 2);
    assert!(run.blocked_children().await.unwrap().is_empty());
}
