//! Recovery by hand of what is not there, not blocked, or not held: the exact texts.

use chrono_forge::prelude::*;
use chrono_forge::{Error, RetryFilter, RunState};
use chrono_forge_tests::scenario::{Probe, World, scenario};

use super::{healthy, serves_on};

#[workflow]
async fn recoverable(probe: State<Probe>, end: String) -> Result<()> {
    if end == "parked" {
        wait!("pause", days(1)).await;
    }
    if end == "running" {
        step!("hang", {
            probe.raised("go").await;
            Ok(())
        })
        .await?;
    }
    let give_up = RetryPolicy::none;
    if end == "caught" {
        let all = futures::join!(
            step!("z", retry = give_up(), async {
                anyhow::bail!("no") as Result<()>
            }),
            wait_until!("z", async { anyhow::bail!("no") as Result<bool> })
        );
        assert!(all.0.is_err() && all.1.is_err());
        step!("undo", { Ok(()) }).await?;
        all.0?;
    }
    if end == "stalled" {
        step!("before", { Ok(()) }).await?;
        step!("x", retry = give_up(), async {
            anyhow::bail!("no") as Result<()>
        })
        .await?;
    }
    Ok(())
}

async fn brought(world: &World, forge: &Forge, end: &str) {
    forge.start(end, recoverable(end.into())).await.unwrap();
    if end == "running" {
        let running = || world.rows().find(end).is_some_and(|run| run.state == 1);
        world.until(running).await;
    } else if end == "parked" {
        world.parked(end).await;
    } else {
        world.settle(end).await;
    }
}

#[scenario]
async fn a_retry_of_what_is_not_blocked_says_its_state_and_the_remedy(world: &World) {
    let forge = world.forge([recoverable::NAME, healthy::NAME]).await;
    let over = "it is over; start another run under a new key";
    for (end, state, remedy) in [
        (
            "parked",
            "idle",
            "it goes on by itself; forge.wake lets it look at its conditions now",
        ),
        ("done", "completed", over),
        (
            "running",
            "running",
            "a worker holds it; forge.unlock takes it from one that hangs",
        ),
    ] {
        brought(world, &forge, end).await;
        let before = format!("{:?}", world.rows().run(end));
        let expected =
            format!("run {end:?} of `recoverable` is {state}, not failed or stalled: {remedy}");
        let error = forge.retry::<recoverable>(end).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        let named = forge.retry::<recoverable>(end).records(["x"]).await;
        assert_eq!(
            named.unwrap_err().to_string(),
            expected,
            "the state comes first"
        );
        assert_eq!(format!("{:?}", world.rows().run(end)), before);
    }
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET state = 5 WHERE key = 'done'",
        &[],
    );
    let error = forge.retry::<recoverable>("done").await.unwrap_err();
    assert!(matches!(
        &error,
        Error::NotRetryable {
            state: RunState::Canceled,
            ..
        }
    ));
    assert!(error.to_string().ends_with(over), "{error}");
    world.probe.set("go", 1);
    serves_on(&forge, "retry").await;
}

