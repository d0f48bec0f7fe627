//! Attempts of a step: error rows, budgets, delays, timeouts.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, STALLED, World, scenario};

#[derive(Debug)]
struct Offline(usize);

impl std::fmt::Display for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "offline {}", self.0)
    }
}

impl std::error::Error for Offline {}

async fn call(probe: &Probe, succeeds_at: usize) -> Result<usize, Offline> {
    match probe.nth("call") {
        nth if nth >= succeeds_at => Ok(nth),
        nth => Err(Offline(nth)),
    }
}

#[workflow]
async fn flaky(probe: State<Probe>, succeeds_at: usize, max: u32) -> Result<usize> {
    let policy = RetryPolicy::new().max_attempts(max).jitter(false);
    Ok(step!("call", retry = policy, call(&probe, succeeds_at)).await?)
}

#[scenario]
async fn a_failing_step_leaves_one_error_row_per_attempt_numbered_from_1(world: &World) {
    let forge = world.forge([flaky::NAME]).await;
    let run = forge.start("k", flaky(9, 3)).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    let errors = world.rows().errors("k");
    let seen: Vec<_> = errors
        .iter()
        .map(|e| (e.attempt, e.message.as_str()))
        .collect();
    assert_eq!(seen, [(1, "offline 1"), (2, "offline 2"), (3, "offline 3")]);
    assert!(
        errors
            .iter()
            .all(|e| e.step_name.as_deref() == Some("step$call"))
    );
    assert!(
        errors
            .iter()
            .all(|e| e.class == std::any::type_name::<Offline>())
    );
    let record = world.rows().record("k", "step$call");
    assert_eq!((record.state, record.attempts), (2, 3));
    assert_eq!(record.error_message.as_deref(), Some("offline 3"));
    let error = run.result().await.unwrap_err();
    assert!(error.to_string().contains("step$call"), "{error}");
    assert_eq!(
        world
            .rows()
            .number("SELECT count(*) FROM chrono_forge_blocked"),
        1
    );
}

#[scenario]
async fn a_step_that_recovers_keeps_its_errors_and_counts_all_attempts(world: &World) {
    let forge = world.forge([flaky::NAME]).await;
    let run = forge.start("k", flaky(2, 3)).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(
        parked.wake_at,
        Some(world.now() + 1_000_000),
        "base delay of 1 s"
    );
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 2);
    let record = world.rows().record("k", "step$call");
    assert_eq!(
        (record.state, record.attempts, record.error_class),
        (1, 2, None)
    );
    assert_eq!(world.rows().attempts("k"), [("step$call".to_owned(), 1)]);
}

