//! Each value reads back as itself in every place, or is refused by name.

use chrono_forge::{Error, Forge};
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{COMPLETED, FAILED};
use proptest::prelude::any;

use crate::cases::cases;
use crate::kinds::{self, ReadAs, Shaped, reading};
use crate::model::{
    Fate, VALUE_BYTES_MAX, fate, fate_of_argument, fate_of_entry, fate_of_token, is_unreadable,
};
use crate::moves::{HELD, Rows, Tour};
use crate::places::*;
use crate::shelf::Shelf;

/// How many cases are drawn, unless the environment says so; each has dozens of values.
const CASES: u32 = 3;

/// Passes that each run has.
const PASSES: usize = 3;

#[backends]
fn a_value_reads_back_as_itself_wherever_it_is_stored_or_is_refused_by_name(backend: Backend) {
    cases(
        CASES,
        (any::<bool>(), kinds::some()),
        |(from_file, values)| check(backend, from_file, values),
    );
}

async fn check(backend: Backend, from_file: bool, values: Vec<Shaped>) {
    let tour = Tour::new(backend, from_file, Shelf::new(values));
    let forge = tour.begin(&NAMES).await;
    start(&tour, &forge).await;
    tour.quiet(false, |rows| are_far(&tour, rows, 1)).await;
    tour.advance(2);
    tour.quiet(false, |_| true).await;
    results(&tour, &forge).await;
    let forge = tour.go_on(forge, &NAMES).await;
    tour.quiet(false, |rows| are_far(&tour, rows, 2)).await;
    results(&tour, &forge).await;
    let forge = tour.move_on(forge, &NAMES).await;
    tour.quiet(true, |_| true).await;
    results(&tour, &forge).await;
    let end = End {
        before: tour.rows(false),
        after: tour.rows(true),
        shelf: tour.shelf.clone(),
    };
    for (n, value) in tour.shelf.values().iter().enumerate() {
        end.check_bodies(n, value);
        end.check_tokens(n, value);
        end.check_context(n, value);
    }
}

async fn start(tour: &Tour, forge: &Forge) {
    for (n, value) in tour.shelf.values().iter().enumerate() {
        let started = forge
            .start(
                &format!("argument-{n}"),
                as_argument(ReadAs(value.kind()), value.clone()),
            )
            .await;
        match (fate_of_argument(value), started) {
            (Fate::Kept(_), Ok(_)) => {}
            (Fate::Refused, Err(Error::Arguments { .. } | Error::TooLarge { .. })) => {}
            (fate, started) => panic!("{value:?}: {fate:?} {started:?}"),
        }
        let key = |place: &str| format!("{place}-{n}");
        forge.start(&key("output"), as_output(n)).await.unwrap();
        forge.start(&key("step"), as_step(n)).await.unwrap();
        forge.start(&key("block"), as_block(n)).await.unwrap();
        let child = forge.start(&key("child"), as_argument_of_child(n)).await;
        child.unwrap();
        let result = forge.start(&key("result"), as_result_of_child(n)).await;
        result.unwrap();
        let results = forge.start(&key("results"), as_result_of_children(n)).await;
        results.unwrap();
        forge.start(&key("context"), in_context(n)).await.unwrap();
        forge
            .start(&key("parts"), in_context_of_parts(n))
            .await
            .unwrap();
        let key = |place: &str| format!("{HELD}{place}-{n}");
        forge.start(&key("page"), as_page_token(n)).await.unwrap();
        forge
            .start(&key("stream"), as_stream_token(n))
            .await
            .unwrap();
    }
}

/// Whether each run that waits behind a token was told it so many times.
fn are_far(tour: &Tour, rows: &Rows, passes: usize) -> bool {
    let values = tour.shelf.values().iter().enumerate();
    let mut tokens = values.flat_map(|(n, value)| [("page", n, value), ("stream", n, value)]);
    tokens.all(|(place, n, value)| {
        let key = format!("{HELD}{place}-{n}");
        match fate_of_token(value) {
            // The first time a stream goes on by itself.
            Fate::Kept(_) if place == "stream" && passes == 1 => {
                rows.get(&key).is_some_and(|row| row.children == 1)
            }
            Fate::Kept(_) => tour.shelf.seen(&key).len() + usize::from(place == "stream") >= passes,
            Fate::Refused => rows.get(&key).is_some_and(|row| row.state == FAILED),
        }
    })
}

/// Outputs as who waits for them is given them.
async fn results(tour: &Tour, forge: &Forge) {
    for (n, value) in tour.shelf.values().iter().enumerate() {
        let key = format!("output-{n}");
        let run = forge.get::<as_output>(&key).await.unwrap().unwrap();
        let given = reading(value.kind(), run.result()).await;
        match (fate(value, VALUE_BYTES_MAX), given) {
            (Fate::Kept(text), Ok(given)) => assert_eq!(crate::model::told(&given), text),
            (Fate::Refused, Err(_)) => {}
            (fate, given) => panic!("{value:?}: {fate:?} {given:?}"),
        }
    }
}