#[scenario]
async fn recovery_of_nobody_is_refused(world: &World) {
    let forge = world.forge([recoverable::NAME, healthy::NAME]).await;
    brought(world, &forge, "stalled").await;
    let expected = "workflow `recoverable` has no run with the key \"none\"";
    let errors = [
        forge.retry::<recoverable>("none").await.unwrap_err(),
        forge.unlock::<recoverable>("none").await.unwrap_err(),
        forge
            .reset_crashes::<recoverable>("none")
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
    // The key of a run of another workflow.
    let error = forge.retry::<healthy>("stalled").await.unwrap_err();
    assert!(matches!(
        error,
        Error::NotFound {
            workflow: "healthy",
            ..
        }
    ));
    assert_eq!(
        forge
            .retry_all(RetryFilter::new().workflow("other"))
            .await
            .unwrap(),
        0
    );
    serves_on(&forge, "nobody").await;
}

#[scenario]
async fn a_named_record_that_has_not_failed_changes_nothing(world: &World) {
    let forge = world.forge([recoverable::NAME, healthy::NAME]).await;
    brought(world, &forge, "caught").await;
    brought(world, &forge, "stalled").await;
    let failed = "failed: `step$z`, `wait_until$z`";
    for (key, name, problem, failed) in [
        ("caught", "step$x", "does not exist", failed),
        ("caught", "undo", "has not failed", failed),
        (
            "caught",
            "z",
            "means several failed records; give the whole row name",
            failed,
        ),
        ("stalled", "before", "has not failed", "failed: `step$x`"),
    ] {
        let fine = if key == "caught" { "step$z" } else { "step$x" };
        let before = world.rows().dump();
        let retried = forge.retry::<recoverable>(key).records([fine, name]).await;
        let error = retried.unwrap_err();
        assert!(matches!(error, Error::NoSuchRecord { .. }), "{error:?}");
        let expected =
            format!("run {key:?} of `recoverable`: the record {name:?} {problem}; {failed}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(world.rows().dump(), before);
    }
    serves_on(&forge, "named").await;
}

#[workflow(retry = RetryPolicy::none())]
async fn fails_early() -> Result<()> {
    anyhow::bail!("early")
}

#[scenario]
async fn a_run_without_failed_records_is_retried_without_names(world: &World) {
    let forge = world.forge([fails_early::NAME, healthy::NAME]).await;
    forge.start("f", fails_early()).await.unwrap();
    world.settle("f").await;
    let retried = forge.retry::<fails_early>("f").records(["x"]).await;
    let remedy = "none of its records has failed, so retry it without naming any";
    let error = retried.unwrap_err().to_string();
    assert!(error.ends_with(remedy), "{error}");
    assert!(
        forge
            .retry::<fails_early>("f")
            .await
            .unwrap()
            .records
            .is_empty()
    );
    serves_on(&forge, "nameless").await;
}

#[scenario]
async fn what_nobody_holds_cannot_be_unlocked_and_what_is_over_has_no_crashes(world: &World) {
    let forge = world.forge([recoverable::NAME, healthy::NAME]).await;
    let over = "it is over; start another run under a new key";
    for (end, state, remedy) in [
        (
            "parked",
            "idle",
            "no worker holds it; forge.wake lets it look at its conditions now",
        ),
        (
            "stalled",
            "stalled",
            "no worker holds it; forge.retry re-arms it",
        ),
        ("done", "completed", over),
    ] {
        brought(world, &forge, end).await;
        let before = format!("{:?}", world.rows().run(end));
        let error = forge.unlock::<recoverable>(end).await.unwrap_err();
        assert!(matches!(error, Error::NotRunning { .. }), "{error:?}");
        let expected = format!("run {end:?} of `recoverable` is {state}, not running: {remedy}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(format!("{:?}", world.rows().run(end)), before);
    }
    forge.reset_crashes::<recoverable>("parked").await.unwrap();
    for (end, text) in [
        (
            "stalled",
            "is stalled: forge.retry re-arms it and resets its crashes",
        ),
        (
            "done",
            "is completed: it is over; no worker will take it again",
        ),
    ] {
        let error = forge.reset_crashes::<recoverable>(end).await.unwrap_err();
        assert!(matches!(error, Error::Settled { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("run {end:?} of `recoverable` {text}")
        );
    }
    serves_on(&forge, "unlock").await;
}

#[scenario]
async fn recovery_after_a_shutdown_says_so(world: &World) {
    let forge = world.forge([recoverable::NAME]).await;
    brought(world, &forge, "stalled").await;
    forge.shutdown().await;
    let errors = [
        forge.retry::<recoverable>("stalled").await.unwrap_err(),
        forge.unlock::<recoverable>("stalled").await.unwrap_err(),
        forge
            .reset_crashes::<recoverable>("stalled")
            .await
            .unwrap_err(),
        forge.retry_all(RetryFilter::new()).await.unwrap_err(),
    ];
    assert!(
        errors.iter().all(|error| matches!(error, Error::Closed)),
        "{errors:?}"
    );
}
