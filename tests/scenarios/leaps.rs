//! A clock that is set: what never had a deadline is due whatever the clock says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::testing::Clock;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, World, scenario};

const HOUR: i64 = 3_600;

/// The host's clock, set forward or back by some seconds.
#[derive(Clone, Default)]
struct Leaping(Arc<AtomicI64>);

impl Leaping {
    fn leap(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Leaping {
    fn now(&self) -> jiff::Timestamp {
        let offset = jiff::SignedDuration::from_secs(self.0.load(Ordering::SeqCst));
        jiff::Timestamp::now() + offset
    }

    fn sleep_until(
        &self,
        deadline: jiff::Timestamp,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

async fn forge<const N: usize>(
    world: &World,
    clock: &Leaping,
    slots: usize,
    workflows: [&str; N],
) -> Forge {
    let builder = world.builder(workflows).clock(Arc::new(clock.clone()));
    builder.queue("default", slots).open().await.unwrap()
}

#[workflow]
async fn holds_a_slot(probe: State<Probe>) -> Result<()> {
    step!("holds", {
        probe.note("held");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn notes(name: String, probe: State<Probe>) -> Result<()> {
    step!("note", {
        probe.note(&name);
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_run_that_waits_for_a_slot_is_due_whatever_the_clock_says(world: &World) {
    for leap in [-HOUR, HOUR, -10] {
        let clock = Leaping::default();
        let names = [holds_a_slot::NAME, notes::NAME];
        let forge = forge(world, &clock, 1, names).await;
        let key = |name: &str| format!("{name} {leap}");
        let held = world.probe.count("held");
        world.probe.set("go", 0);
        forge.start(&key("holder"), holds_a_slot()).await.unwrap();
        world.noted("held", held + 1).await;
        let waits = forge.start(&key("waits"), notes("n".to_owned())).await;
        clock.leap(leap);
        let later = forge.start(&key("later"), notes("n".to_owned())).await;
        world.probe.set("go", 1);
        waits.unwrap().result().await.unwrap();
        later.unwrap().result().await.unwrap();
        forge.shutdown().await;
    }
}

#[workflow]
async fn fans_out(children: u32) -> Result<()> {
    branch!("all", automerge = true, {
        for child in 0..children {
            spawn!(format!("c{child}"), notes(child.to_string()));
        }
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_fan_out_is_over_whatever_the_clock_says_meanwhile(world: &World) {
    let clock = Leaping::default();
    let forge = forge(world, &clock, 2, [fans_out::NAME, notes::NAME]).await;
    let run = forge.start("k", fans_out(200)).await.unwrap();
    world
        .until(|| world.probe.log().len() > 20 || world.rows().run("k").state == COMPLETED)
        .await;
    clock.leap(-HOUR);
    run.result().await.unwrap();
    assert_eq!(world.probe.log().len(), 200, "each child executes once");
}

#[scenario]
async fn what_was_handed_back_or_woken_goes_on_whatever_the_clock_says(world: &World) {
    let clock = Leaping::default();
    let first = forge(world, &clock, 1, [holds_a_slot::NAME, notes::NAME]).await;
    first.start("holder", holds_a_slot()).await.unwrap();
    world.noted("held", 1).await;
    let (again, waits) = (first.clone(), notes("n".to_owned()));
    again.start("waits", waits).await.unwrap();
    world.crash(&first);
    // Whoever declares the first worker dead makes its run due by a clock that is an hour ahead.
    clock.leap(HOUR);
    let client = forge(world, &clock, 1, []).await;
    world
        .until(|| world.rows().run("holder").state == IDLE)
        .await;
    client.shutdown().await;
    clock.leap(-2 * HOUR);
    world.probe.set("go", 1);
    let second = forge(world, &clock, 1, [holds_a_slot::NAME, notes::NAME]).await;
    for key in ["holder", "waits"] {
        world
            .until(|| world.rows().run(key).state == COMPLETED)
            .await;
    }
    second.shutdown().await;
}

#[scenario]
async fn due_runs_begin_in_the_order_of_their_arrival_across_a_leap(world: &World) {
    let clock = Leaping::default();
    let starter = world.builder([] as [&str; 0]).worker(false);
    let starter = starter.clock(Arc::new(clock.clone())).open().await.unwrap();
    for nth in 0..60_u32 {
        if nth == 30 {
            clock.leap(-HOUR);
        }
        let name = format!("{nth:02}");
        starter.start(&name, notes(name.clone())).await.unwrap();
    }
    let worker = forge(world, &clock, 1, [notes::NAME]).await;
    world.until(|| world.probe.log().len() == 60).await;
    assert!(world.probe.log().is_sorted(), "{:?}", world.probe.log());
    worker.shutdown().await;
}

#[workflow]
async fn has_a_time_limit(seconds: u64, probe: State<Probe>) -> Result<String> {
    let policy = RetryPolicy::none();
    let ended = step!("limited", retry = policy, timeout = secs(seconds), {
        probe.note("limited");
        probe.raised("go").await;
        Ok(())
    });
    Ok(match ended.await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.class,
    })
}

#[scenario]
async fn an_attempt_is_cut_off_after_its_time_and_not_by_a_clock_that_is_set(world: &World) {
    let clock = Leaping::default();
    let forge = forge(world, &clock, 4, [has_a_time_limit::NAME]).await;
    let long = forge.start("long", has_a_time_limit(600)).await.unwrap();
    world.noted("limited", 1).await;
    for leap in [HOUR, -2 * HOUR, HOUR] {
        clock.leap(leap);
        assert!(world.soon(long.result()).await.is_none(), "after {leap} s");
    }
    world.probe.set("go", 1);
    assert_eq!(long.result().await.unwrap(), "done");
    world.probe.set("go", 0);
    let short = forge.start("short", has_a_time_limit(1)).await.unwrap();
    world.noted("limited", 2).await;
    clock.leap(-HOUR);
    assert_eq!(short.result().await.unwrap(), "timeout");
}

#[workflow]
async fn waits(span: Duration, probe: State<Probe>) -> Result<()> {
    step!("before", {
        probe.note("before");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    wait!("nap", span).await;
    Ok(())
}

#[scenario]
async fn a_wait_ends_when_the_clock_reaches_its_instant_however_it_gets_there(world: &World) {
    let clock = Leaping::default();
    let forge = forge(world, &clock, 1, [waits::NAME]).await;
    world.probe.set("go", 1);
    for (begun, (key, leaps)) in [("forward", [0, 0]), ("back", [-HOUR, HOUR])]
        .into_iter()
        .enumerate()
    {
        let run = forge.start(key, waits(hours(1))).await.unwrap();
        // A run that is idle before this step is one that nobody has claimed yet.
        world.noted("before", begun + 1).await;
        world
            .until(|| world.rows().find(key).is_some_and(|run| run.state == IDLE))
            .await;
        for leap in leaps {
            clock.leap(leap);
            assert!(world.soon(run.result()).await.is_none(), "after {leap} s");
        }
        clock.leap(HOUR);
        run.result().await.unwrap();
    }
}

#[scenario]
async fn a_wait_that_begins_after_a_leap_back_is_as_long_as_any(world: &World) {
    let clock = Leaping::default();
    let forge = forge(world, &clock, 1, [waits::NAME]).await;
    let naps = waits(Duration::from_millis(20));
    let run = forge.start("k", naps).await.unwrap();
    world.noted("before", 1).await;
    clock.leap(-HOUR);
    world.probe.set("go", 1);
    run.result().await.unwrap();
}

#[workflow]
async fn fails_once_before_a_leap(probe: State<Probe>) -> Result<()> {
    let now = RetryPolicy::new().base(secs(0)).max_attempts(3);
    step!("fails", retry = now, {
        match probe.nth("attempt") {
            1 => anyhow::bail!("once"),
            2 => probe.raised("crashed").await,
            _ => {}
        }
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_retry_without_delay_is_due_whatever_the_clock_says(world: &World) {
    let clock = Leaping::default();
    let first = forge(world, &clock, 1, [fails_once_before_a_leap::NAME]).await;
    first.start("k", fails_once_before_a_leap()).await.unwrap();
    world.noted("attempt", 2).await;
    world.until(|| world.rows().errors("k").len() == 1).await;
    world.crash(&first);
    clock.leap(-HOUR);
    world.probe.set("crashed", 1);
    let second = forge(world, &clock, 1, [fails_once_before_a_leap::NAME]).await;
    world
        .until(|| world.rows().run("k").state == COMPLETED)
        .await;
    second.shutdown().await;
}
