//! Random bodies, cut at random commits: every replay takes the path that was recorded.

use std::sync::Arc;

use chrono_forge::testing::Failpoints;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Driven, Site};
use chrono_forge_tests::journal::Race;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::body::{Piece, random, reusing};

/// A place where a life ends: before or after the n-th commit.
type Cut = (bool, u64);

/// The recorded order of the run, as the body writes down what it receives.
const ORDER: &str = "
SELECT l.step_name || ' ' || CASE
    WHEN l.step_name LIKE 'wait$%' THEN 'over'
    WHEN l.step_name LIKE 'branch$%' THEN 'sealed'
    WHEN l.step_name LIKE 'repeat$%' AND l.state = 1 THEN 'over'
    WHEN l.step_name LIKE 'merge$%' THEN 'true'
    WHEN l.state = 2 THEN 'gave up'
    ELSE l.result END
FROM chrono_forge_execution_logs AS l JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
WHERE w.key = 'root' AND l.seq IS NOT NULL ORDER BY l.seq";

/// The recorded order, but for the steps of blocks that fail: every attempt of such a block receives them again.
fn order(site: &Site) -> Vec<String> {
    let mut order = site.look().texts(ORDER, &[]);
    order.retain(|outcome| !outcome.starts_with("step$in-"));
    order
}

/// Lives the cuts and then one more life; checks every pass against the recorded order.
fn check(backend: Backend, body: &Piece, cuts: &[Cut]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let site = Site::new(backend, 1);
    // Passes so far, with the outcomes that were durable when their life ended.
    let mut lives: Vec<(usize, usize)> = Vec::new();
    for life in 0.. {
        let failpoints = armed(cuts.get(life));
        let body = body.clone();
        let driven = runtime.block_on(site.drive::<random>(&failpoints, move || random(body)));
        let passes = site.probe.journal.pages().passes.len();
        let durable = order(&site).len();
        lives.push((passes, durable));
        if driven == Driven::Settled {
            break;
        }
    }
    let dump = site.rows("at the end");
    let path = order(&site);
    let state = "SELECT state FROM chrono_forge_workflows WHERE key = 'root'";
    assert_eq!(site.look().number(state, &[]), 2, "{}", dump.join("\n"));
    let pages = site.probe.journal.pages().clone();
    let mut first = 0;
    for (passes, durable) in lives {
        for page in &pages.passes[first..passes] {
            let seen = as_seen(&path[..durable], page, &pages.races);
            let known = page.len().min(seen.len());
            let place = format!("a pass left the recorded path {path:?}");
            assert_eq!(page[..known], seen[..known], "{place}");
        }
        first = passes;
    }
    let path = as_seen(&path, pages.passes.last().expect("a pass"), &pages.races);
    assert_eq!(pages.passes.last(), Some(&path), "the last pass");
    let output = "SELECT output FROM chrono_forge_workflows WHERE key = 'root'";
    let output: Vec<String> =
        serde_json::from_str(&site.look().texts(output, &[])[0]).expect("the path as output");
    assert_eq!(output, path);
    for race in &pages.races {
        let again = pages
            .begun
            .iter()
            .find(|(step, seq)| race.lost.contains(step) && *seq >= race.seq);
        assert_eq!(
            again, None,
            "an abandoned step began after {race:?} was recorded"
        );
    }
}

fn armed(cut: Option<&Cut>) -> Arc<Failpoints> {
    let failpoints = Arc::new(Failpoints::default());
    if let Some((after, n)) = cut {
        let place = if *after {
            "commit.after"
        } else {
            "commit.before"
        };
        failpoints.arm(place, *n);
    }
    failpoints
}

/// Lives the cuts and then one more life, at the end of which the run is refused by the name of the block.
fn check_refused(backend: Backend, body: &Piece, branch: u32, cuts: &[Cut]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let site = Site::new(backend, 1);
    for life in 0.. {
        let failpoints = armed(cuts.get(life));
        let body = body.clone();
        let start = move || reusing(body, branch);
        if runtime.block_on(site.drive::<reusing>(&failpoints, start)) == Driven::Settled {
            break;
        }
    }
    let dump = site.rows("at the end").join("\n");
    let refused = "SELECT e.error_message FROM chrono_forge_error_logs AS e
        JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id
        WHERE w.key = 'root' AND w.state = 3 AND e.step_name IS NULL";
    let refused = site.look().texts(refused, &[]);
    let expected = format!("the block of branch!(\"{branch}\") has a step of this key");
    assert_eq!(refused.len(), 1, "{dump}");
    assert!(refused[0].contains(&expected), "{refused:?}\n{dump}");
}

/// The recorded path as a pass sees it: the block of a sealed branch, and the steps in it, are skipped, and
/// so is what an arm that lost had finished.
fn as_seen(path: &[String], page: &[String], races: &[Race]) -> Vec<String> {
    let may_be_unseen = |outcome: &str| {
        let key = outcome.split_once('$').map_or("", |(_, key)| key);
        let id = key.split([' ', '-']).next().and_then(|id| id.parse().ok());
        outcome.starts_with("step$in")
            || races
                .iter()
                .any(|race| id.is_some_and(|id| race.lost.contains(&id)))
    };
    let is_seen = |outcome: &&String| !may_be_unseen(outcome) || page.contains(*outcome);
    path.iter().filter(is_seen).cloned().collect()
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    prop::collection::vec((any::<bool>(), 2..14_u64), 0..=4)
}

/// Runs so many random cases, and fails with the smallest one that does.
fn cases<T: std::fmt::Debug>(count: u32, values: impl Strategy<Value = T>, case: impl Fn(T)) {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let config = ProptestConfig {
        cases: wanted.and_then(|cases| cases.parse().ok()).unwrap_or(count),
        max_shrink_iters: 150,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&values, |value| {
        case(value);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// How many bodies are drawn, unless the environment says so.
const BODIES: u32 = 48;

#[backends]
fn every_replay_takes_the_path_that_was_recorded(backend: Backend) {
    cases(BODIES, (Piece::racing(), cuts()), |(body, cuts)| {
        check(backend, &body, &cuts);
    });
}

#[backends]
fn branches_beside_other_arms_take_the_path_that_was_recorded(backend: Backend) {
    cases(BODIES, (Piece::branching(), cuts()), |(body, cuts)| {
        check(backend, &body, &cuts);
    });
}

/// A few pieces around a block with steps; the key of one is used once more at the end.
fn reuse() -> impl Strategy<Value = (Piece, u32)> {
    let around = prop::collection::vec(Piece::branching(), 0..2);
    (around, Piece::torn(), any::<bool>()).prop_map(|(around, torn, comes_first)| {
        let mut pieces = around;
        let place = if comes_first { 0 } else { pieces.len() };
        pieces.insert(place, torn);
        let mut body = Piece::Sequence(pieces);
        body.number(&mut 0);
        let branch = match &body {
            Piece::Sequence(pieces) => match &pieces[place] {
                Piece::Torn { id, .. } => *id,
                _ => 0,
            },
            _ => 0,
        };
        (body, branch)
    })
}

#[backends]
fn a_key_that_a_block_has_used_is_refused_in_every_pass(backend: Backend) {
    cases(BODIES / 4, (reuse(), cuts()), |((body, branch), cuts)| {
        check_refused(backend, &body, branch, &cuts);
    });
}
