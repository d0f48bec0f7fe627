//! Errors of the body itself: the whole body replays, within a budget that the row keeps.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, World, scenario};

#[workflow(retry = RetryPolicy::new().max_attempts(3).jitter(false))]
async fn broken_body(probe: State<Probe>) -> Result<()> {
    probe.note("body");
    step!("once", {
        probe.note("once");
        Ok(())
    })
    .await?;
    anyhow::ensure!(probe.is("mended"), "body is broken");
    Ok(())
}

#[scenario]
async fn a_failing_body_is_tried_again_by_its_policy_and_then_fails(world: &World) {
    let forge = world.forge([broken_body::NAME]).await;
    let run = forge.start("k", broken_body()).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.wake_at, Some(world.now() + 1_000_000));
    assert_eq!(parked.retry_counts, r#"{"*":1}"#);
    let row = world.settle("k").await;
    assert_eq!((row.state, row.attempts, row.stalled_by), (FAILED, 3, None));
    assert_eq!(
        (world.probe.count("body"), world.probe.count("once")),
        (3, 1)
    );
    let numbered: Vec<_> = (1..=3).map(|n| (String::new(), n)).collect();
    assert_eq!(world.rows().attempts("k"), numbered);
    let error = run.result().await.unwrap_err();
    assert!(error.to_string().contains("body is broken"), "{error}");
}

#[scenario]
async fn the_body_s_budget_survives_restarts(world: &World) {
    for round in 1..=3 {
        let forge = world.forge([broken_body::NAME]).await;
        forge.start("k", broken_body()).await.unwrap();
        world.noted("body", round).await;
        world
            .until(|| world.rows().run("k").attempts == round as i64)
            .await;
        world.crash(&forge);
        drop(forge);
        world.clock.advance(hours(1));
    }
    assert_eq!(world.rows().run("k").state, FAILED);
    assert_eq!(world.probe.count("body"), 3);
}

#[workflow(retry = RetryPolicy::new().max_attempts(2).jitter(false))]
async fn progressing(probe: State<Probe>) -> Result<usize> {
    let rounds = probe.nth("body");
    for i in 0..rounds {
        step!("round-{i}", { Ok(()) }).await?;
    }
    anyhow::ensure!(rounds == 6, "not yet");
    Ok(rounds)
}

#[scenario]
async fn new_progress_resets_the_budget_and_numbering_goes_on(world: &World) {
    let forge = world.forge([progressing::NAME]).await;
    let run = forge.start("k", progressing()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 6);
    let row = world.rows().run("k");
    assert_eq!((row.attempts, row.retry_counts.as_str()), (5, "{}"));
    let numbers: Vec<_> = world
        .rows()
        .attempts("k")
        .into_iter()
        .map(|it| it.1)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[workflow(retry = RetryPolicy::new().max_attempts(3).jitter(false))]
async fn pausing(probe: State<Probe>) -> Result<()> {
    // Alternates between an error and a pause that makes no progress.
    if probe.nth("body").is_multiple_of(2) {
        continue_if!("never", async { Ok::<_, anyhow::Error>(false) }).await?;
    }
    anyhow::bail!("body is broken")
}

#[scenario]
async fn a_pause_without_progress_does_not_reset_the_budget(world: &World) {
    let forge = world.forge([pausing::NAME]).await;
    forge.start("k", pausing()).await.unwrap();
    let mut row = world.settle("k").await;
    while row.state == IDLE {
        forge.wake::<pausing>("k").await.unwrap();
        row = world.settle("k").await;
    }
    assert_eq!((row.state, row.attempts), (FAILED, 3));
    assert_eq!(world.probe.count("body"), 5);
}

#[workflow]
async fn default_budget(probe: State<Probe>) -> Result<()> {
    probe.note("body");
    anyhow::bail!("no")
}

#[scenario]
async fn a_body_without_a_policy_is_tried_ten_times(world: &World) {
    let forge = world.forge([default_budget::NAME]).await;
    forge.start("k", default_budget()).await.unwrap();
    assert_eq!(world.settle("k").await.state, FAILED);
    assert_eq!(world.probe.count("body"), 10);
}

#[scenario]
async fn a_body_that_recovers_completes(world: &World) {
    let forge = world.forge([broken_body::NAME]).await;
    let run = forge.start("k", broken_body()).await.unwrap();
    world.parked("k").await;
    world.probe.set("mended", 1);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    run.result().await.unwrap();
    assert_eq!(world.rows().errors("k").len(), 1);
}

#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn fails_beside_others(probe: State<Probe>) -> Result<u32> {
    let (_, value, ()) = tokio::try_join!(
        async {
            step!("first", { Ok(()) }).await?;
            anyhow::ensure!(probe.is("mended"), "flaky");
            Ok(())
        },
        async {
            Ok(step!("beside", {
                probe.note("beside");
                Ok(7_u32)
            })
            .await?)
        },
        async {
            wait!("pause", days(2)).await;
            anyhow::Ok(())
        },
    )?;
    Ok(value)
}

#[scenario]
async fn what_goes_down_with_a_failing_body_is_there_again_when_it_replays(world: &World) {
    let forge = world.forge([fails_beside_others::NAME]).await;
    let run = forge.start("k", fails_beside_others()).await.unwrap();
    world.parked("k").await;
    let pause = world.rows().record("k", "wait$pause");
    let end = world.now() + 2 * 86_400 * 1_000_000;
    assert_eq!((pause.state, pause.wake_at), (0, Some(end)));
    world.probe.set("mended", 1);
    world.clock.advance(secs(10));
    world
        .until(|| world.rows().run("k").wake_at == Some(end))
        .await;
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 7);
    // It had finished when the body failed, and its value waited for the replay.
    assert_eq!(world.probe.count("beside"), 1);
    assert_eq!(world.now(), end);
}
