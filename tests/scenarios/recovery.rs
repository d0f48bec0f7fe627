//! `forge.retry`: what runs again, with which budget, and what stays as it is.

mod calls;

use chrono_forge::prelude::*;
use chrono_forge::{BranchError, RunError};
use chrono_forge_tests::scenario::{FAILED, Probe, STALLED, World, scenario};

/// Fails until the flag of its name is set.
async fn attempt(probe: &Probe, name: &str) -> Result<String> {
    let nth = probe.nth(name);
    anyhow::ensure!(probe.is(name), "{name} {nth} failed");
    Ok(format!("{name} {nth}"))
}

/// The numbers of a record's error rows.
fn numbers(world: &World, key: &str, record: &str) -> Vec<i64> {
    let attempts = world.rows().attempts(key).into_iter();
    attempts
        .filter(|(name, _)| name == record)
        .map(|(_, attempt)| attempt)
        .collect()
}

#[workflow]
async fn charges(probe: State<Probe>) -> Result<String> {
    let before = step!("before", attempt(&probe, "before")).await?;
    let policy = RetryPolicy::new().jitter(false);
    let charge = step!("charge", retry = policy, attempt(&probe, "charge")).await?;
    Ok(format!("{before}, {charge}"))
}

#[scenario]
async fn a_retried_step_has_its_whole_budget_and_its_attempts_number_on(world: &World) {
    let forge = world.forge([charges::NAME]).await;
    world.probe.set("before", 1);
    let run = forge.start("k", charges()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    let retried = forge.retry::<charges>("k").await.unwrap();
    assert_eq!(retried.records, ["step$charge"]);
    let row = world.settle("k").await;
    assert_eq!(
        (row.state, row.stalled_by.as_deref()),
        (STALLED, Some("step$charge"))
    );
    assert_eq!(numbers(world, "k", "step$charge"), [1, 2, 3, 4, 5, 6]);
    let record = world.rows().record("k", "step$charge");
    assert_eq!((record.state, record.attempts), (2, 6));
    let error = run.result().await.unwrap_err();
    assert!(error.to_string().contains("charge 6 failed"), "{error}");
    world.probe.set("charge", 1);
    forge.retry::<charges>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "before 1, charge 7");
    assert_eq!(world.rows().order("k"), ["step$before", "step$charge"]);
}

#[workflow]
async fn once(probe: State<Probe>) -> Result<String> {
    Ok(step!("once", retry = RetryPolicy::none(), attempt(&probe, "once")).await?)
}

#[scenario]
async fn a_run_may_be_retried_any_number_of_times_within_one_instant(world: &World) {
    let forge = world.forge([once::NAME]).await;
    let run = forge.start("k", once()).await.unwrap();
    let begun = world.now();
    for n in 1..=20 {
        assert_eq!(world.settle("k").await.state, STALLED);
        assert_eq!(numbers(world, "k", "step$once").len(), n);
        forge.retry::<once>("k").await.unwrap();
    }
    world.settle("k").await;
    assert_eq!(world.now(), begun);
    world.probe.set("once", 1);
    forge.retry::<once>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "once 22");
    let blocked = "SELECT count(*) FROM chrono_forge_blocked";
    assert_eq!(world.rows().number(blocked), 0);
}

#[workflow]
async fn two_arms(probe: State<Probe>) -> Result<String> {
    let none = RetryPolicy::none;
    let (a, b) = futures::join!(
        step!("a", retry = none(), attempt(&probe, "a")),
        step!("b", retry = none(), attempt(&probe, "b"))
    );
    Ok(format!("{} {}", a?, b?))
}

#[scenario]
async fn two_steps_that_failed_beside_each_other_are_both_re_armed(world: &World) {
    let forge = world.forge([two_arms::NAME]).await;
    let run = forge.start("k", two_arms()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    world.probe.set("a", 1);
    world.probe.set("b", 1);
    let retried = forge.retry::<two_arms>("k").await.unwrap();
    assert_eq!(retried.records, ["step$a", "step$b"]);
    assert_eq!(run.result().await.unwrap(), "a 2 b 2");
}

#[workflow]
async fn first_failure(probe: State<Probe>) -> Result<String> {
    let none = RetryPolicy::none;
    let (a, (), b) = futures::try_join!(
        step!("a", retry = none(), attempt(&probe, "a")),
        async {
            wait!("pause", hours(1)).await;
            Ok(())
        },
        step!("b", retry = none(), attempt(&probe, "b"))
    )?;
    Ok(format!("{a} {b}"))
}

#[scenario]
async fn the_arms_of_a_try_join_go_on_from_where_they_were(world: &World) {
    let forge = world.forge([first_failure::NAME]).await;
    let begun = world.now();
    world.probe.set("b", 1);
    let run = forge.start("k", first_failure()).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!(row.stalled_by.as_deref(), Some("step$a"));
    world.clock.advance(minutes(30));
    world.probe.set("a", 1);
    let retried = forge.retry::<first_failure>("k").await.unwrap();
    assert_eq!(retried.records, ["step$a"]);
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "a 2 b 1");
    assert_eq!(world.now(), begun + 3_600_000_000, "the wait went on");
}

