//! Ticks that came too late, ticks that failed, and what a repeat tells of itself.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::testing::Clock;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling::{heard, listen};

#[workflow]
async fn told_nightly(probe: State<Probe>) -> Result<()> {
    repeat!(
        "night",
        every = hours(24),
        timeout = hours(1),
        retry = RetryPolicy::none(),
        until = { Ok(probe.is("over")) },
        |_| {
            probe.note("ticked");
            anyhow::ensure!(!probe.is("broken"), "no backup today");
            Ok(())
        }
    )
    .await?;
    Ok(())
}

#[scenario]
async fn skipped_and_failed_ticks_are_told_and_shown(world: &World) {
    listen();
    world.start_of_second();
    let key = format!("{:?} nightly", world.backend());
    let of_run = ["WARN", &*format!("key={key:?}"), "step=\"repeat$night\""];
    let forge = world.forge([told_nightly::NAME]).await;
    let begun = world.clock.now();
    let run = forge.start(&key, told_nightly()).await.unwrap();
    let parked = world.parked(&key).await;
    let shown = async || run.operations().await.unwrap().remove(0);
    assert_eq!(
        (shown().await.last_tick, shown().await.skipped),
        (None, None)
    );
    // The first night is kept.
    world.move_to(parked.wake_at.unwrap());
    world.noted("ticked", 1).await;
    let next = world.parked(&key).await;
    let last = shown().await.last_tick.unwrap();
    assert_eq!(last.at.as_microsecond(), parked.wake_at.unwrap());
    assert_eq!((last.ended_at, last.error), (world.clock.now(), None));
    // Then nobody is there for three of them.
    world.move_to(next.wake_at.unwrap() + 2 * 86_400_000_000 + 2 * 3_600_000_000);
    let line = heard(&of_run, 1).await.remove(0);
    let night = |n: i64| begun + Duration::from_secs(86_400) * u32::try_from(n).unwrap();
    for part in [
        "count=3",
        &format!("first={}", night(2)),
        &format!("last={}", night(4)),
        "timeout",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    let next = world.parked(&key).await;
    let skipped = shown().await.skipped.unwrap();
    assert_eq!(
        (skipped.count, skipped.first, skipped.last),
        (3, night(2), night(4))
    );
    assert_eq!(shown().await.last_tick.unwrap().at, night(1));
    // The next one fails, and the repeat goes on.
    world.probe.set("broken", 1);
    world.move_to(next.wake_at.unwrap());
    let line = heard(&[&of_run[..], &["a tick failed"]].concat(), 1)
        .await
        .remove(0);
    assert!(
        line.contains("no backup today") && line.contains("attempts=1"),
        "{line}"
    );
    world.parked(&key).await;
    let last = shown().await.last_tick.unwrap();
    assert_eq!(
        (last.at, last.error.unwrap().1),
        (night(5), "no backup today".to_owned())
    );
    assert_eq!(shown().await.skipped.unwrap().count, 3);
}
