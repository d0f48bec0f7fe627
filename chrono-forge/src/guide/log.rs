//! What the log says: the lines that a service meets, their levels, and what to do.
//!
//! The engine tells what it does as [`tracing`](https://docs.rs/tracing) events with the target
//! `chrono_forge`; any subscriber shows them. At `info` a healthy hour is a handful of lines: that
//! an engine was opened, and that it was shut down. Whatever else is there says that the schema was
//! changed, or that something waits, and until when, or for whom.
//!
//! ```text
//! INFO  opened version="0.1.0" database="sqlite://shop.db" worker=1 name="worker" queues="default (64 slots)" workflows="order"
//! WARN  an attempt failed and is tried again workflow="order" key="ada" step="charge" attempt=1 of 3 class="reqwest::Error" error="timed out" next=2026-11-21T10:00:01.2Z
//! ERROR the run stalled: mend the cause, then forge.retry goes on at this step workflow="order" key="ada" step="charge" attempts=3 class="reqwest::Error" error="timed out"
//! ```
//!
//! # Lines
//!
//! Fields: `workflow` and `key` name the run; `step` is the key of a step, or the name of another
//! record (`repeat$night`); `run` is the number of the run's row, where the key is not at hand;
//! `attempt` counts what has failed, "2 of 3" (after a retry by hand the number of the error row
//! stands before it: "5 (2 of 3)"); `class` and `error` are those of the error row, on one line and
//! cut after 1 KiB; `next` is when it goes on by itself.
//!
//! | level | what is told | what to do |
//! |---|---|---|
//! | INFO | `opened`: version, database (without its password), worker, queues, workflows; `shut down` | |
//! | INFO | what failed for a while succeeds `again`: commits, claims, heartbeats, reads | |
//! | INFO | the schema was created, or brought up to date: from which version to which | |
//! | WARN | the schema waits until those who use it are done: who they are | end their transactions (a console that was left open) |
//! | WARN | a schema is created in a database where others hold runs | see that `schema=` names the one that is meant |
//! | WARN | the database is not up yet, and `open` waits for it | |
//! | WARN | too few connections: at `open`, by the limits of server, role or database; or one was waited for for 2 s | fewer `writers` and `readers`, or a larger limit |
//! | WARN | this worker cannot read the arguments of a run, and leaves it to others | deploy a build that reads them; two applications belong into two schemas |
//! | WARN | the shutdown cut a step off, which runs again | a longer `shutdown_grace`, if it should end |
//! | WARN | an attempt of a step, a condition, a tick or a dispatch failed and is tried again | nothing yet |
//! | WARN | the body failed and runs again, ten times within 4 to 9 minutes unless its policy says otherwise; the run waits | see the error |
//! | WARN | a tick failed for good, and its repeat goes on with the next one | see the error |
//! | WARN | ticks were skipped since they came later than the repeat's `timeout` allows: how many, the first, the last | a longer `timeout`, if they should be made up for |
//! | WARN | a step is new to a run that has recorded another one which nothing has asked for | if it was renamed, its effect happens twice: keep the old key for runs in flight; if steps were inserted or removed, nothing |
//! | WARN | a worker died, and its runs go on | |
//! | WARN | a worker is silent for longer than its lease, and its process lives | see what keeps it; if it hangs, end it |
//! | WARN | something keeps the thread that polls it | `tokio::task::spawn_blocking` for what blocks |
//! | ERROR | the runtime polls nothing any more | the same, unless the whole process was stopped for a while |
//! | WARN | a start met a run that exists with other arguments (how many more were kept back: `kept_back`) | see [`has_other_arguments`](crate::Run::has_other_arguments) |
//! | WARN | the counter of a branch was wrong, and was set right | somebody changed rows, or the file is damaged |
//! | WARN | this worker is over (it was declared dead, or the database set back), or its lease was not renewed in time | give it time and a connection |
//! | WARN | runs would wait, or a run was started: no live worker serves their queue | add the `.queue(..)` that it names |
//! | WARN | due runs wait for a workflow or a queue that no live worker has; told each minute | start such a worker |
//! | WARN | due runs wait long for a worker while this one is there; told after 1, 2, 4, 8, .. minutes | a fan-out that takes its time: nothing; else more slots where bodies wait, another worker where they compute |
//! | WARN | something of the database fails, told every ten seconds while it lasts | |
//! | ERROR | the same, where it does not pass by itself | the remedy in the line |
//! | ERROR | a run stalled at a step that gave up, or at a value that this build cannot read (arguments: once something is recorded) | mend the cause, then [`forge.retry`](crate::Forge::retry) |
//! | ERROR | a run failed: its body for good, or by a broken rule | mend the cause, then `forge.retry` |
//! | ERROR | a run goes on in quarantine, since workers died that held it; or failed as poison | find what kills the process |
//! | DEBUG | a run begins, goes on, waits, is completed; a step gave up and the body received its error | |
//!
//! What becomes of a run is told once it is durable. A step that gives up is no trouble of its own:
//! the body may have an answer to it, and if it has none the run stalls, which is told.
//!
//! # Storms
//!
//! A dependency that is down stalls a thousand runs for one reason. The first ten lines of a kind
//! and a workflow in a minute are told one by one; what comes beyond them is counted, and the count
//! told once a minute, with the newest of them as an example, and at the shutdown: nothing is left
//! out.
//!
//! ```text
//! ERROR 990 more runs stalled: mend the cause, then forge.retry_all takes them up again workflow="order" within=60s newest="`bob`: connection refused (std::io::Error)"
//! ```
//!
//! # Spans
//!
//! Each attempt of a step, a condition, a tick or the block of a branch runs in a span `step` with
//! `workflow`, `key`, `step` and `attempt`, at level INFO: what your code logs can be told apart by
//! run.
//!
//! ```text
//! INFO step{workflow="order" key="ada" step="charge" attempt=1}: shop: asking the bank
//! ```
//!
//! Without a subscriber there is no span, and nothing is made for any line. A filter such as
//! `chrono_forge=warn` turns the spans off with the lines.
//!
//! # Asking instead
//!
//! [`Run::operations`](crate::Run::operations) tells the same of one run: the body that waits for
//! its next attempt (`kind` is `body`), with its attempts and last error; and of a `repeat!` the
//! last tick that ran, how it ended, and which ticks were skipped.
//!
//! ```
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn import(path: String) -> Result<u32> {
//!     anyhow::ensure!(!path.is_empty(), "no path given");
//!     Ok(1)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::open("sqlite::memory:").await?;
//! let run = forge.start("monday", import(String::new())).await?;
//! let body = loop {
//!     let operations = run.operations().await?;
//!     if let Some(body) = operations.into_iter().find(|operation| operation.kind == "body") {
//!         break body;
//!     }
//!     tokio::time::sleep(std::time::Duration::from_millis(5)).await;
//! };
//! assert_eq!(body.last_error.unwrap().1, "no path given");
//! assert!(body.wake_at.is_some()); // about a second after the first failure
//! # Ok(())
//! # }
//! ```
