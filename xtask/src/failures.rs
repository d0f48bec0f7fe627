//! What the test suites say of their failures, kept for the end of the report: who sees only the
//! last lines of a long log learns which test failed, and why.

use std::fmt::Write as _;

/// So many failures are told with their texts; the rest are counted.
const TOLD_MAX: usize = 8;

/// Bytes of one failure's name and text.
const BYTES_MAX: usize = 400;

/// Begins of lines that end what a failure says. A backtrace would take the place of other failures.
const ENDS: [&str; 4] = ["failures:", "test result:", "stack backtrace:", "note: "];

/// Reads the output of `cargo test` line by line.
#[derive(Default)]
pub(crate) struct Failures {
    told: Vec<String>,
    count: usize,
    /// Are we within the text of the last one?
    open: bool,
}

impl Failures {
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = name_of_section(line) {
            self.count += 1;
            self.open = self.count <= TOLD_MAX;
            if self.open {
                self.told.push(name.to_owned());
            }
        } else if ENDS.iter().any(|end| line.starts_with(end)) {
            self.open = false;
        } else if self.open && !line.is_empty() {
            self.append(line);
        }
    }

    fn append(&mut self, line: &str) {
        let Some(text) = self.told.last_mut() else {
            return;
        };
        let room = BYTES_MAX.saturating_sub(text.len());
        let end = line.floor_char_boundary(room.min(line.len()));
        if end > 0 {
            let _ = write!(text, "\n    {}", &line[..end]);
        }
    }

    /// One paragraph for each failure, or nothing.
    pub(crate) fn text(&self) -> Option<String> {
        let rest = self.count - self.told.len();
        let more = (rest > 0).then(|| format!("and {rest} more"));
        let paragraphs: Vec<String> = self.told.iter().cloned().chain(more).collect();
        (!paragraphs.is_empty()).then(|| paragraphs.join("\n"))
    }
}

/// The test whose output follows a line such as `---- claims::first stdout ----`.
fn name_of_section(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[test]
fn a_failure_is_told_with_its_panic_and_no_longer_than_its_share() {
    let mut failures = Failures::default();
    let long = format!("right: {}", "ä".repeat(BYTES_MAX));
    for line in [
        "running 2 tests",
        "test claims::first ... FAILED",
        "failures:",
        "",
        "---- claims::first stdout ----",
        "thread 'claims::first' panicked at claims.rs:3:5:",
        &long,
        "stack backtrace:",
        "   0: rust_begin_unwind",
        "failures:",
        "    claims::first",
        "test result: FAILED. 1 passed; 1 failed",
    ] {
        failures.read(line);
    }
    let text = failures.text().expect("one failed");
    assert!(text.starts_with("claims::first\n    thread"), "{text}");
    assert!(text.contains("right: ä"), "{text}");
    assert!(text.len() <= BYTES_MAX + 10, "{}", text.len());
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn many_failures_are_counted_and_none_says_nothing() {
    let mut failures = Failures::default();
    assert_eq!(failures.text(), None);
    for number in 0..TOLD_MAX + 2 {
        failures.read(&format!("---- t{number} stdout ----"));
    }
    let text = failures.text().expect("some failed");
    assert_eq!(text.lines().count(), TOLD_MAX + 1);
    assert!(text.ends_with("and 2 more"), "{text}");
}
