//! What a run costs, where the time goes, and what to change.
//!
//! # The floor
//!
//! Each figure of the README stands beside its *floor*: the same rows, written by hand-prepared SQL on the
//! same schema and as durably, without an engine. Where the two are close, only a faster disk or fewer rows
//! help. `bench/report` measures all of it on your machine.
//!
//! # Commits
//!
//! A commit waits for the disk; everything else is arithmetic. All passes of a process write through one
//! queue, which takes whatever waits into one transaction. So what counts is not how many steps there are but
//! how many of them wait for each other:
//!
//! - An idle engine needs two commits from `start` to a result: the run's row, then its step and its end
//!   together. That is its latency.
//! - A thousand steps one after the other are a thousand commits, for each effect begins only once
//!   everything before it is durable.
//! - Steps that run beside each other, in one run or in many, share commits.
//!
//! So where order does not matter, say so:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! async fn price(part: u64) -> Result<u64> {
//!     Ok(part * 10)
//! }
//!
//! #[workflow]
//! async fn quote() -> Result<u64> {
//!     let (frame, wheels, paint) = tokio::try_join!(
//!         step!("frame", price(1)),
//!         step!("wheels", price(2)),
//!         step!("paint", price(3)),
//!     )?;
//!     Ok(frame + wheels + paint)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("q", quote()).await?.result().await?, 60);
//! # Ok(())
//! # }
//! ```
//!
//! # A child of a fan-out
//!
//! A child of one step is two rows and three entries of indexes (its key, its parent, its record's name), and
//! one of the rows is written a second time when it completes. A child that is inserted already claimed,
//! as most are while its worker keeps up, never enters the index of what is due. Children are inserted by 64
//! in a statement and by `of` in a transaction; their ends meet in transactions of up to a thousand plans.
//!
//! @SHARES@
//!
//! # What to change
//!
//! - **Slots.** A queue executes 64 runs at once unless it is told otherwise. Bodies that wait for a network want more,
//!   bodies that compute want as many as there are cores.
//! - **Batches.** `spawn_each!(.., of = ..)`: 1,000 is where larger ones gained nothing. Other runs wait while a
//!   batch is written, so a smaller one costs the fan-out a little and gives them their turn earlier.
//! - **Values.** Arguments, results and context are written once and read by every replay; up to 4 KiB with their
//!   record, beyond that when they are delivered. A path or a key in a record is better than the file.
//! - **Histories.** A replay reads all records of its run: @REPLAY@. Child workflows keep histories apart, and
//!   `repeat!` leaves its ticks out of them.
//! - **Waiting together.** A parent of a million children is not replayed while it waits, and no query is made for a
//!   child. Reading results is a query a page; `fold` and `outputs` hold one page.
//! - **Backtraces.** With `RUST_BACKTRACE=1` every failed attempt captures one. Under a storm of failures that costs several times what
//!   the attempts do; leave it off and use messages.
//! - **The disk.** Latency is its. A database in memory (`sqlite::memory:`) tells how much, and a network file
//!   system is none to put SQLite on.
//!
//! # What does not grow
//!
//! - A claim, with a million runs asleep beside it or half a million due ones that no worker here serves: it
//!   looks into ranges of an index, as many for a hundred as for a million.
//! - A transaction of a fan-out, with the children that are there already.
//! - Memory, with children, runs and finished work. What grows with concurrency: a run that executes holds its
//!   future and its book-keeping, a few KiB; up to 4,000 are claimed ahead of the slots where they end quickly.
//!
//! What does: a replay with its run's records; the order of completion with eight bytes a child; and the file.
//!
//! # Where it ends
//!
//! SQLite has one writer. All of a process's commits come from one thread, and that thread is the limit of a
//! fan-out: a second process on the same file adds its hands for the bodies, not for the rows.
