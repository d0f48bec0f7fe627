//! Which policy decides about a failure: of the call, of the workflow, of the list.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono_forge::RetryPolicies;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, STALLED, World, scenario};

use crate::faults::{Limited, Offline, counts, play, raise, up_to, used};

#[workflow]
async fn listed(probe: State<Probe>, script: String) -> Result<usize> {
    let policies = [up_to(3).on::<Limited>(), up_to(2).on::<Offline>()];
    Ok(step!("call", retry = policies, play(&probe, &script)).await?)
}

/// Starts the workflow under its script as key; answers its state and how often its step was played.
async fn ends(world: &World, forge: &Forge, script: &str) -> (i64, usize) {
    let before = world.probe.count("played");
    assert_eq!(before, 0, "one run per world: scripts count their calls");
    forge
        .start(script, listed(script.to_owned()))
        .await
        .unwrap();
    let state = world.settle(script).await.state;
    (state, world.probe.count("played"))
}

#[scenario]
async fn each_kind_of_failure_draws_on_a_budget_of_its_own(world: &World) {
    let forge = world.forge([listed::NAME]).await;
    let script = "limited,offline,limited,ok";
    let run = forge.start("k", listed(script.to_owned())).await.unwrap();
    for (failures, delay) in [(1, 1), (2, 1), (3, 2)] {
        let parked = world.parked("k").await;
        assert_eq!(parked.wake_at, Some(world.now() + delay * 1_000_000));
        assert_eq!(world.rows().attempts("k").len(), failures);
        world.clock.advance(secs(delay as u64));
        world.noted("played", failures + 1).await;
    }
    assert_eq!(run.result().await.unwrap(), 4);
    let record = world.rows().record("k", "step$call");
    assert_eq!((record.attempts, record.metadata), (4, None));
    let numbers = world.rows().attempts("k").into_iter().map(|it| it.1);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3]);
}

#[scenario]
async fn the_budget_of_the_failure_at_hand_ends_the_step_and_is_counted(world: &World) {
    let forge = world.forge([listed::NAME]).await;
    let script = "limited,offline,limited,offline,ok";
    assert_eq!(ends(world, &forge, script).await, (STALLED, 4));
    assert_eq!(world.rows().record(script, "step$call").attempts, 4);
    assert_eq!(
        used(world, script, "step$call"),
        counts([("limited", 2), ("offline", 2)])
    );
}

#[scenario]
async fn an_error_with_a_named_cause_or_context_draws_on_the_budget_of_the_name(world: &World) {
    let forge = world.forge([listed::NAME]).await;
    let script = "delayed,context,limited,ok";
    assert_eq!(ends(world, &forge, script).await, (STALLED, 3));
    assert_eq!(used(world, script, "step$call"), counts([("limited", 3)]));
}

#[backends]
async fn what_no_policy_covers_is_not_tried_again_and_counts_nothing(backend: Backend) {
    for script in ["other,ok", "panic,ok"] {
        scenario(backend, async |world| {
            let forge = world.forge([listed::NAME]).await;
            assert_eq!(ends(world, &forge, script).await, (STALLED, 1));
            let record = world.rows().record(script, "step$call");
            assert_eq!((record.attempts, record.metadata), (1, None));
        })
        .await;
    }
}

#[workflow]
async fn plain(probe: State<Probe>) -> Result<usize> {
    let policy = up_to(3);
    Ok(step!(
        "call",
        retry = policy,
        play(&probe, "limited,panic,offline")
    )
    .await?)
}

#[scenario]
async fn a_policy_that_names_nothing_covers_everything_on_one_budget(world: &World) {
    let forge = world.forge([plain::NAME]).await;
    forge.start("k", plain()).await.unwrap();
    world.parked("k").await;
    assert_eq!(used(world, "k", "step$call"), counts([("*", 1)]));
    assert_eq!(world.settle("k").await.state, STALLED);
    assert_eq!(world.probe.count("played"), 3);
    assert_eq!(used(world, "k", "step$call"), counts([("*", 3)]));
}

#[workflow]
async fn quiet(probe: State<Probe>, script: String) -> Result<usize> {
    let policy = up_to(2).on_timeout().on_panic();
    let step = step!(
        "call",
        retry = policy,
        timeout = secs(5),
        play(&probe, &script)
    );
    Ok(step.await?)
}

#[backends]
async fn panics_and_timeouts_are_tried_again_where_they_are_named(backend: Backend) {
    for (script, state) in [
        ("panic,ok", COMPLETED),
        ("hang,ok", COMPLETED),
        ("hang,panic,ok", STALLED),
        ("other,ok", STALLED),
    ] {
        scenario(backend, async |world| {
            let forge = world.forge([quiet::NAME]).await;
            forge.start("k", quiet(script.to_owned())).await.unwrap();
            if script.starts_with("hang") {
                world.noted("played", 1).await;
                world.clock.advance(secs(5));
            }
            assert_eq!(world.settle("k").await.state, state, "{script}");
        })
        .await;
    }
}

