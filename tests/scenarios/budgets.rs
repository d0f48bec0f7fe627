//! Budgets of a list are kept by name: nothing but their own failures changes them.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, STALLED, World, scenario};

use crate::faults::{Limited, Offline, counts, play, raise, up_to, used};

/// The list as one deploy has it, or another.
fn in_order(turned: bool) -> [RetryPolicy; 2] {
    let limited = up_to(3).on::<Limited>();
    let offline = up_to(3).on::<Offline>();
    if turned {
        [offline, limited]
    } else {
        [limited, offline]
    }
}

#[workflow]
async fn turned(probe: State<Probe>, script: String) -> Result<usize> {
    let policies = in_order(probe.is("turned"));
    Ok(step!("call", retry = policies, play(&probe, &script)).await?)
}

#[scenario]
async fn a_step_s_budgets_survive_a_deploy_that_turns_the_list_round(world: &World) {
    let script = "limited,limited,offline,limited,ok";
    let forge = world.forge([turned::NAME]).await;
    forge.start("k", turned(script.to_owned())).await.unwrap();
    for played in 1..=3 {
        world.noted("played", played).await;
        world.parked("k").await;
        if played < 3 {
            let next = world.parked("k").await.wake_at.unwrap();
            world.move_to(next);
        }
    }
    forge.shutdown().await;
    world.probe.set("turned", 1);
    let _forge = world.forge([turned::NAME]).await;
    assert_eq!(world.settle("k").await.state, STALLED);
    assert_eq!(world.probe.count("played"), 4);
    assert_eq!(
        used(world, "k", "step$call"),
        counts([("limited", 3), ("offline", 1)])
    );
}

static TURNED: AtomicBool = AtomicBool::new(false);

#[workflow(retry = in_order(TURNED.load(Ordering::Relaxed)))]
async fn turned_body(probe: State<Probe>) -> Result<usize> {
    play(&probe, "limited,offline,offline,limited,limited").await
}

#[scenario]
async fn the_body_s_budgets_survive_a_crash_and_a_deploy_that_turns_the_list_round(world: &World) {
    let forge = world.forge([turned_body::NAME]).await;
    forge.start("k", turned_body()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(1));
    world.until(|| world.rows().run("k").attempts == 2).await;
    let row = world.parked("k").await;
    let stored: serde_json::Value = serde_json::from_str(&row.retry_counts).unwrap();
    assert_eq!(stored, counts([("limited", 1), ("offline", 1)]));
    world.crash(&forge);
    drop(forge);
    TURNED.store(true, Ordering::Relaxed);
    let _forge = world.forge([turned_body::NAME]).await;
    assert_eq!(world.settle("k").await.state, FAILED);
    assert_eq!(world.probe.count("played"), 5);
}

#[workflow(retry = [up_to(3).on::<Limited>(), up_to(3).on::<Offline>()])]
async fn alternating(probe: State<Probe>) -> Result<usize> {
    play(&probe, "limited,offline,limited,offline,limited,offline").await
}

