//! Tests of one's own workflows: days in milliseconds, death at every commit. Enable the feature `testing` among
//! dev-dependencies.
//!
//! # A clock that skips
//!
//! [`ManualClock::skipping`](crate::testing::ManualClock::skipping) moves on by itself: whenever everything that can run
//! has run and somebody awaits a [`Run::result`](crate::Run::result), it goes to the next instant that a run waits for.
//! Waits of days, retries with their delays and a week of ticks are over at once, each at its own instant: no tick is
//! late, and none is lost.
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn reminder() -> Result<String> {
//!     wait!("three-days", days(3)).await;
//!     step!("remind", { Ok(()) }).await?;
//!     wait!("a-week", days(7)).await;
//!     Ok("ten days later".into())
//! }
//!
//! /// Is closed for the first two calls.
//! #[derive(Default)]
//! struct Bank(AtomicU32);
//!
//! impl Bank {
//!     async fn charge(&self) -> Result<u32> {
//!         let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
//!         anyhow::ensure!(call == 3, "closed");
//!         Ok(call)
//!     }
//! }
//!
//! #[workflow]
//! async fn payment(bank: State<Bank>) -> Result<u32> {
//!     let hourly = RetryPolicy::new().base(hours(1)).cap(hours(6));
//!     Ok(step!("charge", retry = hourly, bank.charge()).await?)
//! }
//!
//! #[workflow]
//! async fn nightly(cx: Context) -> Result<u32> {
//!     repeat!("night", every = calendar_days(1), until = { Ok(nights(&cx)? == 7) }, |tick| {
//!         println!("the night of {tick}");
//!         Ok(cx.set("nights", &(nights(&cx)? + 1))?)
//!     })
//!     .await?;
//!     nights(&cx)
//! }
//!
//! fn nights(cx: &Context) -> Result<u32> {
//!     Ok(cx.get("nights")?.unwrap_or(0))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let clock = ManualClock::skipping();
//! let begun = clock.now();
//! let forge = Forge::builder("sqlite::memory:")
//!     .clock(clock.clone())
//!     .state(Bank::default())
//!     .open()
//!     .await?;
//!
//! let run = forge.start("ada", reminder()).await?;
//! assert_eq!(run.result().await?, "ten days later");
//! assert_eq!(clock.now().duration_since(begun).as_hours(), 240);
//!
//! assert_eq!(forge.start("ada", payment()).await?.result().await?, 3);
//! assert_eq!(forge.start("ada", nightly()).await?.result().await?, 7);
//! # Ok(())
//! # }
//! ```
//!
//! Before a result is awaited, and after it has come, time stands. A result that nothing will bring (its run waits for a
//! wake-up that nobody gives) is waited for without end, as in life.
//!
//! # By hand
//!
//! To look at a run between two instants, move the clock yourself. [`Forge::settled`](crate::Forge::settled) waits until
//! everything that can run has run: no run is due or held by a worker, and what they did is written. Move the clock only
//! then: a run that is still on its way to a wait begins it after the move, and ticks that fall due together are late.
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use chrono_forge::prelude::*;
//!
//! #[derive(Clone, Default)]
//! struct Desk(std::sync::Arc<AtomicBool>);
//!
//! impl Desk {
//!     async fn is_approved(&self) -> Result<bool> {
//!         Ok(self.0.load(Ordering::SeqCst))
//!     }
//! }
//!
//! #[workflow]
//! async fn expense(desk: State<Desk>) -> Result<String> {
//!     let in_time = tokio::select! {
//!         approved = continue_if!("approved", desk.is_approved()) => { approved?; true }
//!         () = wait!("deadline", days(14)) => false,
//!     };
//!     if !in_time {
//!         return Ok("too late".into());
//!     }
//!     wait!("payday", days(3)).await;
//!     Ok("paid".into())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let (clock, desk) = (ManualClock::new(), Desk::default());
//! let forge = Forge::builder("sqlite::memory:")
//!     .clock(clock.clone())
//!     .state(desk.clone())
//!     .open()
//!     .await?;
//! let (ada, bob) = (forge.start("ada", expense()).await?, forge.start("bob", expense()).await?);
//! forge.settled().await?;
//! assert_eq!(ada.state().await?, RunState::Idle); // parked, at its condition
//!
//! clock.advance(days(13));
//! desk.0.store(true, Ordering::SeqCst);
//! forge.wake::<expense>("ada").await?;
//! forge.settled().await?;
//! desk.0.store(false, Ordering::SeqCst); // bob's is asked for once more, at its deadline
//!
//! assert!(clock.advance_to_next().await); // bob's deadline
//! assert_eq!(bob.result().await?, "too late");
//! assert!(clock.advance_to_next().await); // ada's payday
//! assert_eq!(ada.result().await?, "paid");
//! assert!(!clock.advance_to_next().await, "no run waits for an instant");
//! # Ok(())
//! # }
//! ```
//!
//! - [`advance_to_next`](crate::testing::ManualClock::advance_to_next) goes to the next instant that a run waits for (the
//!   end of a wait, a retry, a tick, a deadline) once everything has settled, and says whether there was one. A step that
//!   failed is tried again there: with a clock that stands its retry does not come by itself.
//! - [`advance_through`](crate::testing::ManualClock::advance_through) lets a span pass, one such instant after the other:
//!   `clock.advance_through(days(7)).await` is seven nights of a nightly task.
//! - [`advance`](crate::testing::ManualClock::advance) and [`set`](crate::testing::ManualClock::set) go there in one step,
//!   as a process finds itself that slept so long.
//!
//! A test that looks at a state afterwards gives it in an `Arc` and keeps a clone: with
//! `.state(mailer.clone())` workflows that take `State<Mailer>` get it.
//!
//! A step's `timeout` is the clock's, too: a step that never ends is cut off by `clock.advance(..)`
//! beyond it, and nothing skips there by itself, since a clock waits for what executes. Each
//! instant costs a replay, some milliseconds in a debug build: an hour of a poll every five seconds
//! is 720 of them, so give a test a longer `every`. A step that needs the time asks
//! [`cx.now()`](crate::Context::now), which is the clock's; a fake that takes three seconds says
//! `clock.advance(Duration::from_secs(3))` itself, since a clock does not move while a step
//! executes. A step's own timers (`tokio::time::sleep`, a client's timeout) run in real time, and
//! so does the lease of a worker. Leave tokio's clock alone: under `#[tokio::test(start_paused =
//! true)]` it skips whatever sleeps while a write is on its way, so `open` refuses a worker there.
//!
//! If nothing happens, the workflow's queue is not served: [`settled`](crate::Forge::settled) waits
//! for what this process serves, and `forge.unserved(10)` names the rest.
//! `tracing_subscriber::fmt().with_test_writer().init()` shows in a test what the engine says of
//! that, and of everything else.
//!
//! # Only what a test needs
//!
//! Every linked workflow is served, and each asks for its states. [`Builder::serving`](crate::Builder::serving) serves one
//! workflow and what it spawns, in their queues, and leaves out what takes a state that the test does not have.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! struct Mailer; // needs an account, a network, ..
//!
//! #[workflow]
//! async fn mail(_mailer: State<Mailer>, _to: String) -> Result<()> {
//!     Ok(())
//! }
//!
//! #[workflow(queue = "numbers")]
//! async fn square(n: u32) -> Result<u32> {
//!     Ok(n * n)
//! }
//!
//! #[workflow]
//! async fn sum() -> Result<u32> {
//!     let squares = branch!("squares", automerge = true, { spawn_each!("n", 1..=3u32, |n| square(n)) });
//!     Ok(squares.await?.fold(0, |sum, n| sum + n).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::builder("sqlite::memory:").serving::<sum>().open().await?;
//! assert_eq!(forge.start("s", sum()).await?.result().await?, 14);
//! # assert!(forge.start("m", mail("ada".into())).await.unwrap_err().to_string().contains("Mailer"));
//! # Ok(())
//! # }
//! ```
//!
//! An engine lives on the runtime that it was opened on, and each `#[tokio::test]` has one of its own: open a `Forge` in
//! each test, over `sqlite::memory:` or a file of its own. One that outlives its runtime, in a `OnceCell` say, answers
//! each call with [`Error::RuntimeGone`](crate::Error::RuntimeGone).
//!
//! # Death
//!
//! Failpoints make the engine die in this process, before or after the n-th commit, or around a
//! step's body; `Builder::commit_batch_max(1)` makes each write a commit of its own, so that a
//! sweep over n meets every one of them: it is through once the run's result comes before the death
//! (`tokio::select! { () = forge.crashed() => .., result = run.result() => .. }`; a failpoint that
//! is never reached is waited for without end). A new `Forge` on the same file takes over at once;
//! on PostgreSQL once the lease of the dead one is over (`Builder::lease`, 10 s).
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
