//! Killed at random moments while a table is dispatched and its children are worked off, and while rows of
//! it come and go: exactly those have a child that the rules of a keyset promise one.
//!
//! `CHRONO_FORGE_KEYSET_KILLS`, `.._CHILDREN` and `.._MILLIS` say how often, how many, and how long each child
//! takes; the defaults are small.

#![allow(clippy::print_stdout, reason = "who asks for figures reads them")]

mod promise;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::billing::billed_table;
use chrono_forge_tests::process::{Ground, bounded_by};
use chrono_forge_tests::rows;

use crate::ground;
use promise::{Ledger, Seen};

/// Real time for everything, which 100 kills and 100,000 children need.
const PATIENCE: Duration = Duration::from_secs(900);

fn figure(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("CHRONO_FORGE_KEYSET_{name}"));
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// When the kills fell.
#[derive(Debug, Default)]
struct Kills {
    first_reading: u32,
    second_reading: u32,
    drain: u32,
    after: u32,
}

impl Kills {
    fn note(&mut self, seen: &Seen) {
        *match seen {
            Seen {
                is_sealed: true,
                pending: 0,
                ..
            } => &mut self.after,
            Seen {
                is_sealed: true, ..
            } => &mut self.drain,
            Seen { again: true, .. } => &mut self.second_reading,
            _ => &mut self.first_reading,
        } += 1;
    }
}

/// Keeps killing whoever works, and editing the table meanwhile.
fn kill_and_edit(ground: &Ground, ledger: &mut Ledger, kills: u64, random: &mut Random) -> Kills {
    let mut fell = Kills::default();
    for nth in 0..kills {
        let mut victim = ground.victim(ground.lease(), "");
        let started = Instant::now();
        let life = Duration::from_millis(random.below(60));
        // The kills fall all over the work; and most victims get somewhere, since a run that never does is
        // poison and rightly given up.
        let goal = match nth % 4 {
            0 => 0.0,
            _ => nth as f64 / kills as f64,
        };
        while started.elapsed() < life
            || Seen::now(ground).progress(ledger) < goal && started.elapsed() < PATIENCE / 20
        {
            ledger.edit(ground, random);
        }
        victim.kill();
        fell.note(&Seen::now(ground));
        // They die just when something begins, again and again, which makes no child poison.
        let sql = "UPDATE chrono_forge_workflows SET crashes = 0 WHERE state < 2";
        ground.look().edit(sql, &[]);
    }
    fell
}

fn survives(backend: Backend, is_snapshot: bool) {
    let (kills, children) = (figure("KILLS", 12), figure("CHILDREN", 1_500));
    bounded_by(PATIENCE, async {
        let ground = ground(backend);
        let of = (children / 60).clamp(10, 1_000);
        let mut ledger = Ledger::new(&ground, children as i64, of, is_snapshot);
        let mut random = Random(0x2545_F491_4F6C_DD1D ^ children);
        let forge = ground.observer().await;
        let folder = ground.folder().display().to_string();
        let parent = billed_table(folder, is_snapshot, of, figure("MILLIS", 50));
        let run = forge.start("p", parent).await.unwrap();
        let begun = Instant::now();
        let fell = kill_and_edit(&ground, &mut ledger, kills, &mut random);
        let _last = ground.victim(ground.lease(), "");
        let billed = run.result().await.unwrap();
        let seconds = begun.elapsed().as_secs_f64();

        let looked = ground.look();
        let ids =
            "SELECT substr(key, 13) FROM chrono_forge_workflows WHERE workflow = 'billed_row'";
        let dispatched: Vec<i64> = looked
            .texts(ids, &[])
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
        let distinct: BTreeSet<i64> = dispatched.iter().copied().collect();
        assert_eq!(distinct.len(), dispatched.len(), "a child is doubled");
        assert_eq!(billed, dispatched.len());
        let told = ledger.compare(&distinct);
        println!("{billed} children, {kills} kills in {seconds:.1} s: {fell:?}; {told}");
        assert_each_is_done_once(&ground, billed as i64);
    });
}

/// Every child is completed with its own result, by one record of its one step.
fn assert_each_is_done_once(ground: &Ground, children: i64) {
    let looked = ground.look();
    assert_eq!(rows::broken(&looked), [""; 0]);
    for (what, expected, sql) in [
        (
            "completed with their result",
            children,
            "SELECT count(*) FROM chrono_forge_workflows
            WHERE workflow = 'billed_row' AND state = 2 AND output = substr(key, 13)",
        ),
        (
            "steps that are recorded",
            children,
            "SELECT count(*) FROM chrono_forge_execution_logs
            WHERE step_name = 'step$bill' AND state = 1",
        ),
        (
            "runs whose step is recorded",
            children,
            "SELECT count(DISTINCT workflow_id) FROM chrono_forge_execution_logs
            WHERE step_name = 'step$bill'",
        ),
        ("errors", 0, "SELECT count(*) FROM chrono_forge_error_logs"),
    ] {
        assert_eq!(looked.number(sql, &[]), expected, "{what}");
    }
}

#[backends]
fn kills_at_random_moments_leave_exactly_the_children_that_a_keyset_promises(backend: Backend) {
    survives(backend, false);
}

#[backends]
fn kills_at_random_moments_leave_exactly_the_children_that_a_snapshot_promises(backend: Backend) {
    survives(backend, true);
}
