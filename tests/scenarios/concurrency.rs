//! `join!`, `select!`, `FuturesUnordered` over operations: the same on every replay.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

#[workflow]
async fn joined_steps(probe: State<Probe>) -> Result<u32> {
    probe.note("pass");
    let (a, b, c) = tokio::try_join!(
        step!("a", {
            probe.raised("a").await;
            Ok(1_u32)
        }),
        step!("b", {
            probe.raised("b").await;
            Ok(2_u32)
        }),
        step!("c", {
            probe.raised("c").await;
            Ok(4_u32)
        }),
    )?;
    wait!("pause", days(1)).await;
    Ok(a + b + c)
}

#[scenario]
async fn joined_steps_run_at_the_same_time_and_are_recorded_as_they_end(world: &World) {
    let forge = world.forge([joined_steps::NAME]).await;
    let run = forge.start("k", joined_steps()).await.unwrap();
    for step in ["c", "a", "b"] {
        world.until(|| world.probe.count("pass") == 1).await;
        world.probe.set(step, 1);
        world
            .until(|| {
                world
                    .rows()
                    .find("k")
                    .is_some_and(|_| world.rows().order("k").contains(&format!("step${step}")))
            })
            .await;
    }
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 7);
    let order = ["step$c", "step$a", "step$b", "wait$pause"];
    assert_eq!(world.rows().order("k"), order);
}

#[workflow]
async fn raced(probe: State<Probe>, pauses: u32) -> Result<String> {
    let mut a = Some(step!("a", {
        probe.raised("a").await;
        Ok(1_u32)
    }));
    let mut b = Some(step!("b", {
        probe.raised("b").await;
        Ok(2_u32)
    }));
    let mut seen = String::new();
    while a.is_some() || b.is_some() {
        // Without `biased;`: tokio polls the arms in a random order.
        tokio::select! {
            it = async { a.as_mut().unwrap().await }, if a.is_some() => {
                seen.push_str(&format!("a{} ", it?));
                a = None;
            }
            it = async { b.as_mut().unwrap().await }, if b.is_some() => {
                seen.push_str(&format!("b{} ", it?));
                b = None;
            }
        }
    }
    probe.note(seen.clone());
    for i in 0..pauses {
        wait!("pause-{i}", secs(1)).await;
    }
    Ok(seen)
}

#[scenario]
async fn a_race_has_one_winner_for_all_replays(world: &World) {
    let forge = world.forge([raced::NAME]).await;
    for (key, first, second) in [("ab", "a", "b"), ("ba", "b", "a")] {
        world.probe.set("a", 0);
        world.probe.set("b", 0);
        let run = forge.start(key, raced(25)).await.unwrap();
        world.probe.set(first, 1);
        let row = format!("step${first}");
        world
            .until(|| world.rows().order(key) == [row.clone()])
            .await;
        world.probe.set(second, 1);
        world.settle(key).await;
        let seen = run.result().await.unwrap();
        assert!(seen.starts_with(first), "{key}: {seen}");
        assert_eq!(
            world.probe.count(&seen),
            26,
            "the first pass and 25 replays"
        );
    }
}

#[workflow]
async fn unordered(probe: State<Probe>, count: u32) -> Result<Vec<u32>> {
    let numbers: Vec<u32> = (0..count).collect();
    let mut steps: FuturesUnordered<_> = numbers
        .iter()
        .map(|n| {
            step!("n{n}", {
                probe.note("ran");
                tokio::task::yield_now().await;
                Ok(*n)
            })
        })
        .collect();
    let mut seen = Vec::new();
    while let Some(n) = steps.next().await {
        seen.push(n?);
    }
    probe.note(format!("{seen:?}"));
    wait!("pause", secs(1)).await;
    wait!("again", secs(1)).await;
    Ok(seen)
}

#[scenario]
async fn futures_unordered_yields_in_the_recorded_order(world: &World) {
    let forge = world.forge([unordered::NAME]).await;
    let run = forge.start("k", unordered(40)).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let seen = run.result().await.unwrap();
    assert_eq!(seen.len(), 40);
    assert_eq!(world.probe.count(&format!("{seen:?}")), 3);
    assert_eq!(world.probe.count("ran"), 40);
}

