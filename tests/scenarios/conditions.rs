//! `wait_until!`: polls, deadline, last look, errors.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, STALLED, World, scenario};

async fn is_open(probe: &Probe) -> Result<bool> {
    probe.note("looked");
    Ok(probe.is("open"))
}

#[workflow]
async fn poller(probe: State<Probe>, every: Duration, timeout: Duration) -> Result<String> {
    Ok(
        match wait_until!("open", every = every, timeout = timeout, is_open(&probe)).await {
            Ok(()) => "open".to_owned(),
            Err(error) => format!("{} {} {}", error.key, error.is_timeout, error.attempts),
        },
    )
}

#[scenario]
async fn a_condition_that_is_true_at_once_needs_no_park(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    world.probe.set("open", 1);
    let run = forge.start("k", poller(secs(1), hours(1))).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "open");
    assert_eq!(world.rows().run("k").lock_epoch, 1);
    let record = world.rows().record("k", "wait_until$open");
    assert_eq!((record.state, record.attempts), (1, 1));
    assert_eq!((record.error_class, record.error_message), (None, None));
}

#[scenario]
async fn a_satisfied_wait_is_not_labelled_as_a_timeout(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    let run = forge
        .start("k", poller(minutes(1), hours(1)))
        .await
        .unwrap();
    world.parked("k").await;
    world.probe.set("open", 1);
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "open");
    let record = world.rows().record("k", "wait_until$open");
    assert_eq!(
        (record.error_class, record.error_message, record.metadata),
        (None, None, None)
    );
    assert!(world.rows().errors("k").is_empty());
}

#[scenario]
async fn polls_are_so_far_apart_and_the_deadline_is_noticed_at_its_instant(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    let begun = world.now();
    let run = forge
        .start("k", poller(minutes(25), hours(1)))
        .await
        .unwrap();
    let mut looks = Vec::new();
    while world.rows().run("k").state != COMPLETED {
        looks.extend(
            world
                .quiet_wake_at("k")
                .await
                .map(|at| (at - begun) / 60_000_000),
        );
        world.clock.advance(minutes(5));
        world.quiet().await;
    }
    looks.dedup();
    assert_eq!(looks, [25, 50, 60], "min(next poll, deadline)");
    assert_eq!(run.result().await.unwrap(), "open true 1");
    assert_eq!(world.probe.count("looked"), 4);
    let errors = world.rows().errors("k");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].step_name.as_deref(), Some("wait_until$open"));
}

#[scenario]
async fn a_wake_up_does_not_change_the_pace_of_a_poll(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    let begun = world.now();
    let run = forge
        .start("k", poller(minutes(25), hours(1)))
        .await
        .unwrap();
    let wake_at = world.parked("k").await.wake_at;
    assert_eq!(wake_at, Some(begun + 25 * 60_000_000));
    world.probe.set("open", 1);
    for _ in 0..3 {
        forge.wake::<poller>("k").await.unwrap();
        world.quiet().await;
        assert_eq!(world.parked("k").await.wake_at, wake_at);
    }
    assert_eq!(world.probe.count("looked"), 1);
    world.clock.advance(minutes(25));
    assert_eq!(run.result().await.unwrap(), "open");
    assert_eq!(world.probe.count("looked"), 2);
}

#[scenario]
async fn a_condition_that_is_true_at_the_deadline_wins(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    let run = forge.start("k", poller(hours(9), hours(1))).await.unwrap();
    world.parked("k").await;
    world.probe.set("open", 1);
    // Long after the deadline, as after an outage.
    world.clock.advance(days(3));
    assert_eq!(run.result().await.unwrap(), "open");
}

