//! Tasks on a schedule: grids, zones, catching up, ending.
//!
//! `repeat!` runs a body at each tick of a schedule until a condition holds. It is an operation like any
//! other: it stands in a workflow, survives restarts and deploys, holds no worker between ticks, and ends.
//!
//! ```standalone_crate
//! use chrono_forge::jiff::Timestamp;
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn dunning(cx: Context) -> Result<u32> {
//!     repeat!(
//!         "reminder",
//!         every = calendar_days(7),
//!         zone = "Europe/Berlin",
//!         until = { Ok(cx.get::<u32>("sent")?.unwrap_or(0) == 3) },
//!         |tick| {
//!             send(cx.key(), tick).await?;
//!             cx.update("sent", |sent: Option<u32>| sent.unwrap_or(0) + 1)?;
//!             Ok(())
//!         }
//!     )
//!     .await?;
//!     Ok(cx.get("sent")?.unwrap_or(0))
//! }
//!
//! async fn send(_key: &str, _tick: Timestamp) -> Result<()> { Ok(()) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! // A clock of tests, which skips to the next tick; see `guide::testing`.
//! let forge = Forge::builder("sqlite::memory:").clock(ManualClock::skipping()).open().await?;
//! let run = forge.start("invoice-7", dunning()).await?;
//! assert_eq!(run.result().await?, 3); // three weeks later
//! # Ok(())
//! # }
//! ```
//!
//! # The grid
//!
//! Ticks stand on a grid that is fixed when the repeat begins; lateness never moves it.
//!
//! - A duration, `every = hours(6)`, is exact: the first tick comes one interval after the beginning, rounded
//!   up to a whole second (an interval of less than a second is not rounded), or at `start_at`.
//! - A calendar span, `every = months(1)` or `calendar_days(1)`, keeps the time of day in `zone`, across the
//!   changes of its clocks. Each tick is counted from the first one: monthly from January 31 is February 28, then
//!   March 31. A time that the clocks skip moves forward by as much; one that comes twice is taken once.
//! - A pattern, `cron = "0 6 * * MON-FRI"`, says minute, hour, day of the month, month and day of the week. A time
//!   of day that the clocks skip runs at the end of the gap, one that comes twice runs once; `*/15`
//!   follows the clock. Where both day fields are given, also as `*/2`, a day that either of them
//!   names is due (`0 0 15 * 1`: each Monday and each 15th); a `+` before the day of the week asks
//!   for both (`0 0 15 * +1`). With six fields the first is seconds, with seven the last is years.
//!   `L` is the last day (`FRI#L` the last Friday), `FRI#2` the second Friday, `15W` the working
//!   day nearest to the 15th. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` are read,
//!   too.
//!
//! `days(1)` is 24 hours and drifts by one at each change of clocks; `calendar_days(1)` does not. A
//! zone that does not exist, a pattern that never matches and an interval of nothing do not
//! compile, or fail the run with the reason where they are known only then. Once the last year of a
//! pattern is over nothing more is due, and the repeat waits for its `until` alone, which a wake
//! asks.
//!
//! # The condition comes first
//!
//! `until` is evaluated before each tick, after each tick, and whenever the run is woken, so a
//! repeat may end before anything ran, and `forge.wake` ends one early. It sees what earlier ticks
//! wrote to the context; the body sees it when the repeat ends. A repeat that loses a `select!` is
//! dropped before its end, so the entries of the context that its ticks wrote are lost, though
//! their effects have happened: to bound a repeat and keep these, put the bound into `until`.
//!
//! After a long sleep a `wait!` that is over ends before any tick that came due after it. Ticks
//! from before it run while it ends: where a `select!` then drops the repeat, those that were still
//! to be made up for are dropped with it.
//!
//! # Catching up
//!
//! A tick may begin late, by at most `timeout` (one hour unless set). After a sleep the ticks within that
//! window run as real work, the oldest first, one after the other in one pass. Those before it are skipped by
//! calculation, however many there are, and told by one row: `fast_forwarded`, `from`, `to`. A tick that has
//! failed and waits for its next attempt when its window ends has given up.
//!
//! # Failing ticks
//!
//! Each tick has the attempts of its policy ([`retries`](super::retries)), as far as they begin
//! within its window. One that gives up is a failed row, and with `on_error = Continue`, the
//! default, the repeat goes on with the next. With `on_error = Fail` it ends with the tick's
//! failure as its own [`StepError`](crate::StepError): returned, the run stalls; retried by hand,
//! that same tick runs again, with a new window.
//!
//! # What is exact
//!
//! The end of a tick and the new frontier are one commit. A tick that is over never runs again, and
//! a crash between two ticks neither repeats the first nor leaves the repeat. A tick that was
//! interrupted runs again with the same instant: the workflow, the run's key and that instant make
//! a good idempotency key. If its window is over by then it is skipped with the others, though it
//! may have had its effect.
//!
//! A tick is one effect, like a step. For work with steps of its own, start workflows from it, by
//! [`cx.forge()`](crate::Context::forge): with keys made of the tick, a second execution finds the runs that a first,
//! cut off one has started. The handle keeps no engine alive, so nothing needs to be put into a state for it.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//! # use std::sync::Arc;
//! # use chrono_forge::testing::ManualClock;
//!
//! #[workflow]
//! async fn close_day(shop: String) -> Result<String> {
//!     Ok(step!("sum", { Ok(format!("the day of {shop}")) }).await?)
//! }
//!
//! #[workflow]
//! async fn nightly(cx: Context) -> Result<()> {
//!     repeat!("night", cron = "0 2 * * *", zone = "Europe/Berlin", until = { Ok(cx.contains("over")) }, |tick| {
//!         let shops = ["north", "south"]; // a query, say
//!         let runs = shops.iter().map(|shop| {
//!             (format!("{shop}-{}", tick.as_second()), close_day(shop.to_string()))
//!         });
//!         let started = cx.forge().start_all(runs).await?;
//!         println!("{} days are closed", started.new);
//! #       cx.set("over", &tick.as_second())?;
//!         Ok(())
//!     })
//!     .await?;
//!     Ok(())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let clock = ManualClock::new();
//! # let forge = Forge::builder("sqlite::memory:").clock(Arc::new(clock.clone())).open().await?;
//! # let run = forge.start("nights", nightly()).await?;
//! # let hours = tokio::spawn(async move { loop {
//! #     tokio::time::sleep(std::time::Duration::from_millis(5)).await;
//! #     clock.advance(minutes(20));
//! # } });
//! # run.result().await?;
//! # hours.abort();
//! # let night = run.context().await?["over"].to_string();
//! # let day = forge.get::<close_day>(&format!("south-{night}")).await?.expect("the tick has started it");
//! # assert_eq!(day.result().await?, "the day of south");
//! # Ok(())
//! # }
//! ```
//!
//! # Rows
//!
//! `repeat$<key>` holds the frontier; each tick has, from the end of its first attempt on,
//! `repeat$<key>$<unix seconds>` with its attempts and its error. Passes never load those, so a repeat of ten
//! years costs a pass no more than one of a day.
