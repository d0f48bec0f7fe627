//! What is recorded when, what may run twice, what a crash costs.
//!
//! # The guarantee
//!
//! *A step whose result is recorded never runs again; a step cut off before that may run again, so
//! make outside effects idempotent.* Records are written exactly once; outside effects happen at least
//! once. Nothing more is promised.
//!
//! A step is cut off when its process dies, is declared dead, or shuts down and the grace is over.
//! Such an attempt is no failure: it consumes none of its `max_attempts`. Give effects a key that a
//! second execution repeats; the run's key and the step's make a good one:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! async fn charge(idempotency_key: &str, cents: u64) -> Result<String> {
//!     Ok(format!("{idempotency_key}: {cents}")) // the payment provider ignores a repeated key
//! }
//!
//! #[workflow]
//! async fn pay(cx: Context, cents: u64) -> Result<String> {
//!     Ok(step!("charge", charge(&format!("{}-charge", cx.key()), cents)).await?)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("p1", pay(5)).await?.result().await?, "p1-charge: 5");
//! # Ok(())
//! # }
//! ```
//!
//! # When is a thing durable?
//!
//! - `forge.start` and `forge.wake`: when they return.
//! - A step's result: before the next effect of its run starts. Effects are step bodies, conditions,
//!   dispatched children, and calls of `forge` inside a body.
//! - The context: with the step that wrote it; what the body itself wrote is said again by every replay.
//!   Destructors that run when an attempt is cut off (by its timeout, a race that it loses, a park) write as the
//!   attempt does, and what they write goes with it; what the body's own write when it parks is not kept.
//! - A run's output: before `result()` gives it.
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: what is acknowledged survives a power cut as far as
//! the disk keeps its word about syncing. Under load many runs share one commit.
//!
//! # Compensation
//!
//! A step that gives up is a value. Catch it and the body goes on:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! async fn reserve() -> Result<u32> { Ok(7) }
//! async fn ship(_reservation: u32) -> Result<()> { Err(std::io::Error::other("no carrier").into()) }
//! async fn release(_reservation: u32) -> Result<()> { Ok(()) }
//!
//! #[workflow(retry = RetryPolicy::none())]
//! async fn order() -> Result<String> {
//!     let reservation = step!(reserve()).await?;
//!     if let Err(error) = step!(ship(reservation)).await {
//!         step!(release(reservation)).await?;
//!         return Ok(format!("released: {}", error.message));
//!     }
//!     Ok("shipped".into())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("o", order()).await?.result().await?, "released: no carrier");
//! # Ok(())
//! # }
//! ```
//!
//! # Recovery by hand
//!
//! A run **stalls** when a step's failure ends its body, and **fails** when anything else does; then it
//! waits for a person, with its errors on record. Mend the cause, deploy, retry:
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use chrono_forge::prelude::*;
//! use chrono_forge::{RetryFilter, RunError};
//!
//! static BANK_IS_OPEN: AtomicBool = AtomicBool::new(false);
//!
//! async fn charge() -> Result<u32> {
//!     if !BANK_IS_OPEN.load(Ordering::Relaxed) {
//!         return Err(std::io::Error::other("the bank is closed").into());
//!     }
//!     Ok(7)
//! }
//!
//! #[workflow]
//! async fn order() -> Result<u32> {
//!     Ok(step!("charge", retry = RetryPolicy::none(), charge()).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::open("sqlite::memory:").await?;
//! let run = forge.start("o1", order()).await?;
//! assert!(matches!(run.result().await, Err(RunError::Stalled { .. })));
//!
//! BANK_IS_OPEN.store(true, Ordering::Relaxed);
//! let retried = forge.retry::<order>("o1").await?;
//! assert_eq!(retried.records, ["step$charge"]);
//! assert_eq!(run.result().await?, 7);
//!
//! // After an outage, all that it stopped:
//! let stopped = RetryFilter::new().workflow(order::NAME).stalled_by("step$charge");
//! assert_eq!(forge.retry_all(stopped).await?, 0);
//! # Ok(())
//! # }
//! ```
//!
//! What runs again are the failed records at the tail of the history, those after the last success, with
//! a whole budget and fresh deadlines; their attempts are numbered on. After a compensation there are
//! none, and the replay fails as before: name what is to run again,
//! `forge.retry::<order>("o1").records(["charge"])`.
//!
//! A run that *hangs* shows in [`Run::operations`](crate::Run::operations) since when its step executes;
//! [`Forge::unlock`](crate::Forge::unlock) takes it from the worker that it hangs on. A run that keeps
//! killing its workers is failed as poison; its retry begins to count anew.
//!
//! # Two processes, one file
//!
//! Any number of processes may open the same file; each holds a lock beside it, so that a killed one is
//! noticed within a fraction of a second and a hanging one after its lease. A process that was stopped
//! and continues finds its runs fenced: it writes nothing and starts nothing. One thing no fence can
//! help: a process that is stopped *inside* a write transaction keeps the file's write lock until it
//! continues or dies. Keep the file on a local disk: network file systems do not lock reliably.