#[scenario]
async fn a_timeout_of_nothing_looks_once(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    let run = forge
        .start("k", poller(secs(1), Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(run.result().await.unwrap(), "open true 1");
    assert_eq!(world.probe.count("looked"), 1);
}

#[scenario]
async fn neither_wake_ups_nor_crashes_move_the_deadline_or_the_next_poll(world: &World) {
    let forge = world.forge([poller::NAME]).await;
    forge
        .start("k", poller(minutes(40), hours(1)))
        .await
        .unwrap();
    let first = world.parked("k").await.wake_at;
    world.clock.advance(minutes(10));
    forge.wake::<poller>("k").await.unwrap();
    world.quiet().await;
    assert_eq!(world.parked("k").await.wake_at, first);
    assert_eq!(world.probe.count("looked"), 1, "a poll has its own time");
    world.crash(&forge);
    drop(forge);
    let _forge = world.forge([poller::NAME]).await;
    world.clock.advance(minutes(30));
    world.noted("looked", 2).await;
    let deadline = first.map(|at| at + 20 * 60_000_000);
    assert_eq!(world.parked("k").await.wake_at, deadline);
}

async fn is_reachable(probe: &Probe) -> Result<bool> {
    match probe.nth("looked") {
        nth if probe.is("up") => Ok(nth > 0),
        nth => anyhow::bail!("unreachable {nth}"),
    }
}

#[workflow]
async fn unretried(probe: State<Probe>) -> Result<()> {
    wait_until!("up", is_reachable(&probe)).await?;
    Ok(())
}

#[scenario]
async fn an_error_of_a_condition_is_not_retried_unless_the_call_says_so(world: &World) {
    let forge = world.forge([unretried::NAME]).await;
    forge.start("k", unretried()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    assert_eq!(world.probe.count("looked"), 1);
    assert_eq!(
        world.rows().attempts("k"),
        [("wait_until$up".to_owned(), 1)]
    );
}

#[workflow]
async fn retried(probe: State<Probe>) -> Result<String> {
    let policy = RetryPolicy::new()
        .unlimited()
        .base(minutes(25))
        .cap(minutes(25))
        .jitter(false);
    let up = wait_until!(
        "up",
        every = minutes(1),
        timeout = hours(1),
        retry = policy,
        is_reachable(&probe)
    );
    Ok(match up.await {
        Ok(()) => "up".to_owned(),
        Err(error) => format!("{} {}", error.is_timeout, error.message),
    })
}

#[scenario]
async fn a_retried_condition_error_leads_to_the_next_look(world: &World) {
    let forge = world.forge([retried::NAME]).await;
    let run = forge.start("k", retried()).await.unwrap();
    world.parked("k").await;
    world.probe.set("up", 1);
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "up");
    assert_eq!(world.rows().record("k", "wait_until$up").attempts, 2);
}

#[scenario]
async fn errors_of_a_condition_do_not_carry_it_past_its_deadline(world: &World) {
    let forge = world.forge([retried::NAME]).await;
    let begun = world.now();
    let run = forge.start("k", retried()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "true unreachable 4");
    assert_eq!(
        world.now() - begun,
        3_600_000_000,
        "at 0, 25, 50 and 60 minutes"
    );
}

#[workflow]
async fn writes(cx: Context, probe: State<Probe>) -> Result<u32> {
    wait_until!("third", every = secs(1), async {
        cx.update("looks", |looks: Option<u32>| looks.unwrap_or(0) + 1)?;
        Ok::<_, anyhow::Error>(probe.nth("looked") == 3)
    })
    .await?;
    Ok(cx.fetch("looks", 0)?)
}

#[scenario]
async fn only_the_evaluation_that_completes_a_condition_writes_to_the_context(world: &World) {
    let forge = world.forge([writes::NAME]).await;
    let run = forge.start("k", writes()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 1);
}

async fn is_slowly_open(probe: &Probe) -> Result<bool> {
    probe.note("looked");
    probe.raised("answer").await;
    Ok(false)
}

#[workflow]
async fn slow_poller(probe: State<Probe>) -> Result<bool> {
    let open = wait_until!("open", timeout = hours(1), is_slowly_open(&probe)).await;
    Ok(open.is_err_and(|error| error.is_timeout))
}

#[scenario]
async fn a_crash_in_the_first_look_does_not_restart_the_time(world: &World) {
    let forge = world.forge([slow_poller::NAME]).await;
    let begun = world.now();
    forge.start("k", slow_poller()).await.unwrap();
    world.noted("looked", 1).await;
    world.until(|| !world.rows().records("k").is_empty()).await;
    world.crash(&forge);
    drop(forge);
    world.clock.advance(minutes(30));
    world.probe.set("answer", 1);
    let forge = world.forge([slow_poller::NAME]).await;
    let run = forge.start("k", slow_poller()).await.unwrap();
    world.settle("k").await;
    assert!(run.result().await.unwrap());
    assert_eq!(world.now(), begun + 3_600 * 1_000_000);
}

/// Meets a gateway that is away for its first look.
#[workflow]
async fn polls_an_api(probe: State<Probe>, patient: bool) -> Result<()> {
    let away = || {
        let nth = probe.nth(&format!("asked {patient}"));
        anyhow::ensure!(nth > 1, "502 Bad Gateway");
        Result::<_>::Ok(true)
    };
    if patient {
        let patient = RetryPolicy::new().max_attempts(100);
        wait_until!("done", every = secs(1), retry = patient, { away() }).await?;
    } else {
        wait_until!("done", every = secs(1), { away() }).await?;
    }
    Ok(())
}

#[scenario]
async fn the_first_error_of_a_condition_is_its_last_and_the_stall_names_retry(world: &World) {
    let forge = world.forge([polls_an_api::NAME]).await;
    let run = forge.start("p", polls_an_api(false)).await.unwrap();
    let told = run.result().await.unwrap_err().to_string();
    for part in [
        "stalled at wait_until$done: 502 Bad Gateway",
        "wait_until!(.., retry = RetryPolicy::new(), ..)",
        "forge.retry looks again",
    ] {
        assert!(told.contains(part), "{told}");
    }
    forge.retry::<polls_an_api>("p").await.unwrap();
    run.result().await.unwrap();
    let run = forge.start("patient", polls_an_api(true)).await.unwrap();
    world.settle("patient").await;
    run.result().await.unwrap();
}
