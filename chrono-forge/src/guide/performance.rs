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
//! - So do starts: a thousand `forge.start(..).await` one after the other are a thousand commits, in a `join_all` a
//!   few. [`Forge::start_all`](crate::Forge::start_all) takes an iterator and writes 1,000 runs in a transaction.
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
//! Of the 23 us of processor time that a child of 100,000 takes (bare SQL: 8), a profile shows these parts:
//!
//! | part | share |
//! |---|---|
//! | SQLite: rows and indexes | 28 % |
//! | SQLite: binding values, the log, checkpoints | 12 % |
//! | Diesel: statement text, binds, rows | 10 % |
//! | the commit thread beside these: folding, rows to values | 6 % |
//! | polling bodies: operations, order, encoding | 18 % |
//! | telling passes that they are durable | 7 % |
//! | dispatch, claims, the begin and the end of a pass | 19 % |
//!
//! Shares vary by a few hundredths. The first four are one thread, which is busy nine tenths of the
//! time; the others run beside it. A child takes some 31 allocations, 6 of them SQLite's. What was
//! tried and left out, since it gained nothing: longer statements than 64 rows, JSON arrays in
//! place of rows of values (they cost more), and a dispatch that waits until all of its children
//! can be claimed.
//!
//! # What to change
//!
//! - **Slots.** A queue that a worker serves executes 64 runs at once unless it is told otherwise;
//!   the queue `default` is served unasked. The first `.queue(..)` takes its place, so name it
//!   along with others: `builder.queue("default", 64).queue("mail", 8)`. Slots bound what runs at
//!   once in a process, not how much a second: for "50 a second" put a limiter (as of the crate
//!   `governor`) into a state, and await it in the step. Bodies that wait for a network want more,
//!   bodies that compute want as many as there are cores.
//! - **Blocking.** A step that blocks its thread delays whatever else that thread would poll; give it
//!   `tokio::task::spawn_blocking` (see [durability](super::durability)).
//! - **Batches.** `spawn_each!(.., of = ..)`, 1,000 unless told. Others wait while a batch is written, some
//!   milliseconds each, and a batch of large arguments is in memory as a whole: choose fewer of these.
//! - **Small items.** A child costs 20 to 30 us of processor time in a release build; where an
//!   item takes less than that, give a child some hundreds of them: a `Vec` as its argument, and
//!   `items.chunks(500)` or a page of a table as its source.
//! - **Values.** Arguments, results and context are written once and read by every replay; up to 4 KiB with their
//!   record, beyond that when they are delivered. A path or a key in a record is better than the file.
//! - **Histories.** A replay reads all records of its run: 4 us each. Child workflows keep histories apart, and
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
//!   future and its book-keeping, a few KiB; up to 4,000 are claimed ahead of the slots where they end quickly,
//!   no more than about 32 MiB of arguments, and what waits for more than a second while all slots are busy is left to other workers.
//!
//! What does: a replay with its run's records; the order of completion with eight bytes a child; and the file.
//!
//! # Where it ends
//!
//! SQLite has one writer at a time. All of a process's commits come from one thread, and that thread is the
//! limit of a fan-out. A second process on the same file has to wait for the same lock: it can execute bodies
//! beside the first, but not write beside it.
