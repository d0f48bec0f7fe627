//! Runs that fail, stall, wait for their next attempt, and those of which there is nothing to tell.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{FAILED, Probe, STALLED, World, scenario};
use chrono_forge_tests::telling::{heard, listen, told};

const HASTY: RetryPolicy = RetryPolicy::new()
    .max_attempts(3)
    .base(Duration::from_secs(1))
    .jitter(false);

#[workflow]
async fn told_flaky(probe: State<Probe>) -> Result<()> {
    step!("charge", retry = HASTY, {
        anyhow::ensure!(probe.nth("charge") > 2, "the bank\nis closed");
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_failed_attempt_that_is_tried_again_is_a_warning_with_its_number_and_the_next_instant(
    world: &World,
) {
    listen();
    let key = format!("{:?} a", world.backend());
    let forge = world.forge([told_flaky::NAME]).await;
    let run = forge.start(&key, told_flaky()).await.unwrap();
    world.settle(&key).await;
    run.result().await.unwrap();
    let of_run = ["workflow=\"told_flaky\"", &*format!("key={key:?}")];
    let warned = told(
        &[
            &of_run[..],
            &["WARN", "an attempt failed and is tried again"],
        ]
        .concat(),
    );
    assert_eq!(warned.len(), 2, "{warned:#?}");
    for (line, attempt) in warned.iter().zip(["1 of 3", "2 of 3"]) {
        assert!(line.contains(&format!("attempt={attempt}")), "{line}");
        for part in [
            "step=\"charge\"",
            "class=",
            "the bank\\\\nis closed",
            "next=",
        ] {
            assert!(line.contains(part), "{line} has no {part}");
        }
        assert!(!line.contains('\n'), "{line}");
    }
    // Of a run that went well in the end there is nothing else above DEBUG.
    let all = told(&of_run);
    let quiet = all.iter().filter(|line| line.starts_with("DEBUG"));
    assert_eq!(quiet.count() + 2, all.len(), "{all:#?}");
    assert_eq!(
        heard(&[&of_run[..], &["DEBUG", "a run begins"]].concat(), 1)
            .await
            .len(),
        1
    );
    assert_eq!(
        heard(&[&of_run[..], &["DEBUG", "completed"]].concat(), 1)
            .await
            .len(),
        1
    );
}

#[workflow]
async fn told_stalls() -> Result<()> {
    step!("charge", retry = RetryPolicy::none(), {
        Err::<(), _>(anyhow::anyhow!("card declined"))
    })
    .await?;
    Ok(())
}

#[workflow]
async fn told_compensates() -> Result<()> {
    let charged = step!("charge", retry = RetryPolicy::none(), {
        Err::<(), _>(anyhow::anyhow!("card declined"))
    });
    if charged.await.is_err() {
        step!("apologize", { Ok(()) }).await?;
    }
    Ok(())
}

#[scenario]
async fn a_stalled_run_is_an_error_that_names_step_reason_and_remedy(world: &World) {
    listen();
    let key = format!("{:?} b", world.backend());
    let forge = world
        .forge([told_stalls::NAME, told_compensates::NAME])
        .await;
    forge.start(&key, told_stalls()).await.unwrap();
    world
        .until(|| {
            world
                .rows()
                .find(&key)
                .is_some_and(|run| run.state == STALLED)
        })
        .await;
    let of_run = [
        "ERROR",
        "workflow=\"told_stalls\"",
        &*format!("key={key:?}"),
    ];
    let line = heard(&of_run, 1).await.remove(0);
    for part in [
        "step=\"charge\"",
        "attempts=1",
        "card declined",
        "stalled",
        "forge.retry",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    // After a retry by hand it stalls anew, which is told anew.
    forge.retry::<told_stalls>(&key).await.unwrap();
    assert_eq!(heard(&of_run, 2).await.len(), 2);
    // A body that has an answer to the error is no trouble.
    let key = format!("{key}, too");
    let run = forge.start(&key, told_compensates()).await.unwrap();
    run.result().await.unwrap();
    let of_run = [&*format!("key={key:?}")];
    let all = told(&of_run);
    assert!(all.iter().all(|line| line.starts_with("DEBUG")), "{all:#?}");
    assert_eq!(told(&[of_run[0], "a step gave up"]).len(), 1);
}

#[workflow(retry = RetryPolicy::new().max_attempts(2).base(Duration::from_secs(5)).jitter(false))]
async fn told_import(path: String) -> Result<u32> {
    if path.is_empty() {
        anyhow::bail!("no path given");
    }
    Ok(1)
}

#[scenario]
async fn a_body_that_waits_for_its_retry_is_told_and_shown_with_its_error(world: &World) {
    listen();
    let key = format!("{:?} c", world.backend());
    let forge = world.forge([told_import::NAME]).await;
    let run = forge.start(&key, told_import(String::new())).await.unwrap();
    let of_run = ["workflow=\"told_import\"", &*format!("key={key:?}")];
    let line = heard(&[&of_run[..], &["WARN"]].concat(), 1).await.remove(0);
    for part in [
        "attempt=1 of 2",
        "no path given",
        "next=",
        "the body failed",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    let parked = world.parked(&key).await;
    let operations = run.operations().await.unwrap();
    let [body] = &operations[..] else {
        panic!("the body alone: {operations:?}");
    };
    assert_eq!((&*body.kind, &*body.key, body.attempts), ("body", "", 1));
    let wake_at = body.wake_at.map(|at| at.as_microsecond());
    assert_eq!(wake_at, parked.wake_at);
    let (_, message) = body.last_error.clone().unwrap();
    assert_eq!(message, "no path given");
    assert_eq!(world.settle(&key).await.state, FAILED);
    let line = heard(&[&of_run[..], &["ERROR"]].concat(), 1)
        .await
        .remove(0);
    for part in [
        "attempt=2 of 2",
        "no path given",
        "the run failed",
        "forge.retry",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    let operations = run.operations().await.unwrap();
    assert_eq!((operations.len(), operations[0].attempts), (1, 2));
}

#[workflow(retry = HASTY)]
async fn told_recovers(probe: State<Probe>) -> Result<()> {
    anyhow::ensure!(probe.nth("body") > 1, "not yet");
    step!("progress", { Ok(()) }).await?;
    continue_if!("gate", { Ok(probe.is("open")) }).await?;
    Ok(())
}

#[scenario]
async fn a_body_that_has_made_progress_since_is_not_shown_as_failing(world: &World) {
    let key = "recovers";
    let forge = world.forge([told_recovers::NAME]).await;
    let run = forge.start(key, told_recovers()).await.unwrap();
    let parked = world.parked(key).await;
    world.move_to(parked.wake_at.unwrap());
    world
        .until(|| {
            world
                .rows()
                .find(key)
                .is_some_and(|run| run.attempts == 1 && run.wake_at.is_none())
        })
        .await;
    world.parked(key).await;
    let kinds: Vec<String> = run
        .operations()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.kind)
        .collect();
    assert_eq!(kinds, ["continue_if"]);
}

#[workflow]
async fn told_twice() -> Result<()> {
    step!("same", { Ok(()) }).await?;
    if std::hint::black_box(true) {
        let again = "same";
        step!(again, { Ok(()) }).await?;
    }
    Ok(())
}

#[scenario]
async fn a_broken_rule_is_one_error_with_the_rule_as_its_reason(world: &World) {
    listen();
    let key = format!("{:?} d", world.backend());
    let forge = world.forge([told_twice::NAME]).await;
    let run = forge.start(&key, told_twice()).await.unwrap();
    run.result().await.unwrap_err();
    let of_run = ["ERROR", &*format!("key={key:?}")];
    let lines = heard(&of_run, 1).await;
    assert!(
        lines.len() == 1 && lines[0].contains("reached twice"),
        "{lines:#?}"
    );
}

#[scenario]
async fn an_engine_tells_when_it_comes_and_goes_and_what_it_serves(world: &World) {
    listen();
    let name = format!("{:?} worker", world.backend());
    let builder = world.builder([told_flaky::NAME, told_stalls::NAME]);
    let forge = builder
        .worker_name(&name)
        .queue("default", 3)
        .queue("mail", 2)
        .open();
    let forge = forge.await.unwrap();
    let lines = told(&["INFO", "opened", &format!("name={name:?}")]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for part in [
        "version=",
        "database=",
        "worker=",
        "default (3 slots), mail (2 slots)",
        "told_flaky, told_stalls",
    ] {
        assert!(lines[0].contains(part), "{} has no {part}", lines[0]);
    }
    let gone = told(&["INFO", "shut down"]).len();
    forge.shutdown().await;
    assert!(heard(&["INFO", "shut down"], gone + 1).await.len() > gone);
}

#[workflow]
async fn told_slow(probe: State<Probe>) -> Result<()> {
    step!("quick", { Ok(()) }).await?;
    step!("upload", {
        probe.note("upload");
        std::future::pending::<()>().await;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Whoever ends a process sees what it did not wait for, and will run again.
#[scenario]
async fn a_step_that_a_shutdown_cuts_off_is_named(world: &World) {
    listen();
    let key = format!("cut {:?}", world.backend());
    let builder = world.builder([told_slow::NAME]);
    let forge = builder.shutdown_grace(Duration::from_millis(50));
    let forge = forge.open().await.unwrap();
    forge.start(&key, told_slow()).await.unwrap();
    world.noted("upload", 1).await;
    forge.shutdown().await;
    let key = format!("key=\"{key}\"");
    let lines = told(&[
        "WARN",
        "the shutdown cut a step off",
        "step=\"upload\"",
        &key,
    ]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("shutdown_grace"), "{lines:#?}");
    assert_eq!(told(&["cut a step off", "quick", &key]), [""; 0]);
}
