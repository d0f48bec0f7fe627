//! Random bodies, cut at random commits: every replay takes the path that was recorded.

use std::sync::Arc;

use chrono_forge::testing::Failpoints;
use chrono_forge_tests::crash::{Driven, Site};
use chrono_forge_tests::journal::Race;
use chrono_forge_tests::rows;
use proptest::prelude::*;

use crate::body::{Piece, random};

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

/// Lives the cuts and then one more life; checks every pass against the recorded order.
fn check(body: &Piece, cuts: &[Cut]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let site = Site::new(1);
    // Passes so far, with the outcomes that were durable when their life ended.
    let mut lives: Vec<(usize, usize)> = Vec::new();
    for life in 0.. {
        let failpoints = Arc::new(Failpoints::default());
        if let Some((after, n)) = cuts.get(life) {
            let place = if *after {
                "commit.after"
            } else {
                "commit.before"
            };
            failpoints.arm(place, *n);
        }
        let body = body.clone();
        let driven = runtime.block_on(site.drive::<random>(&failpoints, move || random(body)));
        let passes = site.probe.journal.pages().passes.len();
        let durable = match rows::number(
            &site.look(),
            "SELECT count(*) FROM sqlite_schema WHERE name = 'chrono_forge_execution_logs'",
        ) {
            0 => 0,
            _ => rows::texts(&site.look(), ORDER).len(),
        };
        lives.push((passes, durable));
        if driven == Driven::Settled {
            break;
        }
    }
    let dump = site.rows("at the end");
    let path = rows::texts(&site.look(), ORDER);
    let state = "SELECT state FROM chrono_forge_workflows WHERE key = 'root'";
    assert_eq!(rows::number(&site.look(), state), 2, "{}", dump.join("\n"));
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
        serde_json::from_str(&rows::texts(&site.look(), output)[0]).expect("the path as output");
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

/// The recorded path as a pass sees it: the block of a sealed branch, and the steps in it, are skipped, and
/// so is what an arm that lost had finished.
fn as_seen(path: &[String], page: &[String], races: &[Race]) -> Vec<String> {
    let may_be_unseen = |outcome: &str| {
        let key = outcome.split_once('$').map_or("", |(_, key)| key);
        let id = key.split(' ').next().and_then(|id| id.parse().ok());
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

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 150,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn every_replay_takes_the_path_that_was_recorded(body in Piece::racing(), cuts in cuts()) {
        check(&body, &cuts);
    }

    #[test]
    fn branches_beside_other_arms_take_the_path_that_was_recorded(
        body in Piece::branching(),
        cuts in cuts(),
    ) {
        check(&body, &cuts);
    }
}
