//! What the end of a body in an error means: stalled, failed, or tried again.

use chrono_forge::prelude::*;
use chrono_forge::{RunError, RunState};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, STALLED, World, scenario};

#[derive(Debug)]
enum Shop {
    Transparent(StepError),
    Wrapped(StepError),
    Boxed(Box<dyn std::error::Error + Send + Sync>),
}

impl std::fmt::Display for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transparent(error) => error.fmt(f),
            Self::Wrapped(_) => f.write_str("wrapped"),
            Self::Boxed(_) => f.write_str("boxed"),
        }
    }
}

impl std::error::Error for Shop {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transparent(error) => error.source(),
            Self::Wrapped(error) => Some(error),
            Self::Boxed(error) => Some(error.as_ref()),
        }
    }
}

fn dressed(error: StepError, how: &str) -> anyhow::Error {
    match how {
        "plain" => error.into(),
        "context" => anyhow::Error::new(error)
            .context("while shipping")
            .context("at night"),
        "transparent" => Shop::Transparent(error).into(),
        "wrapped" => Shop::Wrapped(error).into(),
        "boxed" => Shop::Boxed(Box::new(error)).into(),
        "string" => anyhow::anyhow!("{error}"),
        other => anyhow::anyhow!("{other}"),
    }
}

const DRESSES: [&str; 6] = [
    "plain",
    "context",
    "transparent",
    "wrapped",
    "boxed",
    "string",
];

async fn refuse() -> Result<()> {
    anyhow::bail!("declined")
}

#[workflow]
async fn stalls(how: String) -> Result<()> {
    let policy = RetryPolicy::none();
    step!("charge", retry = policy, refuse())
        .await
        .map_err(|error| dressed(error, &how))
}

#[scenario]
async fn an_error_right_after_a_failed_step_stalls_whatever_its_wrapping(world: &World) {
    let forge = world.forge([stalls::NAME]).await;
    for how in DRESSES {
        let run = forge.start(how, stalls(how.to_owned())).await.unwrap();
        let row = world.settle(how).await;
        assert_eq!(
            (row.state, row.stalled_by.as_deref()),
            (STALLED, Some("step$charge")),
            "{how}"
        );
        assert_eq!(
            world.rows().attempts(how),
            [("step$charge".to_owned(), 1)],
            "{how}"
        );
        let error = run.result().await.unwrap_err();
        assert!(
            matches!(&error, RunError::Stalled { step, message, .. }
            if step == "step$charge" && message == "declined"),
            "{error:?}"
        );
        assert_eq!(error.state(), Some(RunState::Stalled));
    }
}

#[workflow(retry = RetryPolicy::new().max_attempts(3).jitter(false))]
async fn compensates(probe: State<Probe>, how: String) -> Result<()> {
    let charged = step!("charge", retry = RetryPolicy::none(), refuse()).await;
    if let Err(error) = charged {
        step!("refund", {
            probe.note("refund");
            Ok(())
        })
        .await?;
        return Err(dressed(error, &how));
    }
    Ok(())
}

async fn ends_failed(world: &World, key: &str, errors: usize) {
    let row = world.settle(key).await;
    assert_eq!((row.state, row.stalled_by), (FAILED, None), "{key}");
    let attempts = world.rows().attempts(key);
    assert_eq!(attempts.len(), 1 + errors, "{key}: {attempts:?}");
}

#[scenario]
async fn a_recorded_failure_after_compensation_fails_without_futile_retries(world: &World) {
    let forge = world.forge([compensates::NAME]).await;
    for how in &DRESSES[..5] {
        let run = forge
            .start(how, compensates((*how).to_owned()))
            .await
            .unwrap();
        ends_failed(world, how, 1).await;
        assert!(matches!(run.result().await, Err(RunError::Failed { .. })));
    }
    assert_eq!(world.probe.count("refund"), 5);
    // A formatted string is another error: the body is tried again.
    forge
        .start("string", compensates("string".into()))
        .await
        .unwrap();
    ends_failed(world, "string", 3).await;
    assert_eq!(world.probe.count("refund"), 6);
}

#[workflow]
async fn recovers(probe: State<Probe>) -> Result<String> {
    let first = step!(
        "charge",
        retry = RetryPolicy::new().max_attempts(2),
        refuse()
    )
    .await;
    let first = first.unwrap_err();
    probe.note(format!("{first:?}"));
    wait!("pause", days(1)).await;
    let second = step!("other", { Ok("paid by invoice".to_owned()) }).await?;
    probe.note(format!("{first:?}"));
    Ok(second)
}

#[scenario]
async fn a_caught_step_error_is_a_value_and_the_same_on_every_replay(world: &World) {
    let forge = world.forge([recovers::NAME]).await;
    let run = forge.start("k", recovers()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "paid by invoice");
    let log = world.probe.log();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|it| *it == log[0]), "{log:?}");
    assert!(
        log[0].contains("after 2 attempts") && log[0].contains("declined"),
        "{}",
        log[0]
    );
    assert_eq!(world.rows().attempts("k").len(), 2);
}

#[workflow]
async fn swallows(probe: State<Probe>) -> Result<()> {
    let all = async {
        wait!("pause", days(1)).await;
        Ok::<_, anyhow::Error>(())
    };
    if all.await.is_err() {
        probe.note("swallowed");
    }
    probe.note("end");
    Ok(())
}

#[scenario]
async fn parking_is_no_value_that_user_code_could_swallow(world: &World) {
    let forge = world.forge([swallows::NAME]).await;
    forge.start("k", swallows()).await.unwrap();
    world.parked("k").await;
    assert!(world.probe.log().is_empty());
    world.settle("k").await;
    assert_eq!(world.probe.log(), ["end"]);
}
