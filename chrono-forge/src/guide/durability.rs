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
//! # Two processes, one file
//!
//! Any number of processes may open the same file; each holds a lock beside it, so that a killed one is
//! noticed within a fraction of a second and a hanging one after its lease. A process that was stopped
//! and continues finds its runs fenced: it writes nothing and starts nothing. One thing no fence can
//! help: a process that is stopped *inside* a write transaction keeps the file's write lock until it
//! continues or dies. Keep the file on a local disk: network file systems do not lock reliably.
