//! A part of the engine that dies stops all of it, typed and told: never one that only looks alive. What dies
//! here is a user's clock, wherever the engine asks it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge::{Clock, Error, Forge, RunError, SystemClock};
use chrono_forge_tests::scenario::{World, scenario};

/// A right clock that panics once, at one of its calls.
#[derive(Default)]
struct Fragile {
    calls: AtomicU64,
    breaks_at: AtomicU64,
    is_broken: AtomicBool,
}

impl Fragile {
    fn at(call: u64) -> Arc<Self> {
        let clock = Self::default();
        clock.breaks_at.store(call, Ordering::SeqCst);
        Arc::new(clock)
    }

    /// The next call panics.
    fn break_now(&self) {
        let next = self.calls.load(Ordering::SeqCst);
        self.breaks_at.store(next, Ordering::SeqCst);
    }

    fn tick(&self) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let breaks = call >= self.breaks_at.load(Ordering::SeqCst);
        assert!(
            !breaks || self.is_broken.swap(true, Ordering::SeqCst),
            "the clock broke"
        );
    }
}

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        self.tick();
        SystemClock.now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.tick();
        Box::pin(SystemClock.sleep_until(deadline))
    }
}

#[workflow(retry = RetryPolicy::new().base(Duration::from_millis(1)))]
async fn a_bit_of_all() -> Result<u32> {
    let one = step!("one", { Ok(1_u32) }).await?;
    wait!("nap", Duration::from_millis(5)).await;
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", 0..3_u32, |n| a_child(n))
    });
    let sum: u32 = children.await?.collect().await?.iter().sum();
    Ok(one + sum)
}

#[workflow]
async fn a_child(n: u32) -> Result<u32> {
    Ok(step!("s", { Ok(n) }).await?)
}

async fn opened(world: &World, clock: Arc<dyn Clock>) -> Result<Forge, Error> {
    let builder = world.builder([a_bit_of_all::NAME, a_child::NAME, waits_long::NAME]);
    let builder = builder.clock(clock).shutdown_grace(Duration::from_secs(2));
    builder
        .poll_interval(Duration::from_millis(20))
        .open()
        .await
}

/// What a caller is told when the engine stops under it.
fn is_stopped(error: &Error) -> bool {
    error.to_string().contains("the clock broke")
}

/// Whatever the caller waits for is answered, with an output or with the reason.
async fn answered(forge: &Forge, key: &str) {
    let run = match forge.start(key, a_bit_of_all()).await {
        Ok(run) => run,
        Err(error) => return assert!(is_stopped(&error), "{error:?}"),
    };
    match run.result().await {
        Ok(sum) => assert_eq!(sum, 4),
        Err(RunError::Forge(error)) => assert!(is_stopped(&error), "{error:?}"),
        Err(error) => panic!("{error:?}"),
    }
}

/// More than any call may take, and less than the leases, so that no run waits for one.
const PATIENCE: Duration = Duration::from_secs(8);

async fn others_go_on(world: &World, forge: &Forge, key: &str) {
    let other = opened(world, Arc::new(SystemClock)).await.unwrap();
    let taken_over = async {
        let run = other.start(key, a_bit_of_all()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 4);
    };
    let taken_over = tokio::time::timeout(PATIENCE, taken_over).await;
    let rows = || world.rows().dump();
    assert!(
        taken_over.is_ok(),
        "{key}: nobody takes the run over\n{}",
        rows()
    );
    let ended = tokio::time::timeout(PATIENCE, forge.shutdown()).await;
    assert!(ended.is_ok(), "{key}: the shutdown hangs");
    other.shutdown().await;
    let left = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
    assert_eq!(world.rows().number(left), 0, "{key}: {}", rows());
}

async fn break_at(world: &World, call: u64) {
    let key = format!("call-{call}");
    let clock = Fragile::at(call);
    let forge = match opened(world, clock.clone()).await {
        Ok(forge) => forge,
        Err(error) => return assert!(is_stopped(&error), "{key}: {error:?}"),
    };
    let answer = tokio::time::timeout(PATIENCE, answered(&forge, &key)).await;
    assert!(
        answer.is_ok(),
        "{key}: nobody is answered\n{}",
        world.rows().dump()
    );
    others_go_on(world, &forge, &key).await;
}

macro_rules! broken_at {
    ($($name:ident: $calls:expr;)+) => {$(
        #[scenario]
        async fn $name(world: &World) {
            for call in $calls {
                break_at(world, call).await;
            }
        }
    )+};
}

broken_at! {
    a_clock_that_breaks_at_one_of_its_first_calls_stops_the_engine_and_others_go_on: 0..6;
    a_clock_that_breaks_soon_after_stops_the_engine_and_others_go_on: 6..12;
    a_clock_that_breaks_amid_a_run_stops_the_engine_and_others_go_on: 12..18;
    a_clock_that_breaks_near_the_end_of_a_run_stops_the_engine_and_others_go_on: (18..42).step_by(4);
}

#[scenario]
async fn what_is_started_once_a_part_has_died_is_refused_with_the_reason(world: &World) {
    let clock = Fragile::at(u64::MAX);
    let forge = opened(world, clock.clone()).await.unwrap();
    let waiting = forge.start("waits", waits_long()).await.unwrap();
    world
        .until(|| world.rows().find("waits").is_some_and(|run| run.state == 0))
        .await;
    clock.break_now();
    // The clock is asked on a commit thread, unless another part asks it first.
    let woken = loop {
        if let Err(error) = forge.wake::<waits_long>("waits").await {
            break error;
        }
    };
    assert!(is_stopped(&woken), "{woken:?}");
    let refused = forge.start("k", a_bit_of_all()).await.unwrap_err();
    assert!(is_stopped(&refused), "{refused:?}");
    let result = waiting.result().await.unwrap_err();
    assert!(
        matches!(&result, RunError::Forge(error) if is_stopped(error)),
        "{result:?}"
    );
    let served = forge.serve().await.unwrap_err();
    assert!(is_stopped(&served), "{served:?}");
    others_go_on(world, &forge, "k").await;
}

#[workflow]
async fn waits_long() -> Result<()> {
    wait!("long", Duration::from_secs(3_600)).await;
    Ok(())
}
