//! The guide's tests of workflows, a hundred times on each kind of runtime: none depends on luck.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;
use tokio::runtime::{Builder, Runtime};

const TIMES: usize = 100;

/// Far more than all of them take: a hang is told, not waited for.
const PATIENCE: Duration = Duration::from_secs(240);

#[workflow]
async fn hundredfold_reminder() -> Result<String> {
    wait!("three-days", days(3)).await;
    step!("remind", { Ok(()) }).await?;
    wait!("a-week", days(7)).await;
    Ok("ten days later".into())
}

/// Is closed for the first two calls, and approves once it is told to.
#[derive(Clone, Default)]
struct Desk(Arc<(AtomicU32, AtomicBool)>);

impl Desk {
    async fn charge(&self) -> Result<u32> {
        let call = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        anyhow::ensure!(call >= 3, "closed");
        Ok(call)
    }

    async fn is_approved(&self) -> Result<bool> {
        Ok(self.0.1.load(Ordering::SeqCst))
    }
}

#[workflow]
async fn hundredfold_payment(desk: State<Desk>) -> Result<u32> {
    let hourly = RetryPolicy::new().base(hours(1)).cap(hours(6));
    Ok(step!("charge", retry = hourly, desk.charge()).await?)
}

#[workflow]
async fn hundredfold_nights(cx: Context) -> Result<u32> {
    repeat!(
        "night",
        every = calendar_days(1),
        until = { Ok(nights(&cx)? == 7) },
        |_tick| { Ok(cx.set("nights", &(nights(&cx)? + 1))?) }
    )
    .await?;
    nights(&cx)
}

fn nights(cx: &Context) -> Result<u32> {
    Ok(cx.get("nights")?.unwrap_or(0))
}

#[workflow]
async fn hundredfold_expense(desk: State<Desk>) -> Result<String> {
    let in_time = tokio::select! {
        approved = continue_if!("approved", desk.is_approved()) => { approved?; true }
        () = wait!("deadline", days(14)) => false,
    };
    if !in_time {
        return Ok("too late".into());
    }
    wait!("payday", days(3)).await;
    Ok("paid".into())
}

async fn open(clock: &ManualClock, desk: &Desk) -> Forge {
    let builder = Forge::builder("sqlite::memory:").workflows([
        hundredfold_reminder::NAME,
        hundredfold_payment::NAME,
        hundredfold_nights::NAME,
        hundredfold_expense::NAME,
    ]);
    let builder = builder.clock(clock.clone()).state(desk.clone());
    builder.open().await.unwrap()
}

/// All at once, and then each result.
async fn by_itself() {
    let clock = ManualClock::skipping();
    let forge = open(&clock, &Desk::default()).await;
    let reminder = forge.start("k", hundredfold_reminder()).await.unwrap();
    let payment = forge.start("k", hundredfold_payment()).await.unwrap();
    let nights = forge.start("k", hundredfold_nights()).await.unwrap();
    let expense = forge.start("k", hundredfold_expense()).await.unwrap();
    assert_eq!(payment.result().await.unwrap(), 3);
    assert_eq!(nights.result().await.unwrap(), 7);
    assert_eq!(reminder.result().await.unwrap(), "ten days later");
    assert_eq!(expense.result().await.unwrap(), "too late");
}

/// A day at a time: two waits, two retries, a week of ticks, a condition that comes true in time.
async fn by_hand() {
    let (clock, desk) = (ManualClock::new(), Desk::default());
    let forge = open(&clock, &desk).await;
    let reminder = forge.start("k", hundredfold_reminder()).await.unwrap();
    let payment = forge.start("k", hundredfold_payment()).await.unwrap();
    let nights = forge.start("k", hundredfold_nights()).await.unwrap();
    let expense = forge.start("k", hundredfold_expense()).await.unwrap();
    for day in 0..10 {
        forge.settled().await.unwrap();
        assert_eq!(reminder.state().await.unwrap(), RunState::Idle);
        if day == 2 {
            desk.0.1.store(true, Ordering::SeqCst);
            forge.wake::<hundredfold_expense>("k").await.unwrap();
            forge.settled().await.unwrap();
        }
        clock.advance(days(1));
    }
    assert_eq!(reminder.result().await.unwrap(), "ten days later");
    assert_eq!(payment.result().await.unwrap(), 3);
    assert_eq!(nights.result().await.unwrap(), 7);
    assert_eq!(expense.result().await.unwrap(), "paid");
    assert!(!clock.advance_to_next().await);
}

fn a_hundred_times(runtime: &Runtime) {
    let all = async {
        for _ in 0..TIMES {
            by_itself().await;
            by_hand().await;
        }
    };
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await });
    assert!(ended.is_ok(), "one of them hangs");
}

#[test]
fn a_test_of_workflows_ends_on_a_runtime_of_one_thread() {
    a_hundred_times(&Builder::new_current_thread().enable_all().build().unwrap());
}

#[test]
fn a_test_of_workflows_ends_on_a_runtime_of_several_threads() {
    let mut builder = Builder::new_multi_thread();
    a_hundred_times(&builder.worker_threads(2).enable_all().build().unwrap());
}
