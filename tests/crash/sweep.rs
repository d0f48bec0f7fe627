//! Crash at the n-th commit for every n, before and after it, and inside step bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono_forge::testing::Failpoints;
use chrono_forge::{Invocation, Workflow};
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Driven, Site};
use chrono_forge_tests::rows;

use crate::kitchen::kitchen;

/// Cases that run beside each other: they wait for commits more than they compute.
pub(crate) const ABREAST: usize = 6;

/// More commits than the workflow makes mean that it does not come to an end.
const COMMITS_MAX: u64 = 1_000;

/// What a sweep crashes.
pub(crate) struct Subject<W: Workflow> {
    pub(crate) invocation: fn() -> Invocation<W::Output>,
    /// A site that it starts on.
    pub(crate) site: fn(Backend, usize) -> Site,
    /// How often a body of an undisturbed run executes.
    pub(crate) tries: fn(&str) -> u32,
}

/// Every primitive but `repeat!`.
pub(crate) const KITCHEN: Subject<kitchen> = Subject {
    invocation: kitchen,
    site: Site::new,
    tries: |place| match place {
        "step$flaky" | "wait_until$warm" | "continue_if$gate" => 3,
        _ => 1,
    },
};

impl<W: Workflow> Subject<W> {
    /// Runs the workflow to its end with the crashes that `armed` asks for, one list a life; answers
    /// how many lives it took.
    pub(crate) fn live(&self, site: &Site, mut arm: impl FnMut(u32, &Arc<Failpoints>)) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for life in 0.. {
            let failpoints = Arc::new(Failpoints::default());
            arm(life, &failpoints);
            let driven = runtime.block_on(site.drive::<W>(&failpoints, self.invocation));
            if driven == Driven::Settled {
                return life;
            }
            assert!(life < 500, "it dies for ever");
        }
        0
    }

    /// The rows of a run that nothing disturbed.
    pub(crate) fn undisturbed(&self, backend: Backend, batch_max: usize) -> Vec<String> {
        let site = (self.site)(backend, batch_max);
        assert_eq!(self.live(&site, |_, _| {}), 0);
        let rows = site.rows("undisturbed");
        for (place, count) in site.probe.executions() {
            assert_eq!(count, (self.tries)(&place.1), "{place:?}");
        }
        rows
    }

    /// Compares with the undisturbed run, and counts what ran more than once: at most once per life.
    pub(crate) fn compare(&self, what: &str, expected: &[String], site: &Site, crashes: u32) {
        rows::assert_same(what, expected, &site.rows(what));
        for (place, count) in site.probe.executions() {
            assert!(
                count <= (self.tries)(&place.1) + crashes,
                "{what}: {place:?} ran {count} times"
            );
        }
    }

    /// Crashes at the n-th time of a place, for every n (or a stride of them) until a run is not disturbed any
    /// more; answers how many n there were.
    pub(crate) fn sweep(&self, backend: Backend, place: &str) -> u64 {
        let expected = self.undisturbed(backend, 1);
        let next = AtomicU64::new(1);
        let beyond = AtomicU64::new(COMMITS_MAX);
        std::thread::scope(|scope| {
            for _ in 0..ABREAST {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(backend.crash_stride(), Ordering::SeqCst);
                        if n >= beyond.load(Ordering::SeqCst) {
                            return;
                        }
                        let site = (self.site)(backend, 1);
                        let crashes = self.live(&site, |life, points| {
                            if life == 0 {
                                points.arm(place, n);
                            }
                        });
                        self.compare(&format!("{place} {n}"), &expected, &site, crashes);
                        if crashes == 0 {
                            beyond.fetch_min(n, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        beyond.into_inner() - 1
    }
}

#[backends]
fn a_crash_before_any_commit_changes_nothing(backend: Backend) {
    let commits = KITCHEN.sweep(backend, "commit.before");
    assert!(
        (50..COMMITS_MAX - 1).contains(&commits),
        "{commits} commits"
    );
}

#[backends]
fn a_crash_after_any_commit_changes_nothing(backend: Backend) {
    let commits = KITCHEN.sweep(backend, "commit.after");
    assert!(
        (50..COMMITS_MAX - 1).contains(&commits),
        "{commits} commits"
    );
}
