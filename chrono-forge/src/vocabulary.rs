//! The vocabulary's macros, documented where a reader meets them. `#[workflow]` rewrites them before
//! they are expanded; expanded anywhere else they only say where they belong.

/// The answer of every macro of the vocabulary outside a workflow.
#[doc(hidden)]
#[macro_export]
macro_rules! __outside {
    ($name:literal) => {
        ::core::compile_error!(::core::concat!(
            "`",
            $name,
            "!` is part of a workflow: write it in the body of a function under #[workflow] or ",
            "#[workflow(part)] (a macro_rules! that expands to it is not supported: use a part)"
        ))
    };
}

/// Runs once, records the result; retried on error.
///
/// `step!(["key",] [retry = policies,] [timeout = duration,] body)` with a body `f(args)`,
/// `x.m(args)`, `async { .. }` (any error type) or `{ .. Ok(v) }` (an `anyhow` block). The default
/// key is the function's name. The value is `Result<T, StepError>`. Each attempt evaluates the body
/// and its arguments again, so it borrows or clones what it would consume. A body must not block
/// its thread: what computes for long, or calls what blocks, goes into
/// `tokio::task::spawn_blocking`.
///
/// `retry` takes a [`RetryPolicy`](crate::RetryPolicy), or an array of them of which the first that
/// covers a failure decides, each by a count of its own ([`RetryPolicies`](crate::RetryPolicies)).
/// Without it a step takes the policies of `#[workflow(retry = ..)]`, and without those
/// `RetryPolicy::new()`. Counts are kept with the step: neither a crash, a pause nor another order of the
/// array sets them back.
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// async fn charge(cents: u64) -> Result<String> {
///     Ok(format!("receipt for {cents}"))
/// }
///
/// #[workflow]
/// async fn pay(cents: u64) -> Result<String> {
///     let receipt = step!(charge(cents)).await?;
///     let id = step!("number", retry = RetryPolicy::none(), timeout = secs(5), { Ok(7_u32) }).await?;
///     Ok(format!("{receipt}, no. {id}"))
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let forge = Forge::open("sqlite::memory:").await?;
/// let run = forge.start("p", pay(5)).await?;
/// assert_eq!(run.result().await?, "receipt for 5, no. 7");
/// # Ok(())
/// # }
/// ```
///
/// A budget for each kind of failure:
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// async fn fetch() -> Result<String, std::io::Error> {
///     Ok("page".into())
/// }
///
/// #[workflow]
/// async fn mirror() -> Result<String> {
///     let patient = RetryPolicy::new().max_attempts(20).cap(minutes(10));
///     let network = patient.on::<std::io::Error>().on_timeout();
///     let page = step!(retry = [network, RetryPolicy::none()], timeout = secs(30), fetch()).await?;
///     Ok(page)
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let forge = Forge::open("sqlite::memory:").await?;
/// # assert_eq!(forge.start("m", mirror()).await?.result().await?, "page");
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! step {
    ($($tokens:tt)*) => {
        $crate::__outside!("step")
    };
}

/// A durable sleep that holds no worker.
///
/// `wait!("key", duration)` or `wait!("key", until = instant)`. The deadline is fixed when the
/// wait is first reached; neither a crash nor an early wake-up restarts it.
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// #[workflow]
/// async fn settle() -> Result<()> {
///     wait!("settlement", std::time::Duration::from_millis(2)).await;
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let forge = Forge::open("sqlite::memory:").await?;
/// # forge.start("p", settle()).await?.result().await?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! wait {
    ($($tokens:tt)*) => {
        $crate::__outside!("wait")
    };
}

/// Polls a condition until it is true.
///
/// `wait_until!("key", [every = duration,] [timeout = duration,] [retry = policies,] cond(args))`
/// where the condition gives `Result<bool, E>`. Every 15 minutes for up to an hour unless set; at
/// the deadline it is evaluated once more, and a true condition wins. The value is
/// `Result<(), StepError>`.
///
/// Its errors are not retried unless `retry` says so, here and not at the workflow: without it, the
/// first `502 Bad Gateway` ends the wait, and the run stalls. `retry` is a policy or an array of
/// them, as for [`step!`](crate::step). The budget is that of the whole wait: a look that found the
/// condition false does not give it back, nor the delay between attempts: with `every = secs(5)`
/// say `.unlimited().cap(secs(5))`, and an error late in the wait is asked again as soon as at its
/// begin.
///
/// [`Forge::wake`](crate::Forge::wake) does not make it look sooner: `every` bounds how often the
/// condition is asked. To be woken use [`continue_if!`](crate::continue_if), for both a `select!`
/// over the two.
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// async fn is_paid() -> Result<bool> {
///     Ok(true)
/// }
///
/// #[workflow]
/// async fn ship() -> Result<()> {
///     // The bank may be away for hours, and that ends no wait of two days.
///     let patient = RetryPolicy::new().max_attempts(100).cap(minutes(30));
///     wait_until!("paid", every = minutes(5), timeout = days(2), retry = patient, is_paid()).await?;
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let forge = Forge::open("sqlite::memory:").await?;
/// # forge.start("p", ship()).await?.result().await?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! wait_until {
    ($($tokens:tt)*) => {
        $crate::__outside!("wait_until")
    };
}

