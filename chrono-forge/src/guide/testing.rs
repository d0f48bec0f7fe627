//! Days in milliseconds, death at every commit. Enable the feature `testing` among dev-dependencies.
//!
//! # A clock that is moved by hand
//!
//! ```standalone_crate
//! use std::sync::Arc;
//! use chrono_forge::RunState;
//! use chrono_forge::prelude::*;
//! use chrono_forge::testing::ManualClock;
//!
//! #[workflow]
//! async fn reminder() -> Result<String> {
//!     wait!("three-days", days(3)).await;
//!     Ok("time is up".into())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let clock = ManualClock::new();
//! let forge = Forge::builder("sqlite::memory:").clock(Arc::new(clock.clone())).open().await?;
//! let run = forge.start("r", reminder()).await?;
//! while run.state().await? != RunState::Idle { /* until it is parked */ }
//! clock.advance(days(3));
//! assert_eq!(run.result().await?, "time is up");
//! # Ok(())
//! # }
//! ```
//!
//! An engine lives on the runtime that it was opened on, and each `#[tokio::test]` has one of its own: open a `Forge` in
//! each test, over `sqlite::memory:` or a file of its own. One that outlives its runtime, in a `OnceCell` say, answers
//! with [`Error::RuntimeGone`](crate::Error::RuntimeGone).
//!
//! # Death
//!
//! Failpoints make the engine die in this process, before or after the n-th commit, or around a step's
//! body; `Builder::commit_batch_max(1)` makes each write a commit of its own, so that a sweep over n
//! meets every one of them. A new `Forge` on the same file takes over at once.
//!
//! ```standalone_crate
//! use std::sync::Arc;
//! use chrono_forge::prelude::*;
//! use chrono_forge::testing::Failpoints;
//!
//! #[workflow]
//! async fn two_steps() -> Result<u32> {
//!     Ok(step!("one", { Ok(1) }).await? + step!("two", { Ok(2) }).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let directory = std::env::temp_dir().join(format!("chrono-forge-guide-{}", std::process::id()));
//! std::fs::create_dir_all(&directory)?;
//! let url = format!("sqlite://{}", directory.join("guide.db").display());
//! let failpoints = Arc::new(Failpoints::default());
//! failpoints.arm("step.before.two", 1);
//! let forge = Forge::builder(&url).failpoints(failpoints).commit_batch_max(1).open().await?;
//! forge.start("t", two_steps()).await?;
//! forge.crashed().await;
//!
//! let forge = Forge::open(&url).await?;
//! let run = forge.get::<two_steps>("t").await?.expect("its row is there");
//! assert_eq!(run.result().await?, 3);
//! # forge.shutdown().await;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! For real processes, `CHRONO_FORGE_FAILPOINTS=commit.after=7` aborts the process there.
