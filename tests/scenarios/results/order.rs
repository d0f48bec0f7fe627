//! Results in the order in which the children completed.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use futures::TryStreamExt;

/// Two pages of results.
const CHILDREN: u64 = 501;

/// The first ones complete last.
#[workflow]
async fn late_leaf(n: u64) -> Result<u64> {
    wait!("sleep", secs(100 - n / 10)).await;
    Ok(n)
}

#[workflow]
async fn read_by_completion(probe: State<Probe>, count: u64) -> Result<Vec<u64>> {
    let (leaves, _others) = branch!("grp", automerge = true, {
        let leaves = spawn_each!("n", 0..count, |n| late_leaf(n));
        (leaves, spawn_each!("other", 0..2_u64, |n| late_leaf(n)))
    })
    .await?;
    let mut seen = Vec::new();
    let mut outputs = leaves.outputs_by_completion();
    while let Some((key, n)) = outputs.try_next().await? {
        assert_eq!(key, format!("p$grp$n${n}"));
        seen.push(n);
    }
    assert!(outputs.next().await.is_none(), "the end is the end");
    probe.note(format!("{seen:?}"));
    wait!("pause", secs(1)).await;
    Ok(seen)
}

#[scenario(threads = 2)]
async fn results_come_in_order_of_completion_and_those_of_one_instant_in_order_of_dispatch(
    world: &World,
) {
    let workflows = [read_by_completion::NAME, late_leaf::NAME];
    let forge = world.forge(workflows).await;
    forge
        .start("p", read_by_completion(CHILDREN))
        .await
        .unwrap();
    world
        .until(|| world.rows().find("p$grp$other$1").is_some())
        .await;
    world.settle("p").await;
    world.crash(&forge);
    drop(forge);
    let forge = world.forge(workflows).await;
    let run = forge.get::<read_by_completion>("p").await.unwrap().unwrap();
    let mut expected: Vec<u64> = (0..CHILDREN).collect();
    expected.sort_by_key(|n| 100 - n / 10);
    assert_eq!(run.result().await.unwrap(), expected);
    let first_pass_and_replay = world.probe.count(&format!("{expected:?}"));
    assert_eq!((first_pass_and_replay, world.probe.log().len()), (2, 2));
}

#[scenario]
async fn an_empty_spawn_has_no_order(world: &World) {
    let workflows = [read_by_completion::NAME, late_leaf::NAME];
    let forge = world.forge(workflows).await;
    let run = forge.start("p", read_by_completion(0)).await.unwrap();
    world.settle("p").await;
    assert!(run.result().await.unwrap().is_empty());
}

#[workflow]
async fn torn(probe: State<Probe>) -> Result<Vec<String>> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..3_u64, |n| late_leaf(n * 10))
    })
    .await?;
    probe.note("merged");
    wait!("later", days(1)).await;
    let mut outputs = leaves.outputs_by_completion();
    let mut seen = Vec::new();
    while let Some(output) = outputs.next().await {
        seen.push(output.map_or_else(|error| error.to_string(), |(_, n)| n.to_string()));
    }
    Ok(seen)
}

#[scenario]
async fn a_child_without_a_result_is_an_error_after_those_that_have_one(world: &World) {
    let forge = world.forge([torn::NAME, late_leaf::NAME]).await;
    let run = forge.start("p", torn()).await.unwrap();
    while world.probe.count("merged") == 0 {
        world.quiet().await;
        world.clock.advance(secs(1));
    }
    world.parked("p").await;
    let torn = "UPDATE chrono_forge_workflows SET state = 5 WHERE key = 'p$grp$n$1'";
    assert_eq!(world.rows().edit(torn, &[]), 1);
    world.settle("p").await;
    let seen = run.result().await.unwrap();
    assert_eq!(seen[..2], ["20", "0"]);
    assert!(seen.len() == 3 && seen[2].contains("p$grp$n"), "{seen:?}");
}