/// Evaluates a condition once per wake-up, and parks until [`Forge::wake`](crate::Forge::wake).
///
/// `continue_if!("key", [timeout = duration,] cond(args))`. No timer but the timeout, no retry. The
/// value is `Result<(), StepError>`.
///
/// ```standalone_crate
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use chrono_forge::prelude::*;
///
/// async fn is_approved(flag: &AtomicBool) -> Result<bool> {
///     Ok(flag.load(Ordering::SeqCst))
/// }
///
/// #[workflow]
/// async fn approval(flag: State<AtomicBool>) -> Result<()> {
///     continue_if!("approved", is_approved(&flag)).await?;
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let forge = Forge::builder("sqlite::memory:").state(AtomicBool::new(true)).open().await?;
/// # forge.start("p", approval()).await?.result().await?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! continue_if {
    ($($tokens:tt)*) => {
        $crate::__outside!("continue_if")
    };
}

/// A task on a schedule, until a condition holds.
///
/// `repeat!(["key",] every = interval | cron = "pattern", until = cond(args), [zone = "Area/City",]
/// [start_at = instant,] [timeout = duration,] [on_error = Continue | Fail,] [retry = policy,]
/// |tick| body)`. The closure is written in place and takes one argument, the instant that the tick was
/// scheduled for (a `jiff::Timestamp`); its body has the forms of a step's: `f(args)`, `x.m(args)`,
/// `async { .. }` or `{ .. Ok(()) }`, and what it gives beside an error is dropped. The default key is
/// the name of the function that it calls. The value is `Result<(), StepError>`.
///
/// | option | meaning |
/// |---|---|
/// | `every` | The time from tick to tick. Tick *n* is the start plus *n* times this, however late any tick ran. A duration such as `hours(6)` is exact; a calendar span such as `calendar_days(1)` or `months(1)` keeps the time of day in `zone`. At least a millisecond. A tick that is late by more than `timeout`, an hour unless set, is skipped. |
/// | `cron` | Instead of `every`: minute, hour, day of the month, month and day of the week in `zone`, as in `"0 6 * * MON-FRI"`; a day that either day field names is due (see [`guide::periodic`](crate::guide::periodic)). Skipped when late, as with `every`. |
/// | `until` | The condition that ends it, `Result<bool, E>` in the forms of [`wait_until!`](crate::wait_until). Evaluated before each tick, also before the first, and when the run is woken: it may end before anything ran. |
/// | `zone` | The IANA name of the time zone for `cron` and calendar spans; UTC unless set. |
/// | `start_at` | The first tick of an interval, or the instant before which no pattern counts; it may have passed. Unless set, the first tick comes one interval after the run first got here. |
/// | `timeout` | How late a tick may still begin; one hour unless set, and more than nothing. |
/// | `on_error` | What follows on a tick that gave up: `Continue`, the default, goes on with the next one, `Fail` ends with its error. |
/// | `retry` | As in [`step!`](crate::step), for each tick on its own, and for `until`. An `until` that gave up ends the repeat with its error. |
///
/// **Catching up.** Ticks that came due while nobody could run them are run when somebody can, the
/// oldest first and one after the other. Those that are later than `timeout` by then are skipped,
/// which a warning tells, one record, and [`Run::operations`](crate::Run::operations).
///
/// **Idempotency.** A tick whose end is recorded never runs again. One that was cut off before may run
/// again; it then sees the same `tick`, as a retry does, so that instant together with the run's key
/// names its effect outside. Like a step, the body borrows, changes no variable of the workflow and
/// contains no operation of this vocabulary: what has to last goes into the
/// [`Context`](crate::Context), and what takes several steps into a workflow that it starts.
///
/// ```standalone_crate
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use chrono_forge::jiff::Timestamp;
/// use chrono_forge::prelude::*;
///
/// async fn is_paid(reminders: &AtomicU32) -> Result<bool> {
///     Ok(reminders.load(Ordering::SeqCst) == 2)
/// }
///
/// async fn remind(reminders: &AtomicU32, _scheduled: Timestamp) -> Result<()> {
///     reminders.fetch_add(1, Ordering::SeqCst);
///     Ok(())
/// }
///
/// #[workflow]
/// async fn collect(reminders: State<AtomicU32>) -> Result<u32> {
///     let every = Duration::from_millis(10);
///     repeat!("reminder", every = every, until = is_paid(&reminders), |tick| remind(&reminders, tick))
///         .await?;
///     Ok(reminders.load(Ordering::SeqCst))
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let forge = Forge::builder("sqlite::memory:").state(AtomicU32::new(0)).open().await?;
/// assert_eq!(forge.start("p", collect()).await?.result().await?, 2);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! repeat {
    ($($tokens:tt)*) => {
        $crate::__outside!("repeat")
    };
}

