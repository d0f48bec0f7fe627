//! Every knob at its extremes: `open` refuses it by name, or a run completes. Nothing panics, nothing hangs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Builder, Error};
use chrono_forge_tests::scenario::{World, scenario};

/// What a process may need on a busy machine for one run.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs of all worlds are numbered.
static NEXT: AtomicU64 = AtomicU64::new(0);

type Turn = fn(Builder) -> Builder;

/// Started at once, and claimed once.
#[workflow]
async fn naps() -> Result<u32> {
    let one = step!("one", { Ok(1_u32) }).await?;
    wait!("nap", secs(1)).await;
    Ok(one)
}

/// Opens with a knob turned; whether it was taken. A refusal names the knob that was turned, and what is allowed.
async fn is_taken(world: &World, knob: &str, turn: Turn) -> bool {
    let builder = turn(world.builder([naps::NAME]));
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let key = format!("run-{nth}");
    let forge = match tokio::time::timeout(PATIENCE, builder.open()).await {
        Ok(Ok(forge)) => forge,
        Ok(Err(Error::Config {
            knob: named,
            problem,
        })) => {
            assert_eq!(named, knob, "{problem}");
            assert!(problem.len() > 20, "{knob}: what is allowed? {problem}");
            return false;
        }
        Ok(Err(other)) => panic!("{knob}: {other:?}"),
        Err(_) => panic!("{knob}: open hangs"),
    };
    let completed = async {
        let run = forge.start(&key, naps()).await.unwrap();
        world.settle(&key).await;
        assert_eq!(run.result().await.unwrap(), 1);
        forge.shutdown().await;
    };
    let completed = tokio::time::timeout(PATIENCE, completed).await;
    assert!(completed.is_ok(), "{knob}: it was taken, and nothing runs");
    true
}

async fn refused(world: &World, knob: &str, turns: &[Turn]) {
    for (nth, turn) in turns.iter().enumerate() {
        assert!(
            !is_taken(world, knob, *turn).await,
            "{knob} {nth} was taken"
        );
    }
}

async fn taken(world: &World, knob: &str, turns: &[Turn]) {
    for (nth, turn) in turns.iter().enumerate() {
        assert!(
            is_taken(world, knob, *turn).await,
            "{knob} {nth} was refused"
        );
    }
}

const YEAR: Duration = Duration::from_secs(31_557_600);

#[scenario]
async fn a_lease_or_a_heartbeat_beyond_reason_is_refused(world: &World) {
    let leases: [Turn; 6] = [
        |it| it.lease(Duration::MAX),
        |it| it.lease(YEAR * 500),
        |it| it.lease(YEAR),
        |it| it.lease(Duration::ZERO),
        |it| it.lease(Duration::from_nanos(1)),
        |it| it.lease(secs(3)).heartbeat(secs(2)),
    ];
    refused(world, "lease", &leases).await;
    let heartbeats: [Turn; 6] = [
        |it| it.heartbeat(Duration::MAX),
        |it| it.heartbeat(Duration::MAX / 2),
        |it| it.heartbeat(Duration::MAX / 2).lease(Duration::MAX),
        |it| it.heartbeat(Duration::ZERO),
        |it| it.heartbeat(Duration::from_nanos(1)),
        |it| {
            let lease = Duration::from_nanos(2);
            it.heartbeat(Duration::from_nanos(1)).lease(lease)
        },
    ];
    refused(world, "heartbeat", &heartbeats).await;
    assert!(world.is_untouched(), "nothing was opened");
    let wide: [Turn; 2] = [
        |it| it.lease(Duration::from_secs(30 * 86_400)),
        |it| it.lease(hours(2)).heartbeat(hours(1)),
    ];
    taken(world, "lease", &wide).await;
}

