//! The call itself: cut off, made by a body, met by others.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunState};
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, STALLED, World, scenario};

use super::once;

#[scenario]
async fn a_crash_at_the_retry_s_commit_leaves_all_of_it_or_nothing(world: &World) {
    for (place, state) in [
        ("commit.before.retry", STALLED),
        ("commit.after.retry", IDLE),
    ] {
        let forge = world.forge([once::NAME]).await;
        forge.start(place, once()).await.unwrap();
        assert_eq!(world.settle(place).await.state, STALLED);
        world.failpoints.arm(place, 1);
        let retried = forge.retry::<once>(place).await;
        assert_eq!(retried.is_ok(), state == IDLE, "{place}: {retried:?}");
        forge.crashed().await;
        world.bury();
        world.failpoints.disarm();
        let row = world.rows().run(place);
        assert_eq!((row.state, row.wake_at.is_some()), (state, state == IDLE));
        let record = world.rows().record(place, "step$once");
        assert_eq!(
            (record.state, record.seq.is_none()),
            (if state == IDLE { 0 } else { 2 }, state == IDLE)
        );
    }
    world.probe.set("once", 1);
    let forge = world.forge([once::NAME]).await;
    assert_eq!(world.settle("commit.after.retry").await.state, COMPLETED);
    forge.retry::<once>("commit.before.retry").await.unwrap();
    assert_eq!(world.settle("commit.before.retry").await.state, COMPLETED);
}

#[workflow]
async fn operator(slot: State<chrono_forge_tests::scenario::Slot>, key: String) -> Result<usize> {
    let seen = step!("seen", { Ok(1_usize) }).await?;
    let retried = step!("retry", {
        Ok(slot.get().retry::<once>(&key).await?.records.len())
    })
    .await?;
    let again = slot.get().retry::<once>(&key).await;
    let refused = matches!(again, Err(Error::NotRetryable { .. }));
    Ok(seen + retried + usize::from(refused))
}

#[scenario]
async fn a_body_retries_another_run_behind_its_barrier(world: &World) {
    let slot = chrono_forge_tests::scenario::Slot::default();
    let builder = world.builder([operator::NAME, once::NAME]);
    let forge = builder.state(slot.clone()).open().await.unwrap();
    slot.put(forge.clone());
    let stalled = forge.start("k", once()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    world.probe.set("once", 1);
    let run = forge.start("o", operator("k".into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(stalled.result().await.unwrap(), "once 2");
    slot.clear();
}

#[scenario]
async fn a_result_that_is_asked_for_after_the_retry_is_the_new_one(world: &World) {
    let forge = world.forge([once::NAME]).await;
    // Never asked, so it still holds what it was told of the first end.
    let watched = forge.start("k", once()).await.unwrap();
    world.settle("k").await;
    let state = forge.get::<once>("k").await.unwrap().unwrap().state().await;
    assert_eq!(state.unwrap(), RunState::Stalled);
    world.probe.set("once", 1);
    forge.retry::<once>("k").await.unwrap();
    assert_eq!(watched.result().await.unwrap(), "once 2");
}

#[workflow]
async fn second_try(cx: Context, probe: State<Probe>) -> Result<usize> {
    let key = cx.key().to_owned();
    let give_up = RetryPolicy::none();
    Ok(step!("s", retry = give_up, {
        let nth = probe.nth(&key);
        anyhow::ensure!(nth > 1, "the first one fails");
        Ok(nth)
    })
    .await?)
}

#[scenario(threads = 3)]
async fn retries_that_meet_the_stall_and_each_other_win_once(world: &World) {
    let forge = world.forge([second_try::NAME]).await;
    for n in 0..60 {
        let key = format!("k{n}");
        let run = forge.start(&key, second_try()).await.unwrap();
        let racer = |pause: u64| {
            let (forge, key) = (forge.clone(), key.clone());
            tokio::spawn(async move {
                let mut won = 0;
                loop {
                    match forge.retry::<second_try>(&key).await {
                        Ok(_) => won += 1,
                        Err(Error::NotRetryable {
                            state: RunState::Completed,
                            ..
                        }) => {
                            return won;
                        }
                        Err(Error::NotRetryable { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                }
            })
        };
        let (one, other) = (racer(n * 7), racer(300 - n * 5));
        let (one, other) = tokio::join!(one, other);
        assert_eq!(one.unwrap() + other.unwrap(), 1, "{key}");
        assert_eq!(run.result().await.unwrap(), 2);
        assert_eq!(world.probe.count(&key), 2);
    }
}
