//! Deaths inside step bodies, several deaths in one run, and deaths under real batching.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::Site;

use crate::sweep::{ABREAST, KITCHEN};

/// Keys of every operation of the workflow and its children that runs user code.
const BODIES: [&str; 20] = [
    "plain", "flaky", "bad", "late", "mend", "inside", "warm", "gate", "wanted", "auto", "paged",
    "named", "between", "left", "right", "after 2", "last", "ten", "first", "lose",
];

/// Runs `case` for each number below `count`, several at a time.
pub(crate) fn abreast(count: u64, case: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= count {
                        return;
                    }
                    case(n);
                }
            });
        }
    });
}

#[backends]
fn a_death_before_or_after_any_body_changes_nothing(backend: Backend) {
    let expected = KITCHEN.undisturbed(backend, 1);
    abreast(2 * BODIES.len() as u64, |n| {
        let side = if n % 2 == 0 { "before" } else { "after" };
        let place = format!("step.{side}.{}", BODIES[n as usize / 2]);
        // A body that never ends has no end to die at, and a branch is cut off by its own deaths.
        let never = place == "step.after.late";
        let site = Site::new(backend, 1);
        let crashes = KITCHEN.live(&site, |life, points| {
            if life == 0 {
                points.arm(&place, 1);
            }
        });
        assert_eq!(crashes, u32::from(!never), "{place}");
        KITCHEN.compare(&place, &expected, &site, crashes);
    });
}

#[backends]
fn a_second_and_third_attempt_can_die_too(backend: Backend) {
    let expected = KITCHEN.undisturbed(backend, 1);
    let places = [
        "step.before.flaky",
        "step.after.flaky",
        "step.after.warm",
        "step.before.gate",
    ];
    abreast(8, |n| {
        let place = places[n as usize % places.len()];
        let site = Site::new(backend, 1);
        let crashes = KITCHEN.live(&site, |life, points| {
            if life == 0 {
                points.arm(place, 2 + n / 4);
            }
        });
        assert_eq!(crashes, 1, "{place}");
        KITCHEN.compare(place, &expected, &site, crashes);
    });
}

/// Every life ends a few commits after it began, which is enough for one more record, also on a
/// crowded machine, where some of them only note that a slow attempt is under way: progress resets
/// the count of crashes, so nothing is taken for poison.
#[backends]
fn a_run_that_dies_again_and_again_comes_to_its_end(backend: Backend) {
    let expected = KITCHEN.undisturbed(backend, 1);
    abreast(6, |n| {
        let place = ["commit.before.apply", "commit.after.apply"][n as usize % 2];
        let every = 6 + n;
        let site = Site::new(backend, 1);
        let crashes = KITCHEN.live(&site, |_, points| points.arm(place, every));
        assert!(crashes > 5, "{crashes} crashes only");
        KITCHEN.compare(&format!("{place} every {every}"), &expected, &site, crashes);
    });
}

/// A death while the dead are recovered.
#[backends]
fn a_death_during_recovery_changes_nothing(backend: Backend) {
    let expected = KITCHEN.undisturbed(backend, 1);
    let places = [
        "commit.before.register",
        "commit.after.register",
        "commit.before.declare_dead",
        "commit.after.declare_dead",
    ];
    abreast(12, |n| {
        let place = places[n as usize % places.len()];
        let site = Site::new(backend, 1);
        let crashes = KITCHEN.live(&site, |life, points| match life {
            0 => points.arm("commit.after.apply", 3 + 6 * n),
            1 => points.arm(place, 1),
            _ => {}
        });
        assert_eq!(crashes, 2, "{place}");
        KITCHEN.compare(place, &expected, &site, crashes);
    });
}

#[backends]
fn random_deaths_under_real_batching_change_nothing(backend: Backend) {
    let expected = KITCHEN.undisturbed(backend, 1_000);
    abreast(40, |seed| {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let site = Site::new(backend, 1_000);
        let deaths = 1 + random.below(4) as u32;
        let crashes = KITCHEN.live(&site, |life, points| {
            if life < deaths {
                let place = ["commit.before", "commit.after"][random.below(2) as usize];
                points.arm(place, 4 + random.below(60));
            }
        });
        KITCHEN.compare(&format!("seed {seed}"), &expected, &site, crashes);
    });
}

/// Xorshift: the same numbers for a seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