#[workflow]
async fn refunds(probe: State<Probe>) -> Result<String> {
    let charged = step!(
        "charge",
        retry = RetryPolicy::none(),
        attempt(&probe, "charge")
    )
    .await;
    if charged.is_err() {
        step!("refund", {
            probe.note("refund");
            Ok(())
        })
        .await?;
    }
    Ok(charged?)
}

#[scenario]
async fn after_a_compensation_only_a_named_record_runs_again(world: &World) {
    let forge = world.forge([refunds::NAME]).await;
    let run = forge.start("k", refunds()).await.unwrap();
    assert_eq!(world.settle("k").await.state, FAILED);
    world.probe.set("charge", 1);
    let retried = forge.retry::<refunds>("k").await.unwrap();
    assert!(retried.records.is_empty(), "{retried:?}");
    assert_eq!(
        world.settle("k").await.state,
        FAILED,
        "the replay is the same"
    );
    assert_eq!(world.probe.log(), ["charge", "refund"]);
    let named = forge.retry::<refunds>("k").records(["charge"]);
    assert_eq!(named.await.unwrap().records, ["step$charge"]);
    assert_eq!(run.result().await.unwrap(), "charge 2");
    assert_eq!(world.probe.log(), ["charge", "refund", "charge"]);
}

async fn is_open(probe: &Probe) -> Result<bool> {
    probe.note("looked");
    Ok(probe.is("open"))
}

#[workflow]
async fn opens_in_time(probe: State<Probe>) -> Result<()> {
    let (every, timeout) = (minutes(10), hours(1));
    wait_until!("open", every = every, timeout = timeout, is_open(&probe)).await?;
    Ok(())
}

#[scenario]
async fn a_condition_that_ran_out_of_time_has_a_fresh_deadline(world: &World) {
    let forge = world.forge([opens_in_time::NAME]).await;
    let run = forge.start("k", opens_in_time()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    world.clock.advance(days(1));
    forge.retry::<opens_in_time>("k").await.unwrap();
    world.parked("k").await;
    let operations = run.operations().await.unwrap();
    assert_eq!(operations.len(), 1);
    let now = world.now();
    let after = |minutes: i64| Some(now + minutes * 60_000_000);
    assert_eq!(
        operations[0].wake_at.map(|at| at.as_microsecond()),
        after(10)
    );
    assert_eq!(
        operations[0].timeout_at.map(|at| at.as_microsecond()),
        after(60)
    );
    world.clock.advance(minutes(10));
    world.noted("looked", 9).await;
    world.probe.set("open", 1);
    world.settle("k").await;
    run.result().await.unwrap();
    assert_eq!(world.rows().record("k", "wait_until$open").metadata, None);
}

#[workflow]
async fn child(probe: State<Probe>, n: u64) -> Result<u64> {
    probe.note(format!("child {n}"));
    Ok(n)
}

#[workflow(retry = RetryPolicy::none())]
async fn dispatches(probe: State<Probe>) -> Result<u64> {
    let all = branch!("all", {
        spawn_each!("first", of = 2, 0..4_u64, |n| child(n));
        let more = step!("more", retry = RetryPolicy::none(), attempt(&probe, "more")).await?;
        probe.note(more);
        spawn!("last", child(9))
    })
    .await;
    let all = all.map_err(|error: BranchError| error)?;
    Ok(merge!(all).await?.output().await?)
}

#[scenario]
async fn a_branch_that_gave_up_goes_on_from_its_cursor(world: &World) {
    let forge = world.forge([dispatches::NAME, child::NAME]).await;
    let run = forge.start("k", dispatches()).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!(
        (row.state, row.stalled_by.as_deref()),
        (STALLED, Some("branch$all"))
    );
    world.probe.set("more", 1);
    let retried = forge.retry::<dispatches>("k").await.unwrap();
    assert_eq!(retried.records, ["step$more", "branch$all"]);
    assert_eq!(run.result().await.unwrap(), 9);
    let branch = world.rows().record("k", "branch$all");
    assert_eq!((branch.spawned, branch.pending), (5, 0));
    assert_eq!(world.rows().children("k").len(), 5);
    for n in [0, 1, 2, 3, 9] {
        assert_eq!(world.probe.count(&format!("child {n}")), 1);
    }
}

#[workflow(retry = RetryPolicy::new().max_attempts(3).jitter(false))]
async fn fails_itself(probe: State<Probe>) -> Result<String> {
    let before = step!("before", attempt(&probe, "before")).await?;
    probe.note("body");
    anyhow::ensure!(probe.is("mended"), "the body is wrong");
    Ok(before)
}

#[scenario]
async fn a_failed_body_replays_with_a_fresh_budget(world: &World) {
    let forge = world.forge([fails_itself::NAME]).await;
    world.probe.set("before", 1);
    let run = forge.start("k", fails_itself()).await.unwrap();
    assert_eq!(world.settle("k").await.state, FAILED);
    let retried = forge.retry::<fails_itself>("k").await.unwrap();
    assert!(retried.records.is_empty(), "{retried:?}");
    assert_eq!(world.settle("k").await.state, FAILED);
    assert_eq!(world.probe.count("body"), 6);
    assert_eq!(numbers(world, "k", ""), [1, 2, 3, 4, 5, 6]);
    world.probe.set("mended", 1);
    forge.retry::<fails_itself>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "before 1");
    assert_eq!(world.rows().run("k").attempts, 6);
}