/// How it ended.
struct End {
    before: Rows,
    after: Rows,
    shelf: Shelf,
}

impl End {
    fn check_bodies(&self, n: usize, value: &Shaped) {
        let fate_of_value = fate(value, VALUE_BYTES_MAX);
        let argument = fate_of_argument(value);
        let key = |place: &str| format!("{place}-{n}");
        match argument {
            Fate::Kept(_) => self.check_seen(&key("argument"), &argument, 1),
            Fate::Refused => assert!(!self.after.contains_key(&key("argument")), "half written"),
        }
        self.check_seen(&key("step"), &fate_of_value, 1);
        self.check_seen(&key("block"), &fate_of_value, 1);
        match argument {
            Fate::Kept(_) => {
                self.check_seen(&format!("child-{n}$b$one"), &argument, 1);
                self.check_seen(&format!("child-{n}$b$more$0"), &argument, 1);
            }
            Fate::Refused => self.check_refused(&key("child")),
        }
        match fate_of_value {
            Fate::Kept(_) => {
                self.check_seen(&key("result"), &fate_of_value, 1);
                self.check_seen(&key("results"), &fate_of_value, 3);
            }
            Fate::Refused => {
                self.check_refused(&key("output"));
                self.check_refused(&format!("result-{n}$b$c"));
                self.check_refused(&format!("results-{n}$b$c$0"));
            }
        }
    }

    /// A run that was given the value so many times a pass, or was refused.
    fn check_seen(&self, key: &str, fate: &Fate, times: usize) {
        let seen = self.shelf.seen(key);
        match fate {
            Fate::Kept(text) => {
                assert!(seen.iter().all(|it| it == text), "{key}: {text} {seen:#?}");
                // A pass that reads results may be cut off by them, and begin again.
                assert!(seen.len() >= PASSES * times, "{key}: {seen:#?}");
                let row = &self.after[key];
                assert_eq!(row.state, COMPLETED, "{key}: {row:?}");
            }
            Fate::Refused => {
                assert_eq!(seen, [""; 0], "{key}");
                self.check_refused(key);
            }
        }
    }

    /// The run says why it failed, and nothing of the value was written.
    fn check_refused(&self, key: &str) {
        for row in [&self.before[key], &self.after[key]] {
            let whole = (row.state, row.output.as_ref(), row.results, row.children);
            assert_eq!(whole, (FAILED, None, 0, 0), "{key}: {row:?}");
            assert_eq!(row.class.as_deref(), Some("chrono_forge::DefinitionError"));
            let message = row.message.as_deref().unwrap();
            let is_named = ["cannot be stored", "exceed the limit"]
                .iter()
                .any(|told| message.contains(told));
            assert!(is_named, "{key}: {message}");
        }
    }

    fn check_tokens(&self, n: usize, value: &Shaped) {
        let fate = fate_of_token(value);
        for place in ["page", "stream"] {
            let key = format!("{HELD}{place}-{n}");
            let seen = self.shelf.seen(&key);
            match &fate {
                Fate::Kept(text) => {
                    // Of raw JSON in a token only the whitespace may go.
                    let plain = |told: &String| told.replace([' ', '\n', '\r', '\t'], "");
                    let is_same = seen.iter().all(|it| plain(it) == plain(text));
                    assert!(is_same, "{key}: {text} {seen:#?}");
                    let least = PASSES - usize::from(place == "stream");
                    assert!(seen.len() >= least, "{key}: {seen:#?}");
                    let row = &self.after[&key];
                    assert_eq!((row.state, row.children), (COMPLETED, 2), "{key}: {row:?}");
                }
                Fate::Refused => self.check_refused(&key),
            }
        }
    }

    fn check_context(&self, n: usize, value: &Shaped) {
        let fate = fate_of_entry(value);
        for (place, entries) in [("context", 5), ("parts", 4)] {
            let key = format!("{place}-{n}");
            let seen = self.shelf.seen(&key);
            assert_eq!(seen.len(), PASSES * entries, "{key}: {seen:#?}");
            let row = &self.after[&key];
            assert_eq!(row.state, COMPLETED, "{key}: {row:?}");
            for (first, again) in seen.iter().zip(&seen[entries..]) {
                assert_eq!(first, again, "{key}");
            }
            for seen in &seen[..entries] {
                let is_right = match &fate {
                    Fate::Kept(text) => *seen == format!("written: {text}"),
                    Fate::Refused => is_named(seen, value),
                };
                assert!(is_right, "{key}: {fate:?} {seen}");
            }
        }
    }
}

/// Refused when it is written; where only the type could tell that, at the latest when it is read.
fn is_named(seen: &str, value: &Shaped) -> bool {
    match seen {
        "unstorable: none" | "too large: none" => true,
        "written: undecodable" => is_unreadable(value),
        _ => false,
    }
}