#[scenario]
async fn as_many_slots_as_can_be_said_are_taken(world: &World) {
    let queues: [Turn; 6] = [
        |it| it.queue("default", usize::MAX),
        |it| it.queue("default", usize::MAX / 2),
        |it| it.queue("default", u32::MAX as usize),
        |it| {
            it.queue("default", usize::MAX / 2 + 1)
                .queue("b", usize::MAX / 2 + 1)
        },
        |it| it.queue("default", usize::MAX).queue("b", usize::MAX),
        |it| it.queue("default", 1),
    ];
    taken(world, "queue", &queues).await;
}

#[scenario]
async fn a_name_that_no_database_keeps_is_refused(world: &World) {
    let queues: [Turn; 4] = [
        |it| it.queue("default", 0),
        |it| it.queue("", 1),
        |it| it.queue("a\0b", 1),
        |it| it.queue("default", 1).queue("\0", 1),
    ];
    refused(world, "queue", &queues).await;
    let names: [Turn; 2] = [|it| it.worker_name("a\0b"), |it| it.worker_name("\0")];
    refused(world, "worker_name", &names).await;
    assert!(world.is_untouched(), "nothing was opened");
    let names: [Turn; 2] = [|it| it.worker_name(""), |it| it.worker_name("søren 1")];
    taken(world, "worker_name", &names).await;
}

#[scenario]
async fn a_pause_a_size_or_a_count_at_its_extreme_is_taken_or_refused(world: &World) {
    let polls: [Turn; 2] = [
        |it| it.poll_interval(Duration::ZERO),
        |it| it.poll_interval(Duration::from_nanos(1)),
    ];
    refused(world, "poll_interval", &polls).await;
    let sizes: [Turn; 2] = [
        |it| it.payload_bytes_max(0),
        |it| it.payload_bytes_max(1_023),
    ];
    refused(world, "payload_bytes_max", &sizes).await;
    let sizes: [Turn; 2] = [
        |it| it.context_bytes_max(0),
        |it| it.context_bytes_max((16 << 10) - 1),
    ];
    refused(world, "context_bytes_max", &sizes).await;
    let sizes: [Turn; 2] = [
        |it| it.wal_bytes_max(0),
        |it| it.wal_bytes_max((1 << 20) - 1),
    ];
    refused(world, "wal_bytes_max", &sizes).await;
    refused(world, "commit_batch_max", &[|it| it.commit_batch_max(0)]).await;
    assert!(world.is_untouched(), "nothing was opened");
    let extremes: [Turn; 11] = [
        |it| it.context_bytes_max(usize::MAX),
        |it| it.wal_bytes_max(u64::MAX),
        |it| it.poll_interval(Duration::MAX),
        |it| it.poll_interval(Duration::from_millis(1)),
        |it| it.payload_bytes_max(usize::MAX),
        |it| it.payload_bytes_max(1_024),
        |it| it.commit_batch_max(usize::MAX),
        |it| it.commit_batch_max(1),
        |it| it.readers(0),
        |it| it.readers(u32::MAX),
        |it| it.queue("default", 1).commit_batch_max(1).readers(1),
    ];
    taken(world, "none", &extremes).await;
}

#[scenario]
async fn a_grace_without_an_end_waits_for_passes_and_no_longer(world: &World) {
    let graces: [Turn; 3] = [
        |it| it.shutdown_grace(Duration::MAX),
        |it| it.shutdown_grace(YEAR * 500),
        |it| it.shutdown_grace(Duration::ZERO),
    ];
    taken(world, "shutdown_grace", &graces).await;
    let live = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
    assert_eq!(world.rows().number(live), 0);
}

#[workflow(retry = RetryPolicy::new().max_attempts(u32::MAX).base(Duration::MAX).cap(Duration::MAX))]
async fn is_tried_again_at_the_end_of_time() -> Result<()> {
    step!("s", retry = RetryPolicy::new().base(Duration::MAX), {
        Err::<(), _>(anyhow::anyhow!("not in this life"))
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_policy_without_an_end_waits(world: &World) {
    let forge = world.forge([is_tried_again_at_the_end_of_time::NAME]).await;
    let run = is_tried_again_at_the_end_of_time();
    forge.start("k", run).await.unwrap();
    assert!(world.parked("k").await.wake_at.is_some());
}
