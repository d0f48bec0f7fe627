//! Killed again and again: the manifest is the one that `sha256sum` writes, and what was recorded is
//! never hashed again.
//!
//! At full size, by hand:
//! `MANIFEST_FILES=20000 MANIFEST_KILLS=50 cargo test --release -p chrono-forge-examples --test manifest kill -- --nocapture`

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::{OUT, hashed, recorded, run, start, wait_for_hashes};
use crate::tree::{self, ROOT, grow};

const ARGUMENTS: [&str; 3] = [ROOT, "--out", OUT];

const LONG_ENOUGH: Duration = Duration::from_millis(400);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |it| it.parse().unwrap())
}

/// Kills the process early, after some more hashes, or when all are made; false if it ended first.
fn kill_once(scratch: &Path, left: usize, kills_left: usize, rng: &mut fastrand::Rng) -> bool {
    let mut process = start(scratch, &ARGUMENTS);
    let before = hashed(scratch).len();
    let (more, delay_us) = match rng.u8(..4) {
        _ if kills_left <= 2 => (left, rng.u64(..30_000)),
        0 => (0, rng.u64(..80_000)),
        _ => (rng.usize(..=left / kills_left), rng.u64(..5_000)),
    };
    if kills_left.is_multiple_of(3) {
        // A run whose workers die seven times in a row before it gets anywhere is taken for the killer,
        // so now and then a process lives for long enough to dispatch a page.
        sleep(LONG_ENOUGH);
    }
    let lives = wait_for_hashes(scratch, &mut process, before + more);
    sleep(Duration::from_micros(delay_us));
    let hit = lives && process.try_wait().unwrap().is_none();
    process.kill().unwrap();
    process.wait().unwrap();
    hit
}

#[test]
fn what_was_recorded_before_a_kill_is_never_hashed_again() {
    if !tree::has_sha256sum() {
        eprintln!("skipped what_was_recorded_before_a_kill_is_never_hashed_again: no sha256sum");
        return;
    }
    let (files, kills) = (setting("MANIFEST_FILES", 400), setting("MANIFEST_KILLS", 8));
    let seed = setting("MANIFEST_SEED", 7) as u64;
    let (folder, mut rng) = (tempfile::tempdir().unwrap(), fastrand::Rng::with_seed(seed));
    let scratch = folder.path();
    grow(scratch, files, &mut rng);
    let begun = Instant::now();
    let (mut hits, mut known) = (0, HashSet::new());
    for kill in 0..kills {
        let distinct = hashed(scratch).into_iter().collect::<HashSet<_>>().len();
        let before = hashed(scratch).len();
        let hit = kill_once(
            scratch,
            files.saturating_sub(distinct),
            kills - kill,
            &mut rng,
        );
        check_unrepeated(scratch, before, &known);
        if !hit {
            break;
        }
        hits += 1;
        let now = recorded(scratch);
        assert!(known.is_subset(&now), "a record was lost");
        known = now;
    }
    let before = hashed(scratch).len();
    if !scratch.join(OUT).exists() || scratch.join(format!("{OUT}.db")).exists() {
        let output = run(scratch, &ARGUMENTS);
        assert!(output.status.success(), "{output:?}");
    }
    check_unrepeated(scratch, before, &known);
    let hashes = hashed(scratch).len();
    eprintln!(
        "{files} files, {hits} of {kills} kills hit, {hashes} hashes ({} repeated, none of a recorded file), {} recorded before the last kill, {:.1} s",
        hashes - files,
        known.len(),
        begun.elapsed().as_secs_f64(),
    );
    let manifest = fs::read(scratch.join(OUT)).unwrap();
    assert!(
        manifest == tree::sums(scratch, &[]),
        "not what sha256sum writes"
    );
    tree::check(scratch, OUT);
    assert!(hits > 0, "no kill hit");
}

fn check_unrepeated(scratch: &Path, from: usize, known: &HashSet<String>) {
    for name in &hashed(scratch)[from..] {
        assert!(
            !known.contains(name),
            "{name} was recorded and hashed again"
        );
    }
}
