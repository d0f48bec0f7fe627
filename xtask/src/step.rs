//! A task is a list of named steps. All of them run: one failure should not hide the next.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How a step ended if it did not fail.
pub(crate) enum Outcome {
    Passed,
    /// With the reason. Counted neither as passed nor as failed.
    Skipped(String),
}

pub(crate) struct Step {
    name: String,
    work: Box<dyn FnOnce() -> Result<Outcome>>,
}

impl Step {
    pub(crate) fn new(
        name: impl Into<String>,
        work: impl FnOnce() -> Result<Outcome> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            work: Box::new(work),
        }
    }

    /// A step that is one cargo command.
    pub(crate) fn cargo(name: impl Into<String>, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        Self::new(name, move || crate::cargo::run(&arguments))
    }

    pub(crate) fn skipped(name: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(name, move || Ok(Outcome::Skipped(reason)))
    }
}

/// Runs the steps in order and prints a summary whose last line is `N passed, N failed`.
pub(crate) fn run_all(steps: Vec<Step>) -> ExitCode {
    let mut report = Report::default();
    for Step { name, work } in steps {
        println!("\n==> {name}");
        let start = Instant::now();
        report.add(&name, work(), start.elapsed());
    }
    println!("\n{}", report.text());
    if report.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Default)]
struct Report {
    lines: Vec<String>,
    /// Why steps failed, in full: at the end, where the reader of a long log looks first.
    reasons: Vec<String>,
    passed: usize,
    failed: usize,
}

impl Report {
    fn add(&mut self, name: &str, result: Result<Outcome>, took: Duration) {
        let took = took.as_secs_f64();
        self.lines.push(match result {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                format!("passed   {name} ({took:.1} s)")
            }
            Ok(Outcome::Skipped(reason)) => format!("skipped  {name}: {reason}"),
            Err(error) => {
                self.failed += 1;
                println!("failed: {error:#}");
                self.reasons.push(format!("{name}: {error:#}"));
                format!("FAILED   {name} ({took:.1} s): {error}")
            }
        });
    }

    fn text(&self) -> String {
        let lines = [&self.lines[..], &self.reasons].concat().join("\n");
        format!("{lines}\n\n{} passed, {} failed", self.passed, self.failed)
    }
}

#[test]
fn the_report_ends_in_its_counts() {
    let mut report = Report::default();
    report.add("fine", Ok(Outcome::Passed), Duration::ZERO);
    report.add(
        "absent",
        Ok(Outcome::Skipped("not there yet".to_owned())),
        Duration::ZERO,
    );
    let error = anyhow::anyhow!("the reason").context("why");
    report.add("broken", Err(error), Duration::ZERO);
    let text = report.text();
    assert_eq!(text.lines().last(), Some("1 passed, 1 failed"));
    assert!(text.contains("FAILED   broken (0.0 s): why\n"), "{text}");
    assert!(text.contains("broken: why: the reason\n"), "{text}");
}