#[scenario]
async fn a_crash_between_attempts_neither_restarts_the_delay_nor_the_count(world: &World) {
    let forge = world.forge([flaky::NAME]).await;
    forge.start("k", flaky(9, 2)).await.unwrap();
    let wake_at = world.parked("k").await.wake_at.unwrap();
    world.crash(&forge);
    drop(forge);
    let forge = world.forge([flaky::NAME]).await;
    assert_eq!(world.parked("k").await.wake_at, Some(wake_at));
    world.rows().make_due("k", world.now());
    forge.wake::<flaky>("k").await.unwrap();
    assert_eq!(
        world.parked("k").await.wake_at,
        Some(wake_at),
        "woken too early, it parks again"
    );
    assert_eq!(world.probe.count("call"), 1);
    assert_eq!(world.settle("k").await.state, STALLED);
    assert_eq!(world.probe.count("call"), 2);
    let numbers: Vec<_> = world
        .rows()
        .attempts("k")
        .into_iter()
        .map(|it| it.1)
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[workflow(retry = RetryPolicy::new().max_attempts(2).jitter(false))]
async fn by_workflow(probe: State<Probe>) -> Result<usize> {
    Ok(step!(call(&probe, 9)).await?)
}

#[scenario]
async fn a_step_without_a_policy_takes_its_workflow_s(world: &World) {
    let forge = world.forge([by_workflow::NAME]).await;
    forge.start("k", by_workflow()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    assert_eq!(world.probe.count("call"), 2);
}

#[workflow]
async fn at_once(probe: State<Probe>) -> Result<usize> {
    let policy = RetryPolicy::new().base(secs(0)).max_attempts(4);
    Ok(step!(retry = policy, call(&probe, 4)).await?)
}

#[scenario]
async fn a_retry_without_delay_happens_in_the_same_pass(world: &World) {
    let forge = world.forge([at_once::NAME]).await;
    let run = forge.start("k", at_once()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 4);
    assert_eq!(world.rows().run("k").lock_epoch, 1);
    assert_eq!(world.rows().attempts("k").len(), 3);
}

#[workflow]
async fn slow(probe: State<Probe>) -> Result<String> {
    let policy = RetryPolicy::new().max_attempts(2).jitter(false);
    let gave_up = step!("slow", retry = policy, timeout = secs(5), {
        probe.note("begun");
        std::future::pending::<()>().await;
        Ok(())
    })
    .await
    .unwrap_err();
    wait!("pause", secs(1)).await;
    Ok(format!(
        "{} {} {}",
        gave_up.attempts, gave_up.class, gave_up.is_timeout
    ))
}

#[scenario]
async fn a_timeout_is_per_attempt_retryable_and_the_same_on_replay(world: &World) {
    let forge = world.forge([slow::NAME]).await;
    let run = forge.start("k", slow()).await.unwrap();
    world.noted("begun", 1).await;
    world.clock.advance(secs(4));
    assert_eq!(world.rows().run("k").state, RUNNING);
    world.clock.advance(secs(1));
    assert_eq!(
        world.parked("k").await.wake_at,
        Some(world.now() + 1_000_000)
    );
    world.clock.advance(secs(1));
    world.noted("begun", 2).await;
    world.clock.advance(secs(5));
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "2 timeout true");
    let errors = world.rows().errors("k");
    assert!(errors.iter().all(|e| e.class == "timeout"), "{errors:?}");
    assert_eq!(errors.len(), 2);
    assert_eq!(world.probe.count("begun"), 2);
}

#[workflow]
async fn note_started(probe: State<Probe>) -> Result<()> {
    step!("hangs", {
        probe.note("begun");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn an_attempt_that_takes_its_time_is_seen_in_the_rows(world: &World) {
    let forge = world.forge([note_started::NAME]).await;
    let run = forge.start("k", note_started()).await.unwrap();
    world.noted("begun", 1).await;
    world.clock.advance(secs(1));
    world.until(|| !world.rows().records("k").is_empty()).await;
    let record = world.rows().record("k", "step$hangs");
    assert_eq!((record.state, record.attempts, record.seq), (0, 0, None));
    assert_eq!(world.rows().run("k").state, RUNNING);
    world.probe.set("go", 1);
    run.result().await.unwrap();
    assert_eq!(world.rows().record("k", "step$hangs").attempts, 1);
}

#[workflow]
async fn returning(probe: State<Probe>) -> Result<()> {
    let steady = RetryPolicy::new().jitter(false);
    step!("flaky", retry = steady, {
        anyhow::ensure!(probe.nth("flaky") > 1, "once");
        Ok(())
    })
    .await?;
    wait!("pause", days(1)).await;
    Ok(())
}

/// A storm of retries delays no healthy run, and a run that is over it is healthy again.
#[scenario]
async fn a_run_waits_below_the_healthy_ones_while_it_waits_to_try_again(world: &World) {
    let forge = world.forge([returning::NAME]).await;
    forge.start("k", returning()).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.wake_at, Some(world.now() + 1_000_000));
    assert_eq!(parked.priority, 12);
    world.clock.advance(secs(1));
    let pause = world.now() + 86_400 * 1_000_000;
    world
        .until(|| world.rows().run("k").wake_at == Some(pause))
        .await;
    assert_eq!(world.rows().run("k").priority, 1);
}
