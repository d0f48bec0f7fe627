//! What is recorded when, what may run twice, what a crash costs.
//!
//! # The guarantee
//!
//! *A step whose result is recorded never runs again; a step cut off before that may run again, so
//! make outside effects idempotent.* Records are written exactly once; outside effects happen at least
//! once. Nothing more is promised.
//!
//! A step is interrupted when its process dies, is declared dead, or shuts down and the grace is
//! over. A worker that cannot reach the database begins no step any more, but interrupts none: what
//! has ended meanwhile is recorded unless another worker has taken the run over. Then, and after a
//! process was suspended, both may have executed the step at the same time. Such an attempt is no
//! failure: it consumes none of its `max_attempts`. Give effects a key that a second execution
//! repeats, and that no other effect has. A run's key belongs to its workflow, so the workflow, the
//! run's key and the step's make a good one:
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
//!     Ok(step!("charge", charge(&format!("{}/{}/charge", cx.workflow(), cx.key()), cents)).await?)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("p1", pay(5)).await?.result().await?, "pay/p1/charge: 5");
//! # Ok(())
//! # }
//! ```
//!
//! A child's key begins with its parent's; only if parents of two workflows have one key do their
//! children, too. Where that may be, hand the child an id as an argument.
//!
//! These make a body of a step execute more than once:
//!
//! - it was interrupted (above), or dropped by a race that it lost, and the body comes to it again;
//! - it failed, or ran past its timeout, and its policy tries it again: that it failed does not say
//!   that it had no effect;
//! - its context's update met another one ([`ContextError`](crate::ContextError)): the attempt
//!   fails although its effect has happened. Write the context in a step of its own, not beside a
//!   charge;
//! - its result cannot be stored (4 MiB at most, and see [`determinism`](super::determinism)): the
//!   run fails after the effect, and a `retry` repeats it;
//! - somebody asks for it: [`Forge::unlock`](crate::Forge::unlock) takes the run from a step that
//!   may still be at work, [`Forge::retry`](crate::Forge::retry) repeats what failed;
//! - the database forgot the record: a backup was restored, a replica without the last transactions
//!   took over, or the power went with `synchronous=normal`.
//!
//! A row that a step writes is an outside effect, too, even in the same database: the step's record
//! is another transaction.
//!
//! # Steps must not block their thread
//!
//! A step body is polled by the runtime that the engine was opened on, as any future is. One that computes for long, or
//! that calls a function which blocks, keeps a thread of it, and with that the steps of other runs. The worker stays
//! alive all the same, since its lease is renewed elsewhere, and the step is executed once; but a poll that lasts longer
//! than a heartbeat is warned of once with the step's name, and a runtime that polls nothing for a lease is an error in
//! the log, and in the column `stuck` of the worker's row for as long as it lasts. Give such work a thread of its own:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! fn digest(text: &str) -> u64 { text.bytes().map(u64::from).sum() } // imagine minutes
//!
//! #[workflow]
//! async fn index(text: String) -> Result<u64> {
//!     Ok(step!("digest", {
//!         let text = text.clone();
//!         Ok(tokio::task::spawn_blocking(move || digest(&text)).await?)
//!     })
//!     .await?)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("i", index("a".into())).await?.result().await?, 97);
//! # Ok(())
//! # }
//! ```
//!
//! What runs in `spawn_blocking` cannot be cut off: past a step's timeout, or after the run was taken away, it goes on.
//!
//! # When is a thing durable?
//!
//! - `forge.start` and `forge.wake`: when they return.
//! - A step's result: before the next effect of its run starts. Effects are step bodies, conditions,
//!   dispatched children, and calls of `forge` inside a body.
//! - The context: with the step that wrote it; what the body itself wrote is said again by every
//!   replay. One rule says what counts: the writes of the attempt whose outcome the body receives,
//!   be it a value or the failure with which the step gives up, and those of a tick that is over.
//!   An attempt that will be tried again, a tick that gives up and a condition that was false, even
//!   at its deadline, leave nothing. Of two operations beside each other that
//!   [`Context::update`](crate::Context::update) one entry, the later one to end fails, effect and
//!   all, and is tried again; it writes nothing if it is not. What a block or a repeat has written
//!   is the context's once that is over: until then an update of the same entry beside it fails.
//!   Destructors that run when an attempt is dropped (by its timeout, a race that it loses, a park)
//!   write as the attempt does, and what they write goes with it; what destructors of the body
//!   write when it parks is not kept.
//! - A run's output: before `result()` gives it.
//!
//! # Starting a run twice
//!
//! A run is started once: whoever starts its key again gets the run that exists, so a webhook or a job that comes
//! twice does its work once. [`Run::is_new`](crate::Run::is_new) tells which of them it was. A run keeps the
//! arguments that it was started with, since what it has recorded came of them. That the second start had others
//! (compared as values) is a warning in the log, and told by
//! [`Run::has_other_arguments`](crate::Run::has_other_arguments). An argument that was wrong can be mended as long
//! as nothing is recorded but the failure that it led to; otherwise, start another run under a new key.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//! use chrono_forge::RunError;
//!
//! async fn load(path: &str) -> Result<usize> {
//!     anyhow::ensure!(path.ends_with(".csv"), "no file {path}");
//!     Ok(path.len())
//! }
//!
//! #[workflow]
//! async fn import(path: String) -> Result<usize> {
//!     Ok(step!("load", retry = RetryPolicy::none(), load(&path)).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::open("sqlite::memory:").await?;
//! let run = forge.start("monday", import("monday.cvs".into())).await?;
//! assert!(run.is_new());
//! assert!(matches!(run.result().await, Err(RunError::Stalled { .. })));
//!
//! let run = forge.start("monday", import("monday.csv".into())).await?;
//! assert!(!run.is_new() && run.has_other_arguments());
//! forge.retry::<import>("monday").arguments(import("monday.csv".into())).await?;
//! assert_eq!(run.result().await?, 10);
//! # Ok(())
//! # }
//! ```
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: what is acknowledged survives a power cut as far as
//! the disk keeps its word about syncing. Under load many runs share one commit.
//!
//! While it is open, a database has a write-ahead log beside it (`orders.db-wal`) that belongs to
//! it. A worker that shuts down moves the log into the file, and so does one that has written
//! nothing but heartbeats between two of them. Beyond 64 MiB
//! ([`Builder::wal_bytes_max`](crate::Builder::wal_bytes_max)) the log is truncated as soon as
//! nobody reads it. What a reader has kept in it for long is moved into the file beside the work,
//! so neither runs nor heartbeats wait for it. The log grows meanwhile by what is written.
//!
//! `sqlite://orders.db?synchronous=normal` asks for less, and a single run's steps are no longer
//! bound by the disk's syncs: what is acknowledged survives the end of the process (a crash, `kill
//! -9`, a deploy), but a power cut or a crash of the operating system may take the last commits
//! with it, and then their steps run again. It never takes a part of one.
//!
//! # Backups
//!
//! `cp` may miss what is in the log, or catch the file in the midst of a change. Ask the engine, in
//! any process that has the database open:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn order() -> Result<u32> { Ok(7) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let directory = std::env::temp_dir().join(format!("backups-{}", std::process::id()));
//! std::fs::create_dir_all(&directory)?;
//! let url = format!("sqlite://{}", directory.join("orders.db").display());
//! let forge = Forge::open(&url).await?;
//! forge.start("o1", order()).await?;
//!
//! let copy = directory.join("orders-monday.db");
//! forge
//!     .backup(&copy)
//!     .progress(|p| println!("{} of {} pages", p.pages_done, p.pages_total))
//!     .await?;
//!
//! let restored = Forge::open(&format!("sqlite://{}", copy.display())).await?;
//! let run = restored.get::<order>("o1").await?.expect("it was started before");
//! assert_eq!(run.result().await?, 7);
//! # restored.shutdown().await;
//! # forge.shutdown().await;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! The copy is of one moment and holds everything that was acknowledged before. Nobody waits for
//! it; the write-ahead log grows by what is written meanwhile and is truncated afterwards, so leave
//! room for both. It replaces no file, and has its name only once it is whole and synced; a process
//! that was killed on the way leaves a `.partial-..` file that can be deleted.
//!
//! To restore it, stop every process, move the old file away together with its `-wal` and `-shm`,
//! and put the copy in its place. Its runs go on from their records: a step whose result came after
//! the backup executes again, so what the outside world was told since then, it is told once more.
//! The copy may also be opened where it is, beside the original; then both execute.
//!
//! A PostgreSQL database is backed up as any other (`pg_dump`, `pg_basebackup`);
//! [`Forge::export`](crate::Forge::export) writes the runs of either kind to a file of lines.
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
//! #[workflow]
//! async fn order() -> Result<String> {
//!     let reservation = step!(reserve()).await?;
//!     if let Err(error) = step!(retry = RetryPolicy::none(), ship(reservation)).await {
//!         step!(retry = RetryPolicy::new().unlimited(), release(reservation)).await?;
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
//! To end the run as failed once all is undone, return the step's own error (`return
//! Err(error.into())`, with more context if you like): the engine sees that a replay would end the
//! same. Another error is taken for one that may pass, and the body is tried again for minutes.
//!
//! # Waiting for the outside
//!
//! A wake carries no value. Whoever receives a webhook stores what it says where the workflow's
//! condition looks for it, and wakes the run then, in this order. `continue_if!` asks its condition
//! when the body comes to it, so what was stored before is not missed; a wake of a run that
//! executes makes it ask once more before it parks. A wake of a run that has ended does nothing;
//! that there is none of this key is an error, so a webhook may come before its run: let it start
//! the run. See the example `approval`.
//!
//! A run is not cancelled from outside. One that may have to end early lets its work race a
//! `continue_if!` in a `select!`; store the wish, and wake it.
//!
//! # Recovery by hand
//!
//! A run **stalls** when its body ends in an error right after a step gave up, or comes to a value
//! that this build cannot read. It **fails** when the body ends in a step's error after other
//! outcomes, breaks a rule, or has used up its own attempts (all of it in a table:
//! [`retries`](super::retries)). Then it waits for a person, with its errors on record. Mend the
//! cause, deploy, retry:
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use chrono_forge::prelude::*;
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
//! A run that waits for a child which stalled or failed, at any depth, does not settle. Its
//! [`result`](crate::Run::result) ends in [`RunError::Blocked`](crate::RunError::Blocked), which names the child;
//! after the child's `retry` the run goes on, and another `result()` waits for its output. See
//! [`fan_out`](super::fan_out).
//!
//! A run that *hangs* shows in [`Run::operations`](crate::Run::operations) since when its step
//! executes; [`Forge::unlock`](crate::Forge::unlock) takes it from the worker that it hangs on, and
//! the step executes again, whether or not the first is still at work. A run that keeps killing its
//! workers is failed as poison: deaths of workers that held it are counted, from the second one on
//! it executes in quarantine, and with the fifth death there, the seventh of all, it fails, if it
//! executed alone then. Whatever it records sets the count back to none, and so do a `retry` and
//! [`Forge::reset_crashes`](crate::Forge::reset_crashes). A shutdown (Ctrl-C with
//! [`Forge::serve`](crate::Forge::serve)) is no death; `kill -9` is: a step of an hour on machines
//! that are taken away after minutes is cut into shorter ones, each of which is recorded. In
//! quarantine a run executes beside few others that are suspected like it: the runs that died
//! together are tried again half of them at a time, so that the one that kills is found, and two
//! power failures do not cost the others their places.
//!
//! # Two processes, one file
//!
//! Any number of processes may open the same file; each holds a lock beside it, so that a killed one is
//! noticed within a fraction of a second. One that hangs or is stopped lives, which its lock proves: what it
//! holds stays with it, the others warn of it once it is silent for its lease, and when it is ended its runs
//! go on elsewhere at once. A process that is stopped *inside* a write transaction keeps the file's write lock
//! until it continues or dies. Keep the file on a local disk: network file systems do not lock reliably. Where a
//! file system grants every lock, the engine says so and goes by leases alone.
//!
//! What one process starts, wakes or retries the others hear of within 50 ms, whatever their [poll
//! interval](crate::Builder::poll_interval), and so does whoever waits there for a result. On Linux
//! the kernel tells them that somebody writes, so that an idle process sleeps; elsewhere each looks
//! every 30 ms. Beside one that writes all the time they look for due runs ten times a second.
//!
//! Leave the file alone while it is open. An engine whose file, or whose log beside it (`-wal`), was renamed over, removed or cut
//! short, or had a copy written over it, stops before it acknowledges anything more: every call, also one that waits for
//! a result, gets an [`Error::Store`](crate::Error::Store) of the kind
//! [`StoreErrorKind::Replaced`](crate::StoreErrorKind::Replaced) that names the file. What it cannot see is a copy of the file's own bytes,
//! made without its log, that has the same length. A small file, and one up to 256 MiB that was not closed by who used it last, is looked through when it is
//! opened, and refused by name if it is malformed.
//!
//! # Reading the tables
//!
//! The tables are ordinary ones, and short reads disturb nobody; change nothing there. Nothing is
//! deleted by itself, and a key that was used stays used. Arguments, results, context and errors
//! are plain JSON and text: store a token, not the card. Of a run's records
//! (`chrono_forge_execution_logs`) `seq` tells in which order the body received them. `id` does not:
//! a row that waits or is tried again is inserted before its outcome is known.
