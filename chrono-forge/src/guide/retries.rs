//! What fails, how often it is tried again, and what to do when that was not enough.
//!
//! # One policy everywhere
//!
//! A [`RetryPolicy`](crate::RetryPolicy) says how many attempts there are and how long to wait between
//! them. The delay doubles from `base` up to `cap`; with jitter, which is on, it is drawn from the upper
//! half of that, so that ten thousand runs that failed together do not come back together.
//!
//! | where | unless set |
//! |---|---|
//! | a step, the block of a branch, each tick of a `repeat!` and its `until` | 3 attempts, 1 s base, 30 s cap |
//! | the body of a workflow | 10 attempts, 1 s base, 600 s cap |
//! | the condition of a `wait_until!` | no retry |
//!
//! The call's own `retry = ..` counts first, then that of `#[workflow(retry = ..)]`, then the
//! default. So `#[workflow(retry = ..)]` sets the policy of the body **and** of each step, block
//! and tick in it that names none: with `RetryPolicy::none()` there, the step that undoes something
//! is tried once, too. A `wait_until!` looks at its own alone: an error of its condition ends the
//! wait, however long that may be, unless it says `retry = ..`. A base above the default's cap
//! raises it; a cap that is given holds. The instant of the next attempt is in the database: no
//! restart, wake-up or sibling brings it forward, and no worker is held until then.
//!
//! # Which errors
//!
//! A policy covers every failure unless it names some, by type or by a predicate. An ordered list gives
//! each its own answer: the first policy that covers a failure decides, with a budget of its own; what
//! no policy covers is not tried again.
//!
//! ```standalone_crate
//! use std::time::Duration;
//! use chrono_forge::prelude::*;
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("too many requests")]
//! struct RateLimited;
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the account is closed")]
//! struct Closed;
//!
//! async fn charge(attempt: usize) -> Result<String> {
//!     match attempt {
//!         0..3 => Err(RateLimited.into()),
//!         _ => Err(anyhow::Error::new(Closed).context("while charging")),
//!     }
//! }
//!
//! #[workflow]
//! async fn pay(calls: State<std::sync::atomic::AtomicUsize>) -> Result<String> {
//!     let brief = RetryPolicy::new().base(Duration::from_millis(1));
//!     let charged = step!(
//!         "charge",
//!         retry = [
//!             brief.clone().on::<RateLimited>().max_attempts(20),
//!             brief.on::<std::io::Error>(),
//!         ],
//!         charge(calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
//!     )
//!     .await;
//!     // Three attempts met the limit, the fourth an error that no policy covers.
//!     Ok(charged.unwrap_or_else(|error| format!("{}: {}", error.attempts, error.message)))
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let calls = std::sync::atomic::AtomicUsize::new(0);
//! # let forge = Forge::builder("sqlite::memory:").state(calls).open().await?;
//! # let paid = forge.start("p", pay()).await?.result().await?;
//! # assert_eq!(paid, "4: while charging: the account is closed");
//! # Ok(())
//! # }
//! ```
//!
//! Types are looked for in the whole chain of causes. A wrapper that is `#[error(transparent)]` hides the
//! type behind it from that chain: name the wrapper, or use `.when("name", |error| ..)`. A type that
//! covers an `anyhow` error lends it its name, in the error's row and in
//! [`StepError::class`](crate::StepError::class); without one the class is `anyhow::Error`, since
//! `anyhow` does not keep the name of the type. Budgets are kept with the row by these names, so
//! they survive restarts, pauses and a list in another order.
//!
//! # What counts as an attempt
//!
//! An execution that failed, by an error, a panic or its `timeout`. One that was interrupted by a
//! death or a shutdown does not. Each failed attempt is one error row: step, number, class, message
//! (64 KiB at most), backtrace (16 KiB) and the context as it was (64 KiB). Of the body's own
//! failures the budget is on the run's row; it begins anew when a pass records something new that
//! succeeded, so a run that gets further may fail often, and one that does not will end.
//!
//! # Giving up
//!
//! A step that gives up returns a [`StepError`](crate::StepError), recorded and the same on every replay.
//!
//! | the body | the run |
//! |---|---|
//! | catches it and goes on | goes on: that is compensation, see the example `saga` |
//! | ends in an error right after it, whatever the type or the wrapping | **stalled** at that step |
//! | ends in an error that carries it, after other outcomes | **failed**, since a replay would end the same |
//! | ends in another error | replays by the body's policy, then **failed** |
//! | breaks a rule (a [`DefinitionError`](crate::DefinitionError)) | **failed** at once; no policy covers it |
//! | asks for a stored value that this build cannot read | **stalled** at that value; a build that reads it goes on with `retry` (arguments, while nothing is recorded: left to other workers) |
//!
//! # Outcomes that are business
//!
//! What the code expects is not a failure. Make it the step's value:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Declined(String);
//!
//! async fn charge(cents: u64) -> Result<Result<String, Declined>> {
//!     Ok(if cents > 100 { Err(Declined("over the limit".into())) } else { Ok("receipt".into()) })
//! }
//!
//! #[workflow]
//! async fn pay(cents: u64) -> Result<String> {
//!     Ok(match step!(charge(cents)).await? {
//!         Ok(receipt) => receipt,
//!         Err(Declined(reason)) => reason,
//!     })
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("p", pay(500)).await?.result().await?, "over the limit");
//! # Ok(())
//! # }
//! ```
//!
//! # Recovery by hand
//!
//! [`Forge::retry`](crate::Forge::retry) sends a stalled or failed run on, with a fresh budget and fresh
//! deadlines; attempts are numbered on and no error row is lost. What it re-arms is the failed records at
//! the tail, those after the last success, or those that you name: after a compensation has run, the tail
//! is empty and the body would end as before.
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn order(carrier: State<AtomicBool>) -> Result<String> {
//!     step!("pay", { Ok(()) }).await?;
//!     let answers = carrier.load(Ordering::SeqCst);
//!     let shipped = step!("ship", retry = RetryPolicy::none(), {
//!         anyhow::ensure!(carrier.load(Ordering::SeqCst), "no carrier");
//!         Ok(())
//!     });
//!     shipped.await?;
//!     Ok(format!("shipped, {answers}"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let carrier = AtomicBool::new(false);
//! let forge = Forge::builder("sqlite::memory:").state(carrier).open().await?;
//! let run = forge.start("o1", order()).await?;
//! let error = run.result().await.unwrap_err();
//! assert!(error.to_string().contains("stalled at step$ship: no carrier"));
//!
//! // Still no carrier: it stalls again, as attempt number two.
//! let retried = forge.retry::<order>("o1").await?;
//! assert_eq!(retried.records, ["step$ship"]);
//! assert!(run.result().await.is_err());
//! // Every run that waits for the same remedy at once, in small transactions:
//! let stalled = RetryFilter::new().workflow(order::NAME).stalled_by("step$ship");
//! assert_eq!(forge.retry_all(stalled).await?, 1);
//! # assert!(run.result().await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! A retry is one transaction and refuses what is not failed or stalled; of several at the same time one
//! wins. A run whose worker is alive but hangs is taken away with [`Forge::unlock`](crate::Forge::unlock); what
//! is executing and since when, what waits and until when, [`Run::operations`](crate::Run::operations) tells.
//! A run that keeps killing its workers is set aside and then failed as poison; `retry` takes that back, and
//! [`Forge::reset_crashes`](crate::Forge::reset_crashes) clears a suspect before it comes to that.
//!
//! # When a dependency is down
//!
//! Ten thousand runs that fail at once wait in the database, each for an instant of its own, and come
//! back below the healthy runs: they take the slots of their queue that those leave, and where healthy runs fill
//! these, one returns beside thirty-two. So a storm takes longer instead of slowing the others down.
//!
//! A step that hangs before it fails takes more than its share: it holds a slot. Give steps that
//! may hang a `timeout`, and workflows that depend on one fragile service a queue of their own with
//! few slots: `builder.queue("default", 64).queue("fragile", 16)` (both: the first `.queue(..)`
//! takes the place of the default list) and `#[workflow(queue = "fragile")]`. And leave
//! `RUST_BACKTRACE` unset where errors are many: each `anyhow` error of each attempt then takes and
//! stores a backtrace.
