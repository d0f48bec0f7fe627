//! The text of a failure is one text: for the body in each pass, in its record, in its row, in both
//! databases.

use chrono_forge::OnError;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::FAILED;
use proptest::prelude::any;

use crate::cases::cases;
use crate::moves::Tour;
use crate::places::PAUSE_HOURS;
use crate::said::{self, Said};
use crate::shelf::Shelf;

/// How many cases are drawn, unless the environment says so; each has up to a dozen failures.
const CASES: u32 = 3;

/// Passes that each run has.
const PASSES: usize = 3;

const NAMES: [&str; 1] = [fails_everywhere::NAME];

/// Operations that fail in one pass, and the names of their rows.
const ROWS: [&str; 4] = ["step$s", "branch$b", "wait_until$w", "repeat$r"];

#[workflow(retry = RetryPolicy::none())]
async fn fails_everywhere(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let said = &shelf.failures()[n];
    let step: Result<(), _> = step!("s", async { said.fail() }).await;
    let block: Result<(), _> = branch!("b", automerge = true, { said.fail::<()>()? }).await;
    let condition = wait_until!("w", async { said.fail::<bool>() }).await;
    let tick = repeat!(
        "r",
        every = secs(1),
        until = { Ok(false) },
        on_error = OnError::Fail,
        |_tick| async { said.fail::<()>() }
    )
    .await;
    let block = block.unwrap_err();
    shelf.noted(cx.key(), block.message);
    for error in [step.unwrap_err(), condition.unwrap_err(), tick.unwrap_err()] {
        assert_eq!(error.class, said.class(), "{}", error.key);
        shelf.noted(cx.key(), error.message);
    }
    wait!("first", hours(PAUSE_HOURS)).await;
    wait!("second", hours(PAUSE_HOURS)).await;
    said.fail()
}

#[backends]
fn the_text_of_a_failure_is_the_same_for_every_pass_and_in_every_row(backend: Backend) {
    cases(
        CASES,
        (any::<bool>(), said::some()),
        |(from_file, failures)| check(backend, from_file, failures),
    );
}

async fn check(backend: Backend, from_file: bool, failures: Vec<Said>) {
    let tour = Tour::new(backend, from_file, Shelf::of_failures(failures));
    let forge = tour.begin(&NAMES).await;
    for n in 0..tour.shelf.failures().len() {
        let key = format!("failure-{n}");
        forge.start(&key, fails_everywhere(n)).await.unwrap();
    }
    tour.quiet(false, |_| true).await;
    tour.advance(2);
    tour.quiet(false, |_| true).await;
    let forge = tour.go_on(forge, &NAMES).await;
    tour.quiet(false, |_| true).await;
    let _forge = tour.move_on(forge, &NAMES).await;
    tour.quiet(true, |rows| rows.values().all(|row| row.state == FAILED))
        .await;
    for (n, said) in tour.shelf.failures().iter().enumerate() {
        let (key, text) = (format!("failure-{n}"), said.kept());
        let seen = tour.shelf.seen(&key);
        let is_right = seen.iter().all(|it| *it == text) && seen.len() >= PASSES * ROWS.len();
        assert!(is_right, "{said:?}: {}", difference(&text, &seen));
        for is_second in [false, true] {
            let rows = messages(&tour, is_second, &key);
            // Of each operation a record and a row of its error, of the tick one row more; at last
            // the body's.
            let times = 2 * ROWS.len() + 1 + usize::from(is_second);
            let is_right = rows.len() == times && rows.iter().all(|it| *it == text);
            assert!(is_right, "{said:?}: {}", difference(&text, &rows));
        }
    }
}

/// The messages of all rows of a run.
fn messages(tour: &Tour, is_second: bool, key: &str) -> Vec<String> {
    let sql = "SELECT l.error_message FROM chrono_forge_execution_logs AS l
        JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
        WHERE w.key = ? AND l.error_message IS NOT NULL
        UNION ALL SELECT e.error_message FROM chrono_forge_error_logs AS e
        JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id WHERE w.key = ?";
    let look = tour.look(is_second);
    look.texts(sql, &[key.into(), key.into()])
}

/// Where texts differ from what was expected of them, in a few words.
fn difference(expected: &str, found: &[String]) -> String {
    let told = found.iter().map(|text| {
        let same = expected.char_indices().zip(text.chars());
        let at = same.take_while(|((_, a), b)| a == b).count();
        let rest: String = text.chars().skip(at).take(20).collect();
        format!(
            "{} bytes, {at} characters are the same, then {rest:?}",
            text.len()
        )
    });
    let told: Vec<_> = told.collect();
    format!("{} bytes expected, found {told:#?}", expected.len())
}
