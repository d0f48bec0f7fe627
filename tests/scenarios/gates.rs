//! `continue_if!`: evaluated once per wake-up; no wake-up is lost.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, STALLED, World, scenario};

async fn is_set(probe: &Probe, flag: &str) -> Result<bool> {
    probe.note("looked");
    Ok(probe.is(flag))
}

#[workflow]
async fn gate(probe: State<Probe>) -> Result<()> {
    step!("before", {
        probe.note("before");
        Ok(())
    })
    .await?;
    continue_if!("approved", is_set(&probe, "approved")).await?;
    step!("after", {
        probe.note("after");
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn an_open_gate_lets_the_run_through_at_once(world: &World) {
    let forge = world.forge([gate::NAME]).await;
    world.probe.set("approved", 1);
    forge
        .start("k", gate())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    assert_eq!(world.probe.log(), ["before", "looked", "after"]);
    let record = world.rows().record("k", "continue_if$approved");
    assert_eq!(
        (record.state, record.attempts, record.result.as_deref()),
        (1, 1, Some("true"))
    );
}

#[scenario]
async fn a_closed_gate_parks_without_a_timer_and_looks_once_per_wake_up(world: &World) {
    let forge = world.forge([gate::NAME]).await;
    let run = forge.start("k", gate()).await.unwrap();
    let row = world.parked("k").await;
    assert_eq!((row.state, row.wake_at), (IDLE, None));
    assert_eq!(world.rows().record("k", "continue_if$approved").state, 0);
    for wake_ups in 1..=3 {
        assert_eq!(world.probe.count("looked"), wake_ups);
        forge.wake::<gate>("k").await.unwrap();
        world.noted("looked", wake_ups + 1).await;
        world.quiet().await;
    }
    assert_eq!(world.probe.count("looked"), 4);
    world.probe.set("approved", 1);
    forge.wake::<gate>("k").await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.probe.count("looked"), 5);
    assert_eq!(world.probe.count("before"), 1);
    assert_eq!(
        world.rows().records("k").len(),
        3,
        "exactly one row for the gate"
    );
}

/// Who calls cannot know that it has: a webhook that comes twice, or late.
#[scenario]
async fn a_wake_up_of_a_run_that_has_ended_does_nothing(world: &World) {
    let forge = world.forge([gate::NAME, doomed_gate::NAME]).await;
    world.probe.set("approved", 1);
    forge.start("k", gate()).await.unwrap();
    forge.start("failed", doomed_gate()).await.unwrap();
    for key in ["k", "failed"] {
        world.settle(key).await;
    }
    let rows = || format!("{:?}", world.rows().runs());
    let (before, looked) = (rows(), world.probe.count("looked"));
    forge.wake::<gate>("k").await.unwrap();
    forge.wake::<doomed_gate>("failed").await.unwrap();
    world.quiet().await;
    assert_eq!(rows(), before);
    assert_eq!(world.probe.count("looked"), looked);
}

#[workflow(retry = RetryPolicy::none())]
async fn doomed_gate() -> Result<()> {
    anyhow::bail!("for good")
}

#[workflow]
async fn slow_gate(probe: State<Probe>) -> Result<()> {
    continue_if!("approved", async {
        let approved = probe.is("approved");
        probe.note("looked");
        probe.raised("go").await;
        Ok::<_, anyhow::Error>(approved)
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_wake_up_that_arrives_during_the_evaluation_is_not_lost(world: &World) {
    let forge = world.forge([slow_gate::NAME]).await;
    let run = forge.start("k", slow_gate()).await.unwrap();
    world.noted("looked", 1).await;
    // The flag was read already; the wake-up says that it has changed.
    world.probe.set("approved", 1);
    forge.wake::<slow_gate>("k").await.unwrap();
    // Long enough for the pass to have taken note of it.
    world.until(|| !world.rows().run("k").wake_requested).await;
    world.probe.set("go", 1);
    run.result().await.unwrap();
    assert_eq!(world.probe.count("looked"), 2);
}

#[scenario]
async fn a_wake_up_of_another_process_during_the_pass_is_not_lost(world: &World) {
    let forge = world.forge([slow_gate::NAME]).await;
    let client = world.client().await;
    let run = forge.start("k", slow_gate()).await.unwrap();
    world.noted("looked", 1).await;
    world.probe.set("approved", 1);
    client.wake::<slow_gate>("k").await.unwrap();
    assert!(world.rows().run("k").wake_requested);
    world.probe.set("go", 1);
    run.result().await.unwrap();
}

#[scenario]
async fn a_gate_that_was_woken_with_its_process_dead_is_looked_at_by_the_next_one(world: &World) {
    let forge = world.forge([gate::NAME]).await;
    forge.start("k", gate()).await.unwrap();
    world.parked("k").await;
    world.crash(&forge);
    drop(forge);
    let client = world.client().await;
    world.probe.set("approved", 1);
    client.wake::<gate>("k").await.unwrap();
    let forge = world.forge([gate::NAME]).await;
    let run = forge.get::<gate>("k").await.unwrap().unwrap();
    run.result().await.unwrap();
    assert_eq!(world.probe.log(), ["before", "looked", "looked", "after"]);
}

#[workflow]
async fn two_gates(probe: State<Probe>) -> Result<()> {
    continue_if!("first", is_set(&probe, "one")).await?;
    step!("between", {
        probe.note("between");
        Ok(())
    })
    .await?;
    continue_if!("second", is_set(&probe, "two")).await?;
    Ok(())
}

#[scenario]
async fn gates_in_a_row_open_one_at_a_time(world: &World) {
    let forge = world.forge([two_gates::NAME]).await;
    let run = forge.start("k", two_gates()).await.unwrap();
    world.parked("k").await;
    world.probe.set("one", 1);
    forge.wake::<two_gates>("k").await.unwrap();
    world.noted("between", 1).await;
    world.parked("k").await;
    let states: Vec<_> = world.rows().records("k").iter().map(|r| r.state).collect();
    assert_eq!(states, [1, 1, 0]);
    world.probe.set("two", 1);
    forge.wake::<two_gates>("k").await.unwrap();
    run.result().await.unwrap();
    let order = ["continue_if$first", "step$between", "continue_if$second"];
    assert_eq!(world.rows().order("k"), order);
}

#[workflow]
async fn timed_gate(probe: State<Probe>) -> Result<String> {
    let opened = continue_if!("approved", timeout = hours(1), is_set(&probe, "approved")).await;
    Ok(opened.map_or_else(
        |e| format!("{} {}", e.class, e.is_timeout),
        |()| "opened".to_owned(),
    ))
}

#[scenario]
async fn a_gate_s_timeout_is_its_only_timer_and_a_last_look_wins(world: &World) {
    let forge = world.forge([timed_gate::NAME]).await;
    let begun = world.now();
    let shut = forge.start("shut", timed_gate()).await.unwrap();
    let open = forge.start("open", timed_gate()).await.unwrap();
    assert_eq!(
        world.parked("shut").await.wake_at,
        Some(begun + 3_600_000_000)
    );
    world.parked("open").await;
    world.clock.advance(minutes(59));
    forge.wake::<timed_gate>("shut").await.unwrap();
    world.noted("looked", 3).await;
    assert_eq!(
        world.parked("shut").await.wake_at,
        Some(begun + 3_600_000_000)
    );
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET wake_at = NULL WHERE key = 'open'",
        &[],
    );
    world.clock.advance(minutes(1));
    assert_eq!(shut.result().await.unwrap(), "timeout true");
    world.probe.set("approved", 1);
    forge.wake::<timed_gate>("open").await.unwrap();
    assert_eq!(open.result().await.unwrap(), "opened");
}

async fn no_answer() -> Result<bool> {
    anyhow::bail!("no answer")
}

#[workflow]
async fn broken_gate() -> Result<()> {
    continue_if!("x", no_answer()).await?;
    Ok(())
}

#[scenario]
async fn an_error_of_a_gate_stalls_the_run_without_a_retry(world: &World) {
    let forge = world.forge([broken_gate::NAME]).await;
    forge.start("k", broken_gate()).await.unwrap();
    let run = world.settle("k").await;
    assert_eq!(
        (run.state, run.stalled_by.as_deref()),
        (STALLED, Some("continue_if$x"))
    );
    let record = world.rows().record("k", "continue_if$x");
    assert_eq!((record.state, record.attempts), (2, 1));
    assert_eq!(record.error_message.as_deref(), Some("no answer"));
}

#[workflow]
async fn wakes_another(
    other: String,
    probe: State<Probe>,
    forge: State<chrono_forge_tests::scenario::Slot>,
) -> Result<()> {
    let forge = forge.get();
    forge.start(&other, gate()).await?;
    wait!("pause", secs(1)).await;
    probe.set("approved", 1);
    forge.wake::<gate>(&other).await?;
    Ok(())
}

#[scenario]
async fn start_and_wake_may_be_called_inside_a_body(world: &World) {
    let slot = chrono_forge_tests::scenario::Slot::default();
    let builder = world
        .builder([gate::NAME, wakes_another::NAME])
        .state(slot.clone());
    let forge = builder.open().await.unwrap();
    slot.put(forge.clone());
    let run = forge
        .start("k", wakes_another("other".into()))
        .await
        .unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    run.result().await.unwrap();
    let other = forge.get::<gate>("other").await.unwrap().unwrap();
    other.result().await.unwrap();
    slot.clear();
}

/// A handler whose client hangs up gives its call up just then.
#[scenario(threads = 2)]
async fn a_wake_up_whose_caller_is_gone_once_it_is_written_is_heard(world: &World) {
    let statements = world.statements();
    let builder = world.builder([gate::NAME]);
    let forge = builder.poll_interval(hours(10)).open().await.unwrap();
    let run = forge.start("k", gate()).await.unwrap();
    world.parked("k").await;
    world.probe.set("approved", 1);
    let written = statements.hold("waits_to_retry");
    let waker = tokio::spawn({
        let forge = forge.clone();
        async move { forge.wake::<gate>("k").await }
    });
    world.until(|| written.count() > 0).await;
    waker.abort();
    assert!(waker.await.unwrap_err().is_cancelled());
    drop(written);
    run.result().await.unwrap();
}
