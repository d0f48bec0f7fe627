//! What a body may do between its operations.
//!
//! The body runs again from its top on every pass: after a wait, a crash, a deploy. Its operations are
//! answered from their records, in the order in which they were first received. Everything between
//! them simply runs again, so it must come to the same operations.
//!
//! # Put what varies into steps
//!
//! The clock, randomness, the environment, anything read from outside: a step records it once.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn lottery() -> Result<u64> {
//!     let seed = step!("seed", { Ok(std::process::id() as u64) }).await?; // recorded: the same for ever
//!     Ok(seed % 6 + 1)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # let rolled = forge.start("l", lottery()).await?.result().await?;
//! # assert!((1..=6).contains(&rolled));
//! # Ok(())
//! # }
//! ```
//!
//! # Keys are names, not positions
//!
//! Operations are found by key. Steps may be inserted, removed and reordered under runs in flight;
//! a renamed step is a new one, and so its effect happens again. An inserted step also executes in
//! a run that was past its place when it was deployed.
//!
//! Where no key is written, the name of the called function is the key, and a workflow is stored
//! under the name of its function. So renaming either in Rust renames what is stored: give payments
//! keys of their own (`step!("charge", ..)`), and keep a renamed workflow's old name with
//! `#[workflow(name = "..")]`; otherwise its runs wait for a worker that knows them.
//!
//! One key is one operation: in a loop, put what differs into the key. A key may stand in both arms
//! of one `if .. else ..`. In two separate `if`s it may not, even if their conditions exclude each
//! other: that the macro cannot know.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn squares(n: u64) -> Result<u64> {
//!     let mut sum = 0;
//!     for i in 0..n {
//!         sum += step!("square-{i}", { Ok(i * i) }).await?;
//!     }
//!     Ok(sum)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("s", squares(4)).await?.result().await?, 14);
//! # Ok(())
//! # }
//! ```
//!
//! # What may be a key
//!
//! A key says which operation, run or entry is meant, on every replay. Each kind has one limit, on
//! every database, and it is checked before anything happens under the key:
//!
//! | key of | at most | may not contain |
//! |---|---|---|
//! | a run that is started | 512 bytes | `$` |
//! | an operation (`step!`, `wait!`, `wait_until!`, `continue_if!`, `repeat!`) | 64 KiB | `$` |
//! | a branch | 64 KiB | `$`, `,` |
//! | a child: its parent's key, its branch, its spawn and its item | 8 KiB | in the name of the spawn: `$` |
//! | an entry of the context | 1 KiB | |
//! | a queue | 512 bytes | |
//!
//! None may be empty or blank, or contain the null character. A call answers
//! [`Error::BadKey`](crate::Error::BadKey), a write to the context
//! [`ContextError::BadKey`](crate::ContextError::BadKey), and a body fails with
//! [`DefinitionError::BadKey`](crate::DefinitionError::BadKey) or
//! [`DefinitionError::ChildKeyTooLong`](crate::DefinitionError::ChildKeyTooLong). A literal key is
//! refused by the compiler, where it is written. A `merge!` may join any number of branches.
//!
//! A record is found by its kind and key (`step$charge`). Where these are longer than 1,000 bytes,
//! its row is named by their SHA-256 (`step$#5db1..`), since no index holds more everywhere;
//! [`Run::operations`](crate::Run::operations) tells the key all the same, and
//! `retry().records([key])` takes it.
//!
//! # Concurrency replays exactly
//!
//! `join!`, `try_join!`, `select!`, `FuturesUnordered` over durable operations behave the same on
//! every replay: outcomes are delivered one per poll, in their recorded order. Two things lie
//! outside of it. Code before an arm's first operation, and arms without durable operations, run in
//! the order that the macro picks, so write `biased;` in a `select!` where that matters. And a
//! future that the engine does not know (a channel, a raw sleep, a client's future) is not durable.
//! While the run waits for nothing durable, the engine goes on polling that future, and the run
//! keeps its slot. Once it also waits for something durable (a `wait!`, say), the future is dropped
//! after a second without durable progress, and the next replay makes it anew. Wrap it in a step.
//!
//! As in any Rust, a future that is not polled does not go on. A step that lost a `select!` and is
//! kept (`&mut step`) keeps what it holds: if it has locked a mutex that a step after the `select!`
//! asks for, both wait for ever, and the run keeps its slot. Hold no lock across an `.await` that
//! two steps share, or poll both in a `join!`.
//!
//! # Values
//!
//! The body always receives what was decoded from the stored JSON, on the first pass too. Floats
//! come back bit by bit, integers of any width, and an entry of the context whose value is `null`
//! is an entry. What JSON cannot tell apart is refused at once, and the error names the type:
//! `Some` around what is written `null` (`Some(None)`, `Some(())`: use an enum that names the
//! cases), NaN and the infinities wherever they stand, a map whose keys are neither strings nor
//! plain numbers, characters, truths or unit variants, more than about 126 levels within each
//! other, a type whose two serde directions disagree. Behind `#[serde(tag)]`, `untagged` and
//! `flatten` serde itself reads no integer beyond 64 bits and no number as a map's key: such a
//! value is refused, too. [`Context::set`](crate::Context::set), which does not know as what an
//! entry will be read, tells that when it is. For bytes use `serde_bytes` or base64. Arguments and
//! results are 4 MiB at most, an entry of the context 16 KiB, all entries of a run 1 MiB, unless
//! [`Builder`](crate::Builder) is told otherwise.
//!
//! Some things come back as another value, and the body sees that one from the first pass on: a
//! field with `#[serde(skip)]` has its default, a value of an `#[serde(untagged)]` enum is the
//! first variant that its text fits, an `Option` under `#[serde(flatten)]` is `Some` where its
//! fields may all be absent, and a `HashMap` or a `HashSet` has another order. Raw JSON in the
//! token of a source may lose whitespace.
//!
//! The text of an error ([`StepError::message`](crate::StepError), its row) is cut at 64 KiB, and
//! the null character in it is replaced by U+FFFD, before the body sees it. Its class, the name of
//! a type, is cut at 1 KiB.
