//! `forge.retry`: what runs again, with which budget, and what stays as it is.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{BranchError, Error, RunError, RunState};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, STALLED, World, scenario};

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

#[tokio::test]
async fn a_retried_step_has_its_whole_budget_and_its_attempts_number_on() {
    scenario(async |world| {
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
    })
    .await;
}

#[workflow]
async fn once(probe: State<Probe>) -> Result<String> {
    Ok(step!("once", retry = RetryPolicy::none(), attempt(&probe, "once")).await?)
}

#[tokio::test]
async fn a_run_may_be_retried_any_number_of_times_within_one_instant() {
    scenario(async |world| {
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
    })
    .await;
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

#[tokio::test]
async fn two_steps_that_failed_beside_each_other_are_both_re_armed() {
    scenario(async |world| {
        let forge = world.forge([two_arms::NAME]).await;
        let run = forge.start("k", two_arms()).await.unwrap();
        assert_eq!(world.settle("k").await.state, STALLED);
        world.probe.set("a", 1);
        world.probe.set("b", 1);
        let retried = forge.retry::<two_arms>("k").await.unwrap();
        assert_eq!(retried.records, ["step$a", "step$b"]);
        assert_eq!(run.result().await.unwrap(), "a 2 b 2");
    })
    .await;
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

#[tokio::test]
async fn the_arms_of_a_try_join_go_on_from_where_they_were() {
    scenario(async |world| {
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
    })
    .await;
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

#[tokio::test]
async fn after_a_compensation_only_a_named_record_runs_again() {
    scenario(async |world| {
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
    })
    .await;
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

#[tokio::test]
async fn a_condition_that_ran_out_of_time_has_a_fresh_deadline() {
    scenario(async |world| {
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
    })
    .await;
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

#[tokio::test]
async fn a_branch_that_gave_up_goes_on_from_its_cursor() {
    scenario(async |world| {
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
    })
    .await;
}

#[workflow(retry = RetryPolicy::new().max_attempts(3).jitter(false))]
async fn fails_itself(probe: State<Probe>) -> Result<String> {
    let before = step!("before", attempt(&probe, "before")).await?;
    probe.note("body");
    anyhow::ensure!(probe.is("mended"), "the body is wrong");
    Ok(before)
}

#[tokio::test]
async fn a_failed_body_replays_with_a_fresh_budget() {
    scenario(async |world| {
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
    })
    .await;
}

#[workflow]
async fn joins_two(probe: State<Probe>) -> Result<String> {
    let both = branch!("b", { (spawn!("good", child(1)), spawn!("bad", once())) }).await?;
    let (_, bad) = merge!(both).await?;
    probe.note("merged");
    Ok(bad.output().await?)
}

#[tokio::test]
async fn a_stalled_child_goes_on_and_its_parent_with_it_once() {
    scenario(async |world| {
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
    })
    .await;
}

#[workflow]
async fn beside_a_gate(probe: State<Probe>) -> Result<String> {
    let policy = RetryPolicy::new()
        .max_attempts(2)
        .base(minutes(1))
        .jitter(false);
    let (charge, gate) = futures::join!(
        step!("charge", retry = policy, attempt(&probe, "charge")),
        continue_if!("gate", is_open(&probe))
    );
    gate?;
    Ok(charge?)
}

#[tokio::test]
async fn a_wake_up_tries_a_re_armed_step_no_earlier_than_its_instant() {
    scenario(async |world| {
        let forge = world.forge([beside_a_gate::NAME]).await;
        world.probe.set("open", 1);
        let run = forge.start("k", beside_a_gate()).await.unwrap();
        assert_eq!(world.settle("k").await.state, STALLED);
        forge.retry::<beside_a_gate>("k").await.unwrap();
        let parked = world.parked("k").await;
        assert_eq!(parked.wake_at, Some(world.now() + 60_000_000));
        assert_eq!(world.probe.count("charge"), 3);
        forge.wake::<beside_a_gate>("k").await.unwrap();
        let again = world.until(|| world.rows().run("k").lock_epoch > parked.lock_epoch);
        again.await;
        assert_eq!(world.parked("k").await.wake_at, parked.wake_at);
        assert_eq!(world.probe.count("charge"), 3);
        world.probe.set("charge", 1);
        world.settle("k").await;
        assert_eq!(run.result().await.unwrap(), "charge 4");
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_the_retry_s_commit_leaves_all_of_it_or_nothing() {
    scenario(async |world| {
        for (place, state) in [
            ("commit.before.retry", STALLED),
            ("commit.after.retry", IDLE),
        ] {
            let forge = world.forge([once::NAME]).await;
            forge.start(place, once()).await.unwrap();
            assert_eq!(world.settle(place).await.state, STALLED);
            world.failpoints.arm(place, 1);
            let retried = forge.retry::<once>(place).await;
            assert_eq!(retried.is_ok(), state == IDLE, "{place}: {retried:?}");
            forge.crashed().await;
            world.failpoints.disarm();
            let row = world.rows().run(place);
            assert_eq!((row.state, row.wake_at.is_some()), (state, state == IDLE));
            let record = world.rows().record(place, "step$once");
            assert_eq!(
                (record.state, record.seq.is_none()),
                (if state == IDLE { 0 } else { 2 }, state == IDLE)
            );
        }
        world.probe.set("once", 1);
        let forge = world.forge([once::NAME]).await;
        assert_eq!(world.settle("commit.after.retry").await.state, COMPLETED);
        forge.retry::<once>("commit.before.retry").await.unwrap();
        assert_eq!(world.settle("commit.before.retry").await.state, COMPLETED);
    })
    .await;
}

#[workflow]
async fn operator(slot: State<chrono_forge_tests::scenario::Slot>, key: String) -> Result<usize> {
    let seen = step!("seen", { Ok(1_usize) }).await?;
    let retried = step!("retry", {
        Ok(slot.get().retry::<once>(&key).await?.records.len())
    })
    .await?;
    let again = slot.get().retry::<once>(&key).await;
    let refused = matches!(again, Err(Error::NotRetryable { .. }));
    Ok(seen + retried + usize::from(refused))
}

#[tokio::test]
async fn a_body_retries_another_run_behind_its_barrier() {
    scenario(async |world| {
        let slot = chrono_forge_tests::scenario::Slot::default();
        let builder = world.builder([operator::NAME, once::NAME]);
        let forge = builder.state(slot.clone()).open().await.unwrap();
        slot.put(forge.clone());
        let stalled = forge.start("k", once()).await.unwrap();
        assert_eq!(world.settle("k").await.state, STALLED);
        world.probe.set("once", 1);
        let run = forge.start("o", operator("k".into())).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 3);
        assert_eq!(stalled.result().await.unwrap(), "once 2");
        slot.clear();
    })
    .await;
}

#[tokio::test]
async fn a_result_that_is_asked_for_after_the_retry_is_the_new_one() {
    scenario(async |world| {
        let forge = world.forge([once::NAME]).await;
        // Never asked, so it still holds what it was told of the first end.
        let watched = forge.start("k", once()).await.unwrap();
        world.settle("k").await;
        let state = forge.get::<once>("k").await.unwrap().unwrap().state().await;
        assert_eq!(state.unwrap(), RunState::Stalled);
        world.probe.set("once", 1);
        forge.retry::<once>("k").await.unwrap();
        assert_eq!(watched.result().await.unwrap(), "once 2");
    })
    .await;
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

#[tokio::test]
async fn a_repeat_that_gave_up_goes_on_with_the_tick_that_failed() {
    scenario(async |world| {
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
    })
    .await;
}

#[workflow]
async fn second_try(cx: Context, probe: State<Probe>) -> Result<usize> {
    let key = cx.key().to_owned();
    let give_up = RetryPolicy::none();
    Ok(step!("s", retry = give_up, {
        let nth = probe.nth(&key);
        anyhow::ensure!(nth > 1, "the first one fails");
        Ok(nth)
    })
    .await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn retries_that_meet_the_stall_and_each_other_win_once() {
    scenario(async |world| {
        let forge = world.forge([second_try::NAME]).await;
        for n in 0..60 {
            let key = format!("k{n}");
            let run = forge.start(&key, second_try()).await.unwrap();
            let racer = |pause: u64| {
                let (forge, key) = (forge.clone(), key.clone());
                tokio::spawn(async move {
                    let mut won = 0;
                    loop {
                        match forge.retry::<second_try>(&key).await {
                            Ok(_) => won += 1,
                            Err(Error::NotRetryable { state, .. })
                                if state == RunState::Completed =>
                            {
                                return won;
                            }
                            Err(Error::NotRetryable { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                        tokio::time::sleep(Duration::from_micros(pause)).await;
                    }
                })
            };
            let (one, other) = (racer(n * 7), racer(300 - n * 5));
            let (one, other) = tokio::join!(one, other);
            assert_eq!(one.unwrap() + other.unwrap(), 1, "{key}");
            assert_eq!(run.result().await.unwrap(), 2);
            assert_eq!(world.probe.count(&key), 2);
        }
    })
    .await;
}

#[workflow(retry = RetryPolicy::none())]
async fn breaks_a_rule(probe: State<Probe>) -> Result<u32> {
    let key = if probe.is("mended") { "good" } else { "b$d" };
    Ok(step!("{key}", { Ok(7_u32) }).await?)
}

#[tokio::test]
async fn a_broken_rule_is_mended_by_a_deployment_and_a_retry() {
    scenario(async |world| {
        let forge = world.forge([breaks_a_rule::NAME]).await;
        let run = forge.start("k", breaks_a_rule()).await.unwrap();
        let error = run.result().await.unwrap_err();
        assert!(matches!(error, RunError::Failed { .. }), "{error}");
        world.probe.set("mended", 1);
        forge.retry::<breaks_a_rule>("k").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 7);
    })
    .await;
}
