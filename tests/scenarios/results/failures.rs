//! What went wrong on the way to a merged branch.

use chrono_forge::ChildFailure;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{FAILED, Probe, World, scenario};
use futures::TryStreamExt;

fn at_once() -> RetryPolicy {
    RetryPolicy::new().base(secs(0))
}

/// Fails as often as its flag says: in its step, then in its body.
#[workflow(retry = RetryPolicy::new().base(secs(0)))]
async fn flaky_leaf(probe: State<Probe>, name: String) -> Result<u64> {
    let wanted = probe.get(&name);
    step!("work", retry = at_once(), {
        let nth = probe.nth(&format!("step of {name}")) as i64;
        anyhow::ensure!(nth > wanted, "step {nth} of {name}");
        Ok(())
    })
    .await?;
    let nth = probe.nth(&format!("body of {name}")) as i64;
    anyhow::ensure!(nth > wanted, "body {nth} of {name}");
    Ok(1)
}

fn lines(failures: &[ChildFailure]) -> Vec<String> {
    let line = |failure: &ChildFailure| {
        let ChildFailure {
            child,
            step,
            attempt,
            message,
            ..
        } = failure;
        format!(
            "{child} {} {attempt}: {message}",
            step.as_deref().unwrap_or("body")
        )
    };
    failures.iter().map(line).collect()
}

#[workflow]
async fn two_spawns(probe: State<Probe>) -> Result<[Vec<String>; 2]> {
    let (first, second) = branch!("grp", automerge = true, {
        let first = spawn_each!("a", 0..3, |n| flaky_leaf(format!("a{n}")));
        (
            first,
            spawn_each!("ab", 0..2, |n| flaky_leaf(format!("ab{n}"))),
        )
    })
    .await?;
    let first: Vec<ChildFailure> = first.failures().try_collect().await?;
    let second: Vec<ChildFailure> = second.failures().try_collect().await?;
    assert!(first.iter().all(|failure| failure.class == "anyhow::Error"));
    let seen = [lines(&first), lines(&second)];
    probe.note(format!("seen {seen:?}"));
    wait!("pause", secs(1)).await;
    Ok(seen)
}

#[scenario]
async fn failed_attempts_of_a_spawn_come_by_child_and_attempt_and_the_same_on_every_replay(
    world: &World,
) {
    for (name, failures) in [("a1", 2), ("a2", 1), ("ab0", 1)] {
        world.probe.set(name, failures);
    }
    let forge = world.forge([two_spawns::NAME, flaky_leaf::NAME]).await;
    let run = forge.start("p", two_spawns()).await.unwrap();
    world.settle("p").await;
    let [first, second] = run.result().await.unwrap();
    let expected = [
        "p$grp$a$1 body 1: body 1 of a1",
        "p$grp$a$1 body 2: body 2 of a1",
        "p$grp$a$1 step$work 1: step 1 of a1",
        "p$grp$a$1 step$work 2: step 2 of a1",
        "p$grp$a$2 body 1: body 1 of a2",
        "p$grp$a$2 step$work 1: step 1 of a2",
    ];
    assert_eq!(first, expected);
    let expected = [
        "p$grp$ab$0 body 1: body 1 of ab0",
        "p$grp$ab$0 step$work 1: step 1 of ab0",
    ];
    assert_eq!(second, expected);
    let seen = format!("seen {:?}", [first, second]);
    assert_eq!(world.probe.count(&seen), 2, "the first pass and its replay");
}

#[workflow(retry = RetryPolicy::none())]
async fn mendable_leaf(probe: State<Probe>, n: u64) -> Result<u64> {
    anyhow::ensure!(n != 1 || probe.is("mended"), "leaf {n} is broken");
    Ok(n)
}

#[workflow]
async fn failures_of_mendable(probe: State<Probe>) -> Result<Vec<String>> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..3_u64, |n| mendable_leaf(n))
    })
    .await?;
    probe.note("merged");
    let failures: Vec<ChildFailure> = leaves.failures().try_collect().await?;
    Ok(lines(&failures))
}

#[scenario]
async fn what_a_retry_by_hand_mended_is_told_too(world: &World) {
    let workflows = [failures_of_mendable::NAME, mendable_leaf::NAME];
    let forge = world.forge(workflows).await;
    let run = forge.start("p", failures_of_mendable()).await.unwrap();
    let failed = || {
        world
            .rows()
            .find("p$grp$n$1")
            .is_some_and(|run| run.state == FAILED)
    };
    for expected in ["leaf 1 is broken"; 2] {
        world.until(failed).await;
        assert_eq!(
            world.rows().errors("p$grp$n$1").last().unwrap().message,
            expected
        );
        forge.retry::<mendable_leaf>("p$grp$n$1").await.unwrap();
    }
    world.until(failed).await;
    assert_eq!(world.probe.count("merged"), 0);
    world.probe.set("mended", 1);
    forge.retry::<mendable_leaf>("p$grp$n$1").await.unwrap();
    let expected = [1, 2, 3].map(|n| format!("p$grp$n$1 body {n}: leaf 1 is broken"));
    assert_eq!(run.result().await.unwrap(), expected);
}

#[workflow]
async fn count_failures(count: u64) -> Result<Vec<String>> {
    let leaves = branch!("grp", automerge = true, {
        spawn_each!("n", 0..count, |n| flaky_leaf(format!("n{n}")))
    })
    .await?;
    let mut seen = Vec::new();
    let mut failures = leaves.failures();
    while let Some(failure) = failures.next().await {
        let ChildFailure { child, step, .. } = failure?;
        seen.extend(step.map(|_| child));
    }
    assert!(failures.next().await.is_none(), "the end is the end");
    Ok(seen)
}

#[scenario(threads = 2)]
async fn failures_of_1_200_children_are_read_over_their_pages(world: &World) {
    let broken = (0..1_200).filter(|n| n % 250 == 249 || *n == 500);
    let broken: Vec<u64> = broken.collect();
    for n in &broken {
        world.probe.set(&format!("n{n}"), 1);
    }
    let forge = world.forge([count_failures::NAME, flaky_leaf::NAME]).await;
    let run = forge.start("p", count_failures(1_200)).await.unwrap();
    world
        .until(|| world.rows().find("p$grp$n$1199").is_some())
        .await;
    world.settle("p").await;
    let keys: Vec<String> = broken.iter().map(|n| format!("p$grp$n${n}")).collect();
    assert_eq!(run.result().await.unwrap(), keys);
}

#[scenario]
async fn children_that_failed_nowhere_have_no_failures(world: &World) {
    let forge = world.forge([count_failures::NAME, flaky_leaf::NAME]).await;
    for (key, count) in [("none", 0), ("some", 3)] {
        let run = forge.start(key, count_failures(count)).await.unwrap();
        assert!(run.result().await.unwrap().is_empty());
    }
}