/// A durable fan-out: its block spawns children and ends in the value to have after the merge.
///
/// `branch!("name", [automerge = true,] [retry = policies,] { .. value })`. The value is
/// `Result<Branch<R>, BranchError>`, with `automerge` the merged `Result<R, BranchError>`. Children
/// start while the block still dispatches; when it ends, the branch is sealed and its value
/// recorded. An error in the block is retried as a step's ([`step!`](crate::step)), going on where
/// dispatch was. The keys of steps in the block are the block's alone, also once it is sealed.
///
/// A branch is merged before the body ends, or given up: by dropping the future of its `branch!` or of its
/// `merge!`, as a `select!` does with an arm that loses. A handle that is thrown away is taken for
/// forgotten, and fails the run; `drop(merge!(handle))` says that it is not.
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// #[workflow]
/// async fn double(n: u64) -> Result<u64> {
///     Ok(n * 2)
/// }
///
/// #[workflow]
/// async fn total() -> Result<u64> {
///     let (one, many) = branch!("numbers", automerge = true, {
///         let one = spawn!("one", double(100));
///         let many = spawn_each!("many", 0..3_u64, |n| double(n));
///         (one, many)
///     })
///     .await?;
///     Ok(one.output().await? + many.collect().await?.iter().sum::<u64>())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let forge = Forge::open("sqlite::memory:").await?;
/// assert_eq!(forge.start("p", total()).await?.result().await?, 206);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! branch {
    ($($tokens:tt)*) => {
        $crate::__outside!("branch")
    };
}

/// One child of the branch around it: `spawn!("name", wf(args))` gives a [`Child<T>`](crate::Child).
/// No `.await`, no `?`. See [`branch!`](crate::branch).
#[macro_export]
macro_rules! spawn {
    ($($tokens:tt)*) => {
        $crate::__outside!("spawn")
    };
}

/// One child per item of a source: `spawn_each!("name", [of = 1000,] source, |item| wf(item))` gives
/// [`Children<T>`](crate::Children).
///
/// The source is anything that iterates, pulled lazily; the rows of a [`Keyset`](crate::Keyset);
/// [`pages(..)`](crate::pages); or a [`stream(..)`](crate::stream). After a crash dispatch goes on from a
/// stored cursor, so what iterates must give the same items when it is made again, and a token the same
/// place. At most `of` children (1 to 10,000; 1000 unless set) are inserted per transaction, and fewer once their
/// arguments are about 8 MiB. The closure may use `?` and `.await`. See [`branch!`](crate::branch) and the [guide](crate::guide::fan_out).
#[macro_export]
macro_rules! spawn_each {
    ($($tokens:tt)*) => {
        $crate::__outside!("spawn_each")
    };
}

/// Joins branches: `merge!(handle)`, `merge!(vec_of_handles)`, `merge!("name")`, or several, which
/// give a tuple.
///
/// A handle gives the value of its block, a vector of handles a vector, a name `()`. A child that
/// failed keeps the parent parked until it is recovered. A join that is dropped, as when it loses a
/// `select!`, is given up: the children run on to their ends, the run may complete before them, and a later
/// `merge!("name")` joins them after all. See [`branch!`](crate::branch) and
/// [a join with a deadline](crate::guide::fan_out#a-join-with-a-deadline).
#[macro_export]
macro_rules! merge {
    ($($tokens:tt)*) => {
        $crate::__outside!("merge")
    };
}
