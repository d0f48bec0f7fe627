//! A repeat that begins with missed ticks, has ticks that fail once and for good, and reads what it
//! wrote: no crash loses a tick, doubles one or leaves the repeat early.

use std::time::Duration;

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Probe, Site};

use crate::sweep::Subject;

/// When every site begins: ticks name rows, so all sites tick at the same instants.
const BEGIN: &str = "2100-01-01T00:00:00Z";

/// Ticks that are over at the end, those skipped not among them.
const TICKS: i64 = 9;

#[workflow]
pub(crate) async fn ticking(cx: Context, probe: State<Probe>, start: Timestamp) -> Result<u32> {
    repeat!(
        "tick",
        every = minutes(10),
        start_at = start,
        until = probe.ticks_are_over(cx.key(), "repeat$tick", TICKS),
        retry = RetryPolicy::new().max_attempts(2).jitter(false),
        |tick| {
            let nth = tick.duration_since(start).as_mins() / 10;
            // Of those within the window the second fails once, the third and the eighth for good.
            let failures = match nth {
                25 => 1,
                26 | 31 => 9,
                _ => 0,
            };
            let row = format!("repeat$tick${}", tick.as_second());
            probe.flaky(cx.key(), &row, failures).await?;
            cx.update("done", |done: Option<u32>| done.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    let done = cx.get::<u32>("done")?.unwrap_or(0);
    Ok(step!("last", probe.ok(cx.key(), "step$last", done)).await?)
}

fn begin() -> Timestamp {
    BEGIN.parse().expect("an instant")
}

const TICKING: Subject<ticking> = Subject {
    // Twenty-four ticks expired before the first look, six are real work at once.
    invocation: || ticking(begin() - Duration::from_secs(295 * 60)),
    site: |backend, batch_max| {
        let site = Site::new(backend, batch_max);
        let ahead = begin().duration_since(site.clock.now());
        site.clock.advance(ahead.unsigned_abs());
        site
    },
    tries: |place| {
        let tick = place
            .strip_prefix("repeat$tick$")
            .and_then(|at| at.parse::<i64>().ok());
        let nth = tick.map(|tick| (tick - begin().as_second() + 295 * 60) / 600);
        if matches!(nth, Some(25 | 26 | 31)) {
            2
        } else {
            1
        }
    },
};

#[backends]
fn the_undisturbed_repeat_is_what_it_is_meant_to_be(backend: Backend) {
    let rows = TICKING.undisturbed(backend, 1);
    let of_ticks = |what: &str| rows.iter().filter(|row| row.contains(what)).count();
    assert_eq!(of_ticks("\"scheduled_for\""), TICKS as usize);
    assert_eq!(of_ticks("\"fast_forwarded\":24"), 1);
    // Two ticks failed twice and one once.
    let errors = rows.iter().filter(|row| row.starts_with("error ")).count();
    assert_eq!(errors, 5, "{rows:#?}");
    let run = rows
        .iter()
        .find(|row| row.starts_with("run "))
        .expect("a run");
    assert!(run.contains(&format!("{}", TICKS - 2)), "{run}");
}

#[backends]
fn a_crash_before_any_commit_of_a_repeat_loses_and_doubles_nothing(backend: Backend) {
    let commits = TICKING.sweep(backend, "commit.before");
    assert!((20..200).contains(&commits), "{commits} commits");
}

#[backends]
fn a_crash_after_any_commit_of_a_repeat_loses_and_doubles_nothing(backend: Backend) {
    let commits = TICKING.sweep(backend, "commit.after");
    assert!((20..200).contains(&commits), "{commits} commits");
}

#[backends]
fn a_death_in_any_tick_loses_and_doubles_nothing(backend: Backend) {
    let expected = TICKING.undisturbed(backend, 1);
    for side in ["before", "after"] {
        for nth in 1..=2 * TICKS as u64 {
            let site = (TICKING.site)(backend, 1);
            let place = format!("step.{side}.tick");
            let crashes = TICKING.live(&site, |life, points| {
                if life == 0 {
                    points.arm(&place, nth);
                }
            });
            assert_eq!(crashes, 1, "{place} {nth}");
            TICKING.compare(&format!("{place} {nth}"), &expected, &site, crashes);
        }
    }
}