#[workflow]
async fn all_at_once(probe: State<Probe>) -> Result<u64> {
    let numbers: Vec<u64> = (0..64).collect();
    let all = futures::future::try_join_all(numbers.iter().map(|n| {
        step!(
            "n{n}",
            retry = RetryPolicy::new().base(secs(20)).jitter(false),
            {
                anyhow::ensure!(*n != 13 || probe.nth("13") > 1, "thirteen");
                Ok(*n)
            }
        )
    }));
    Ok(all.await?.iter().sum())
}

#[scenario]
async fn a_retry_among_many_parks_the_run_and_the_rest_is_kept(world: &World) {
    let forge = world.forge([all_at_once::NAME]).await;
    let run = forge.start("k", all_at_once()).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.wake_at, Some(world.now() + 20_000_000));
    assert_eq!(world.rows().order("k").len(), 63);
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), (0..64).sum::<u64>());
    assert_eq!(world.rows().run("k").lock_epoch, 2);
}

#[workflow]
async fn deadline(probe: State<Probe>) -> Result<String> {
    let outcome = tokio::select! {
        () = wait!("deadline", hours(1)) => "too late",
        it = wait_until!("paid", every = minutes(10), timeout = days(9), is_paid(&probe)) => {
            it?;
            "paid"
        }
    };
    step!("tell", {
        probe.note(outcome);
        Ok(())
    })
    .await?;
    wait!("pause", secs(1)).await;
    Ok(outcome.to_owned())
}

async fn is_paid(probe: &Probe) -> Result<bool> {
    Ok(probe.is("paid"))
}

#[scenario]
async fn a_wait_may_race_a_condition_and_the_loser_leaves_no_row(world: &World) {
    let forge = world.forge([deadline::NAME]).await;
    let late = forge.start("late", deadline()).await.unwrap();
    world.settle("late").await;
    assert_eq!(late.result().await.unwrap(), "too late");
    assert_eq!(
        world.rows().order("late"),
        ["wait$deadline", "step$tell", "wait$pause"]
    );
    assert_eq!(world.rows().records("late").len(), 3);
    let paid = forge.start("paid", deadline()).await.unwrap();
    world.parked("paid").await;
    world.probe.set("paid", 1);
    world.settle("paid").await;
    assert_eq!(paid.result().await.unwrap(), "paid");
    assert_eq!(world.rows().records("paid").len(), 3);
    assert_eq!(world.probe.count("paid"), 1);
}

#[workflow]
async fn shared_state(probe: State<Probe>) -> Result<u32> {
    let total = std::sync::Mutex::new(Vec::new());
    let push = |n: u32| total.lock().unwrap().push(n);
    tokio::join!(
        async {
            for i in 0..5 {
                if step!("left-{i}", {
                    tokio::task::yield_now().await;
                    Ok(())
                })
                .await
                .is_ok()
                {
                    push(i);
                }
            }
        },
        async {
            for i in 10..15 {
                if step!("right-{i}", { Ok(()) }).await.is_ok() {
                    push(i);
                }
            }
        }
    );
    let order = format!("{:?}", total.lock().unwrap());
    probe.note(order);
    wait!("pause", secs(1)).await;
    Ok(1)
}

#[scenario]
async fn state_that_arms_share_is_the_same_on_replay(world: &World) {
    let forge = world.forge([shared_state::NAME]).await;
    forge.start("k", shared_state()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let log = world.probe.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[0], log[1]);
}

#[workflow]
async fn abandoned(probe: State<Probe>) -> Result<u32> {
    let mut slow = step!("slow", {
        probe.nth("slow");
        probe.raised("never").await;
        Ok(1_u32)
    });
    let polled = futures::poll!(&mut slow);
    assert!(polled.is_pending());
    let quick = step!("quick", { Ok(2_u32) }).await?;
    wait!("pause", days(1)).await;
    drop(slow);
    Ok(quick)
}

#[scenario]
async fn a_step_that_the_body_no_longer_polls_does_not_keep_the_run_from_parking(world: &World) {
    let forge = world.forge([abandoned::NAME]).await;
    let run = forge.start("k", abandoned()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(world.rows().order("k"), ["step$quick", "wait$pause"]);
}