#[workflow]
async fn joins_two(probe: State<Probe>) -> Result<String> {
    let both = branch!("b", { (spawn!("good", child(1)), spawn!("bad", once())) }).await?;
    let (_, bad) = merge!(both).await?;
    probe.note("merged");
    Ok(bad.output().await?)
}

#[scenario]
async fn a_stalled_child_goes_on_and_its_parent_with_it_once(world: &World) {
    let forge = world
        .forge([joins_two::NAME, child::NAME, once::NAME])
        .await;
    let run = forge.start("p", joins_two()).await.unwrap();
    world.parked("p").await;
    assert_eq!(world.settle("p$b$bad").await.state, STALLED);
    world.probe.set("once", 1);
    forge.retry::<once>("p$b$bad").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "once 2");
    assert_eq!(world.probe.count("merged"), 1);
    let branch = world.rows().record("p", "branch$b");
    assert_eq!((branch.spawned, branch.pending), (2, 0));
}

#[workflow]
async fn beside_a_gate(probe: State<Probe>) -> Result<String> {
    let policy = RetryPolicy::new()
        .max_attempts(2)
        .base(secs(20))
        .jitter(false);
    let (charge, gate) = futures::join!(
        step!("charge", retry = policy, attempt(&probe, "charge")),
        continue_if!("gate", is_open(&probe))
    );
    gate?;
    Ok(charge?)
}

#[scenario]
async fn a_wake_up_tries_a_re_armed_step_no_earlier_than_its_instant(world: &World) {
    let forge = world.forge([beside_a_gate::NAME]).await;
    world.probe.set("open", 1);
    let run = forge.start("k", beside_a_gate()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    forge.retry::<beside_a_gate>("k").await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.wake_at, Some(world.now() + 20_000_000));
    assert_eq!(world.probe.count("charge"), 3);
    forge.wake::<beside_a_gate>("k").await.unwrap();
    let again = world.until(|| world.rows().run("k").lock_epoch > parked.lock_epoch);
    again.await;
    assert_eq!(world.parked("k").await.wake_at, parked.wake_at);
    assert_eq!(world.probe.count("charge"), 3);
    world.probe.set("charge", 1);
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "charge 4");
}

#[workflow]
async fn ticks(probe: State<Probe>) -> Result<()> {
    repeat!(
        "work",
        every = secs(60),
        until = async { Ok::<_, anyhow::Error>(probe.count("done") > 0) },
        on_error = Fail,
        retry = RetryPolicy::none(),
        |tick| {
            probe.note(format!("tick {}", tick.as_microsecond()));
            attempt(&probe, "work").await?;
            probe.note("done");
            Ok(())
        }
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_repeat_that_gave_up_goes_on_with_the_tick_that_failed(world: &World) {
    world.start_of_second();
    let forge = world.forge([ticks::NAME]).await;
    let run = forge.start("k", ticks()).await.unwrap();
    let tick = world.now() + 60_000_000;
    let row = world.settle("k").await;
    assert_eq!(row.stalled_by.as_deref(), Some("repeat$work"));
    // Long after its window: a retry by hand opens a new one.
    world.clock.advance(days(3));
    world.probe.set("work", 1);
    let retried = forge.retry::<ticks>("k").await.unwrap();
    assert_eq!(retried.records, ["repeat$work"]);
    world.settle("k").await;
    run.result().await.unwrap();
    let tick = format!("tick {tick}");
    assert_eq!(world.probe.log(), [&*tick, "work", &*tick, "work", "done"]);
}

#[workflow(retry = RetryPolicy::none())]
async fn misnames(probe: State<Probe>) -> Result<u32> {
    let key = if probe.is("mended") { "good" } else { "b$d" };
    Ok(step!("{key}", { Ok(7_u32) }).await?)
}

#[scenario]
async fn a_broken_rule_is_mended_by_a_deployment_and_a_retry(world: &World) {
    let forge = world.forge([misnames::NAME]).await;
    let run = forge.start("k", misnames()).await.unwrap();
    let error = run.result().await.unwrap_err();
    assert!(matches!(error, RunError::Failed { .. }), "{error}");
    world.probe.set("mended", 1);
    forge.retry::<misnames>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
}
