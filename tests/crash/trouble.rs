//! What the engine notes of trouble: who is suspected, who was taken for dead and lives, whose runs
//! go round in circles, what keeps a runtime, and what could not be written at first. No crash
//! around one of these commits loses or doubles anything of the runs.

use std::sync::Arc;
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::testing::Failpoints;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Probe, Site};

use crate::deaths::abreast;
use crate::sweep::{KITCHEN, Subject};

const SIDES: [&str; 2] = ["before", "after"];

/// Crashes in this life at the n-th time of a place, for every n until it is not reached any more;
/// answers how many n there were. `prepare` arms what the lives before it die of.
fn sweep<W: Workflow>(
    subject: &Subject<W>,
    backend: Backend,
    (life, place): (u32, &str),
    prepare: impl Fn(u32, &Site, &Arc<Failpoints>),
) -> u64 {
    let site = (subject.site)(backend, 1);
    let undisturbed = subject.live(&site, |life, points| prepare(life, &site, points));
    let expected = site.rows("undisturbed");
    for n in 1.. {
        let site = (subject.site)(backend, 1);
        let crashes = subject.live(&site, |this, points| {
            prepare(this, &site, points);
            if this == life {
                points.arm(place, n);
            }
        });
        subject.compare(&format!("{place} {n}"), &expected, &site, crashes);
        if crashes == undisturbed {
            return n - 1;
        }
    }
    0
}

/// Two lives die in the same body, so that whoever was in it is suspected by the third.
#[backends]
fn a_crash_around_a_note_of_suspects_changes_nothing(backend: Backend) {
    let bodies = ["plain", "ten"];
    abreast(4, |n| {
        let (side, body) = (SIDES[n as usize % 2], bodies[n as usize / 2]);
        let place = format!("commit.{side}.note_suspects");
        let died_of = format!("step.after.{body}");
        let notes = sweep(&KITCHEN, backend, (2, &place), |life, _, points| {
            if life < 2 {
                points.arm(&died_of, 1);
            }
        });
        assert!(notes > 0, "{place}: nobody was suspected in {body}");
    });
}

/// The worker is declared dead, and its runs are taken from it.
const ROB: [&str; 2] = [
    "UPDATE chrono_forge_workers SET stopped_at = started_at WHERE stopped_at IS NULL",
    "UPDATE chrono_forge_workflows SET state = 0, wake_at = updated_at, locked_by = NULL,
        lock_epoch = lock_epoch + 1, crashes = crashes + 1 WHERE state = 1",
];

const IN_QUARANTINE: &str =
    "SELECT count(*) FROM chrono_forge_workflows WHERE key = 'root' AND crashes > 1";

/// Robbed again and again, until it is in quarantine.
#[workflow]
pub(crate) async fn robbed(cx: Context, probe: State<Probe>) -> Result<u32> {
    let first = step!("first", probe.ok(cx.key(), "step$first", 1)).await?;
    let second = step!("robbed", {
        probe.enter(cx.key(), "step$robbed");
        if !probe.finds(IN_QUARANTINE) {
            probe.tear_together(&ROB);
            std::future::pending::<()>().await;
        }
        Ok(2_u32)
    })
    .await?;
    Ok(first + second)
}

/// A worker that hears soon of its end.
fn hasty(backend: Backend, batch_max: usize) -> Site {
    let mut site = Site::new(backend, batch_max);
    site.lease = Duration::from_secs(2);
    site
}

const ROBBED: Subject<robbed> = Subject {
    invocation: robbed,
    site: hasty,
    tries: |place| if place == "step$robbed" { 100 } else { 1 },
};

#[backends]
fn a_crash_around_what_is_noted_of_a_robbed_run_changes_nothing(backend: Backend) {
    let notes = ["came_back", "quarantine"];
    abreast(4, |n| {
        let (side, note) = (SIDES[n as usize % 2], notes[n as usize / 2]);
        let place = format!("commit.{side}.{note}");
        let crashes = sweep(&ROBBED, backend, (0, &place), |_, _, _| {});
        assert!(crashes > 0, "{place} was never reached");
    });
}

const STUCK: &str =
    "SELECT count(*) FROM chrono_forge_workers WHERE stuck IS NOT NULL AND stopped_at IS NULL";

/// Keeps its runtime for longer than a lease, and goes on once its worker's row says so no longer.
#[workflow]
pub(crate) async fn stuck(cx: Context, probe: State<Probe>) -> Result<u32> {
    let first = step!("first", probe.ok(cx.key(), "step$first", 1)).await?;
    step!("keeps", {
        probe.enter(cx.key(), "step$keeps");
        std::thread::sleep(Duration::from_secs(3));
        while probe.finds(STUCK) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
    .await?;
    Ok(first + step!("last", probe.ok(cx.key(), "step$last", 1)).await?)
}

const STUCK_RUN: Subject<stuck> = Subject {
    invocation: stuck,
    site: hasty,
    tries: |_| 1,
};

#[backends]
fn a_crash_around_what_is_noted_of_a_runtime_that_is_kept_changes_nothing(backend: Backend) {
    abreast(2, |n| {
        let place = format!("commit.{}.note_stuck", SIDES[n as usize]);
        let crashes = sweep(&STUCK_RUN, backend, (0, &place), |_, _, _| {});
        assert!(crashes > 0, "{place} was never reached");
    });
}

const RECORDS: &str = "chrono_forge_execution_logs";

/// One record cannot be written for a while, and is set aside.
#[workflow]
pub(crate) async fn stubborn(cx: Context, probe: State<Probe>) -> Result<u32> {
    let first = step!("first", {
        let why = match probe.backend() {
            Backend::Sqlite => "database is locked",
            Backend::Postgres => "out of shared memory",
        };
        probe.refuse(RECORDS, "new.step_name = 'step$stubborn'", why);
        probe.ok(cx.key(), "step$first", 1).await
    })
    .await?;
    let second = step!("stubborn", probe.ok(cx.key(), "step$stubborn", 2)).await?;
    Ok(first + second + step!("last", probe.ok(cx.key(), "step$last", 3)).await?)
}

const STUBBORN: Subject<stubborn> = Subject {
    invocation: stubborn,
    site: Site::new,
    tries: |_| 1,
};

#[backends]
fn a_crash_around_a_write_that_was_set_aside_changes_nothing(backend: Backend) {
    abreast(2, |n| {
        let place = format!("commit.{}.aside", SIDES[n as usize]);
        let crashes = sweep(&STUBBORN, backend, (0, &place), |life, site, points| {
            let probe = site.probe.clone();
            if life > 0 {
                return probe.permit(RECORDS);
            }
            // Once it was tried again in vain.
            let points = Arc::clone(points);
            std::thread::spawn(move || {
                while points.hits("commit.before.aside") < 2 && Arc::strong_count(&points) > 1 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if points.hits("commit.before.aside") > 1 {
                    probe.permit(RECORDS);
                }
            });
        });
        assert!(crashes > 0, "{place} was never reached");
    });
}
