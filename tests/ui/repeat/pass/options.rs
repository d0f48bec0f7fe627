#![deny(warnings, clippy::all)]

use chrono_forge::OnError;
use chrono_forge::prelude::*;
use jiff::Timestamp;
use std::time::Duration;

async fn is_done(n: u32) -> Result<bool> {
    Ok(n > 3)
}

async fn report(tick: Timestamp) -> Result<()> {
    println!("{tick}");
    Ok(())
}

#[workflow]
async fn options(n: u32, at: Timestamp, zone: String, pattern: String) -> Result<()> {
    repeat!(
        "fixed",
        every = Duration::from_millis(1),
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "calendar",
        every = months(1),
        zone = "Europe/Berlin",
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "days",
        every = calendar_days(n.min(7)),
        zone = &zone,
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "cron",
        cron = "0 6 * * MON-FRI",
        zone = "america/new_york",
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "computed-{n}",
        cron = &pattern,
        zone = &zone,
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "start",
        every = hours(1),
        start_at = at,
        timeout = hours(2),
        until = is_done(n),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "continue",
        every = hours(1),
        until = is_done(n),
        on_error = Continue,
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "fail",
        every = hours(1),
        until = is_done(n),
        on_error = Fail,
        |tick| report(tick)
    )
    .await?;
    let chosen = if n > 3 {
        OnError::Fail
    } else {
        OnError::Continue
    };
    repeat!(
        "chosen",
        every = hours(1),
        until = is_done(n),
        on_error = chosen,
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "path",
        every = hours(1),
        until = is_done(n),
        on_error = OnError::Fail,
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "retry",
        every = hours(1),
        until = is_done(n),
        retry = RetryPolicy::none(),
        |tick| report(tick)
    )
    .await?;
    repeat!(
        "policies",
        every = hours(1),
        until = is_done(n),
        retry = [RetryPolicy::none(), RetryPolicy::new()],
        |tick| report(tick)
    )
    .await?;
    repeat! { "braces", every = hours(1), until = is_done(n), |tick| report(tick), }.await?;
    let both = vec![
        repeat!("one", every = hours(1), until = is_done(n), |tick| report(
            tick
        )),
        repeat!["two", every = hours(1), until = is_done(n), |tick| report(
            tick
        )],
    ];
    for one in both {
        one.await?;
    }
    tokio::select! {
        ended = repeat!("arm", every = hours(1), until = is_done(n), |tick| report(tick)) => ended?,
        () = wait!("deadline", days(7)) => {}
    }
    Ok(())
}
