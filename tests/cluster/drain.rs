//! Four workers drain a fan-out while somebody keeps killing them, and the server is restarted.

use std::time::{Duration, Instant};

use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::{Victim, bounded_by};
use chrono_forge_tests::server::Stop;

use crate::fleet::{Fleet, HANGS, Random, figure};

const WORKERS: usize = 4;

/// How often somebody is killed.
const KILL_EVERY: Duration = Duration::from_secs(1);

/// How often the server is restarted.
const RESTART_EVERY: Duration = Duration::from_secs(20);

/// A worker that was killed, and when (the server's clock is this machine's).
struct Kill {
    pid: u32,
    at: jiff::Timestamp,
}

/// What a drain went through.
#[derive(Default)]
struct Troubles {
    kills: Vec<Kill>,
    restarts: Vec<jiff::Timestamp>,
}

fn survives(test: &str, restarts: bool) {
    let Some(fleet) = Fleet::start(test) else {
        return;
    };
    let children = figure("CHILDREN", if restarts { 8_000 } else { 4_000 });
    let at_least = Duration::from_secs(figure("SECONDS", if restarts { 25 } else { 10 }));
    bounded_by(HANGS, async {
        let mut workers: Vec<Victim> = (0..WORKERS).map(|_| fleet.worker()).collect();
        let forge = fleet.observer().await;
        // So many that they outlast the troubles: each takes as long as the drain needs for its share. In short steps, since
        // a run that meets seven deaths without a step between them counts as poison, and these are innocent.
        let steps = figure("STEPS", 8);
        let millis =
            u64::try_from(at_least.as_millis()).unwrap() * 64 * WORKERS as u64 / children / steps;
        let parent = fan(fleet.out(), children as u32, steps as u32, millis);
        let run = forge.start("p", parent).await.unwrap();
        let begun = Instant::now();
        let troubles = trouble(&fleet, &mut workers, restarts, at_least);
        let sum = run.result().await.unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(u64::from(sum), children * steps);
        fleet.assert_whole(children, steps);
        let slowest = slowest_recovery(&fleet, &troubles);
        println!(
            "{test}: {children} children, {} kills, {} restarts, {seconds:.1} s, slowest recovery {slowest:?}",
            troubles.kills.len(),
            troubles.restarts.len(),
        );
        // On a crowded machine a look may come late; who measures asks for the limit.
        let leases = figure("RECOVERY_LEASES_MAX", 10) as u32;
        assert!(slowest <= fleet.lease * leases, "{slowest:?}");
        drop(workers);
    });
}

/// Kills, and restarts the server, until the children are done and the time is over.
fn trouble(fleet: &Fleet, workers: &mut [Victim], restarts: bool, at_least: Duration) -> Troubles {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut troubles = Troubles::default();
    let begun = Instant::now();
    let mut next_restart = begun + RESTART_EVERY / 2;
    loop {
        std::thread::sleep(KILL_EVERY);
        if restarts && Instant::now() >= next_restart {
            let how = match troubles.restarts.len() % 2 {
                0 => Stop::Immediate,
                _ => Stop::Fast,
            };
            fleet.server.restart(how);
            troubles.restarts.push(jiff::Timestamp::now());
            next_restart += RESTART_EVERY;
        }
        let open =
            fleet.number("SELECT count(*) AS number FROM chrono_forge_workflows WHERE state < 2");
        if open == Some(0) && begun.elapsed() >= at_least {
            return troubles;
        }
        let blocked = fleet.number("SELECT count(*) AS number FROM chrono_forge_blocked");
        // A server that is down has no answer.
        assert!(blocked.unwrap_or(0) == 0, "{}", fleet.story());
        assert!(begun.elapsed() < HANGS, "{}", fleet.story());
        let nth = random.below(WORKERS as u64) as usize;
        let pid = workers[nth].pid();
        workers[nth].kill();
        troubles.kills.push(Kill {
            pid,
            at: jiff::Timestamp::now(),
        });
        workers[nth] = fleet.worker();
    }
}

/// The longest time from a kill to the declaration of its worker's death. A restart of the server in between gives
/// everybody one more lease, so such a kill is left out.
fn slowest_recovery(fleet: &Fleet, troubles: &Troubles) -> Duration {
    let mut slowest = Duration::ZERO;
    for kill in &troubles.kills {
        let horizon = kill.at + fleet.lease * 3;
        let is_disturbed = troubles
            .restarts
            .iter()
            .any(|at| *at >= kill.at - fleet.lease * 3 && *at <= horizon);
        let micros = fleet.number(&format!(
            "SELECT coalesce((extract(epoch FROM max(stopped_at)) * 1000000)::bigint, 0) AS number
            FROM chrono_forge_workers WHERE pid = {}",
            kill.pid
        ));
        let stopped = jiff::Timestamp::from_microsecond(micros.unwrap()).unwrap();
        // The last ones may not have been found yet; the runs are done all the same.
        if !is_disturbed && stopped > kill.at {
            slowest = slowest.max(Duration::try_from(stopped.duration_since(kill.at)).unwrap());
        }
    }
    slowest
}

#[test]
fn workers_that_are_killed_every_second_complete_every_child_once() {
    survives(
        "workers_that_are_killed_every_second_complete_every_child_once",
        false,
    );
}

#[test]
fn a_server_that_is_restarted_under_them_loses_nothing() {
    survives("a_server_that_is_restarted_under_them_loses_nothing", true);
}