#[workflow(retry = [up_to(2).on::<Limited>(), up_to(4)])]
async fn by_list(probe: State<Probe>, site: String) -> Result<()> {
    match site.as_str() {
        "step" => {
            step!(play(&probe, "limited,other,limited")).await?;
        }
        "own" => {
            step!(retry = up_to(1), play(&probe, "limited")).await?;
        }
        "block" => {
            branch!("grp", automerge = true, {
                step!("call", retry = up_to(1), { Ok(()) }).await?;
                probe.note("played");
                Err(raise("limited"))?;
            })
            .await?;
        }
        "own block" => {
            branch!("grp", automerge = true, retry = [up_to(3)], {
                probe.note("played");
                Err(raise("limited"))?;
            })
            .await?;
        }
        "condition" => wait_until!("up", unreachable(&probe)).await?,
        "gate" => continue_if!("open", unreachable(&probe)).await?,
        _ => {
            play(&probe, "limited,other,limited").await?;
        }
    }
    Ok(())
}

async fn unreachable(probe: &Probe) -> Result<bool> {
    play(probe, "limited").await.map(|_| true)
}

#[backends]
async fn a_call_s_policies_come_before_the_workflow_s_and_conditions_inherit_none(
    backend: Backend,
) {
    for (site, state, played) in [
        ("step", STALLED, 3),
        ("own", STALLED, 1),
        ("block", STALLED, 2),
        ("own block", STALLED, 3),
        ("condition", STALLED, 1),
        ("gate", STALLED, 1),
        ("body", FAILED, 3),
    ] {
        scenario(backend, async |world| {
            let forge = world.forge([by_list::NAME]).await;
            forge.start("k", by_list(site.to_owned())).await.unwrap();
            assert_eq!(world.settle("k").await.state, state, "{site}");
            assert_eq!(world.probe.count("played"), played, "{site}");
        })
        .await;
    }
}

#[workflow]
async fn looks(probe: State<Probe>, script: String) -> Result<()> {
    let looked = async || play(&probe, &script).await.map(|nth| nth > 3);
    let policies = [up_to(2).on::<Limited>()];
    wait_until!("up", every = secs(1), retry = policies, looked()).await?;
    Ok(())
}

#[backends]
async fn a_condition_retries_the_errors_that_its_call_names(backend: Backend) {
    for (script, state, played) in [
        ("limited", COMPLETED, 4),
        ("offline", STALLED, 1),
        // A look that found the condition false gives no budget back.
        ("limited,ok,limited", STALLED, 3),
    ] {
        scenario(backend, async |world| {
            let forge = world.forge([looks::NAME]).await;
            forge.start("k", looks(script.to_owned())).await.unwrap();
            assert_eq!(world.settle("k").await.state, state, "{script}");
            assert_eq!(world.probe.count("played"), played, "{script}");
        })
        .await;
    }
}

#[workflow]
async fn computed(probe: State<Probe>, attempts: Vec<u32>) -> Result<usize> {
    let policies: Vec<RetryPolicy> = attempts.into_iter().map(up_to).collect();
    let policies = RetryPolicies::try_from(policies)?;
    Ok(step!("call", retry = policies, play(&probe, "a,b")).await?)
}

#[scenario]
async fn a_list_may_be_computed_and_an_empty_one_is_an_error_of_the_body(world: &World) {
    let forge = world.forge([computed::NAME]).await;
    let run = forge.start("k", computed(vec![3])).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 3);
    forge.start("none", computed(vec![])).await.unwrap();
    assert_eq!(world.parked("none").await.state, IDLE);
    let error = world.rows().errors("none").remove(0);
    assert!(error.message.contains("names at least one"), "{error:?}");
}

static ASKED: AtomicUsize = AtomicUsize::new(0);

fn asked() -> RetryPolicy {
    ASKED.fetch_add(1, Ordering::Relaxed);
    RetryPolicy::new().base(secs(0)).max_attempts(4)
}

#[workflow(retry = asked())]
async fn asks(probe: State<Probe>, script: String) -> Result<usize> {
    step!("first", { Ok(()) }).await?;
    Ok(step!("call", play(&probe, &script)).await?)
}

#[scenario]
async fn a_workflow_s_policies_are_made_once_a_pass_and_only_if_something_fails(world: &World) {
    let forge = world.forge([asks::NAME]).await;
    let fine = forge.start("fine", asks("ok".into())).await.unwrap();
    fine.result().await.unwrap();
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    world.probe.note("played");
    let run = forge.start("k", asks("-,-,a,b,ok".into())).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.rows().attempts("k").len(), 2);
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}