/// The original compared all failures with the largest single budget, and left the run idle for ever.
#[scenario]
async fn two_budgets_of_three_with_alternating_errors_end_failed_after_five_failures(
    world: &World,
) {
    let forge = world.forge([alternating::NAME]).await;
    forge.start("k", alternating()).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!((row.state, row.attempts), (FAILED, 5));
    // The last one is among them.
    let stored: serde_json::Value = serde_json::from_str(&row.retry_counts).unwrap();
    assert_eq!(stored, counts([("limited", 3), ("offline", 2)]));
    let numbers = world.rows().attempts("k").into_iter().map(|it| it.1);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[workflow(retry = [up_to(2).on::<Limited>(), up_to(5)])]
async fn routed(probe: State<Probe>) -> Result<usize> {
    play(&probe, "limited,limited,ok").await
}

#[scenario]
async fn a_body_s_failure_is_routed_to_the_first_policy_that_covers_it(world: &World) {
    let forge = world.forge([routed::NAME]).await;
    forge.start("k", routed()).await.unwrap();
    assert_eq!(world.settle("k").await.state, FAILED);
    assert_eq!(world.rows().errors("k").len(), 2);
}

#[workflow(retry = up_to(5).on::<Limited>())]
async fn uncovered(probe: State<Probe>, how: String) -> Result<()> {
    probe.note("body");
    match how.as_str() {
        "panic" => panic!("body"),
        _ => Err(raise("offline")),
    }
}

#[scenario]
async fn a_body_s_failure_that_no_policy_covers_fails_the_run_at_once(world: &World) {
    let forge = world.forge([uncovered::NAME]).await;
    for how in ["panic", "error"] {
        forge.start(how, uncovered(how.to_owned())).await.unwrap();
        let row = world.settle(how).await;
        assert_eq!((row.state, row.attempts), (FAILED, 1), "{how}");
        assert_eq!(row.retry_counts, "{}");
    }
    assert_eq!(world.probe.count("body"), 2);
}

#[workflow(retry = [up_to(2).on::<Limited>(), up_to(2).on::<Offline>()])]
async fn pausing_by_kind(probe: State<Probe>) -> Result<()> {
    // Alternates between an error and a pause that makes no progress.
    if probe.nth("body").is_multiple_of(2) {
        continue_if!("never", async { Ok::<_, anyhow::Error>(false) }).await?;
    }
    play(&probe, "limited,offline,limited,ok").await?;
    Ok(())
}

#[scenario]
async fn pauses_between_a_body_s_errors_give_no_budget_back(world: &World) {
    let forge = world.forge([pausing_by_kind::NAME]).await;
    forge.start("k", pausing_by_kind()).await.unwrap();
    let mut row = world.settle("k").await;
    while row.state == IDLE {
        forge.wake::<pausing_by_kind>("k").await.unwrap();
        row = world.settle("k").await;
    }
    assert_eq!((row.state, row.attempts), (FAILED, 3));
}

#[workflow]
async fn passed_by(probe: State<Probe>) -> Result<usize> {
    let call = step!("call", retry = up_to(3), play(&probe, "a,b,ok"));
    let gate = async {
        while !probe.is("open") {
            let nth = probe.nth("gate");
            continue_if!("gate-{nth}", async {
                Ok::<_, anyhow::Error>(probe.is("open"))
            })
            .await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (called, _) = tokio::join!(call, gate);
    Ok(called?)
}

/// The original counted every pass that reached the step.
#[scenario]
async fn only_executions_count_and_not_the_passes_that_come_by(world: &World) {
    let forge = world.forge([passed_by::NAME]).await;
    let run = forge.start("k", passed_by()).await.unwrap();
    let retry_at = world.parked("k").await.wake_at;
    for _ in 0..5 {
        let epoch = world.rows().run("k").lock_epoch;
        forge.wake::<passed_by>("k").await.unwrap();
        world
            .until(|| world.rows().run("k").lock_epoch > epoch)
            .await;
        assert_eq!(world.parked("k").await.wake_at, retry_at);
    }
    assert_eq!(world.rows().record("k", "step$call").attempts, 1);
    assert_eq!(used(world, "k", "step$call"), counts([("*", 1)]));
    world.probe.set("open", 1);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 3);
}

#[workflow(retry = RetryPolicy::new().max_attempts(3).base(secs(20)).jitter(false))]
async fn fails_until_it_may(probe: State<Probe>) -> Result<u32> {
    probe.note("tried");
    anyhow::ensure!(probe.is("may"), "it may not yet");
    Ok(1)
}

#[scenario]
async fn a_wake_spends_nothing_of_a_body_that_waits_to_be_tried_again(world: &World) {
    let forge = world.forge([fails_until_it_may::NAME]).await;
    forge.start("k", fails_until_it_may()).await.unwrap();
    let waits = world.parked("k").await;
    for _ in 0..20 {
        forge.wake::<fails_until_it_may>("k").await.unwrap();
        world.quiet().await;
    }
    let woken = world.rows().run("k");
    assert_eq!((woken.state, woken.wake_at), (IDLE, waits.wake_at));
    assert_eq!(world.probe.count("tried"), 1);
    world.probe.set("may", 1);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.probe.count("tried"), 2);
}

#[workflow]
async fn tries_a_step_beside_a_gate(probe: State<Probe>) -> Result<u32> {
    let policy = RetryPolicy::new()
        .max_attempts(3)
        .base(secs(20))
        .jitter(false);
    let tried = step!("tried", retry = policy, {
        probe.note("tried");
        anyhow::ensure!(probe.is("may"), "it may not yet");
        Ok(1_u32)
    });
    let gate = async {
        continue_if!("go", async { anyhow::Ok(probe.is("go")) }).await?;
        probe.note("through");
        anyhow::Ok(())
    };
    let (tried, gate) = tokio::join!(tried, gate);
    gate?;
    Ok(tried?)
}

#[scenario]
async fn a_wake_looks_at_a_gate_and_spends_nothing_of_a_step_that_waits_beside_it(world: &World) {
    let forge = world.forge([tries_a_step_beside_a_gate::NAME]).await;
    forge
        .start("k", tries_a_step_beside_a_gate())
        .await
        .unwrap();
    let waits = world.parked("k").await;
    for _ in 0..5 {
        forge.wake::<tries_a_step_beside_a_gate>("k").await.unwrap();
        world.quiet().await;
    }
    assert_eq!(
        (world.probe.count("tried"), world.rows().run("k").wake_at),
        (1, waits.wake_at)
    );
    world.probe.set("go", 1);
    forge.wake::<tries_a_step_beside_a_gate>("k").await.unwrap();
    world.noted("through", 1).await;
    world.quiet().await;
    assert_eq!(world.probe.count("tried"), 1);
    world.probe.set("may", 1);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.probe.count("tried"), 2);
}
