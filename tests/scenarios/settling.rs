//! `forge.settled()`: everything that can run has run.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{DefinitionError, Error};
use chrono_forge_tests::scenario::{
    COMPLETED, FAILED, IDLE, Probe, RUNNING, STALLED, Slot, World, scenario,
};

#[workflow]
async fn settling_nap() -> Result<()> {
    step!("before", { Ok(()) }).await?;
    wait!("nap", hours(1)).await;
    step!("after", { Ok(()) }).await?;
    Ok(())
}

#[workflow(queue = "gates")]
async fn settling_gate(probe: State<Probe>) -> Result<()> {
    continue_if!("open", async { Ok::<_, anyhow::Error>(probe.is("open")) }).await?;
    Ok(())
}

#[workflow(retry = RetryPolicy::none())]
async fn settling_failure() -> Result<()> {
    anyhow::bail!("no")
}

#[workflow]
async fn settling_stall() -> Result<()> {
    step!("s", retry = RetryPolicy::none(), async {
        Err::<(), _>(anyhow::anyhow!("no"))
    })
    .await?;
    Ok(())
}

#[workflow]
async fn settling_retry(probe: State<Probe>) -> Result<u32> {
    let hourly = RetryPolicy::new()
        .base(hours(1))
        .cap(hours(1))
        .jitter(false);
    Ok(step!("s", retry = hourly, async {
        anyhow::ensure!(probe.nth("tried") == 3, "not yet");
        Ok(3)
    })
    .await?)
}

#[workflow(queue = "children")]
async fn settling_child(n: u32) -> Result<u32> {
    Ok(step!("square", { Ok(n * n) }).await?)
}

#[workflow]
async fn settling_parent() -> Result<u32> {
    let squares = branch!("squares", automerge = true, {
        spawn_each!("n", 0..40_u32, |n| settling_child(n))
    });
    Ok(squares.await?.fold(0, |sum, n| sum + n).await?)
}

const ALL: [&str; 7] = [
    settling_nap::NAME,
    settling_gate::NAME,
    settling_failure::NAME,
    settling_stall::NAME,
    settling_retry::NAME,
    settling_child::NAME,
    settling_parent::NAME,
];

fn states(world: &World, keys: &[&str]) -> Vec<i64> {
    let rows = world.rows();
    keys.iter().map(|key| rows.run(key).state).collect()
}

async fn all_at_once(world: &World) {
    let builder = world.builder(ALL).queue("default", 2).queue("gates", 1);
    let forge = builder.queue("children", 3).open().await.unwrap();
    for n in 0..10 {
        let key = |what: &str| format!("{what}{n}");
        forge.start(&key("nap"), settling_nap()).await.unwrap();
        forge.start(&key("gate"), settling_gate()).await.unwrap();
    }
    forge.start("failure", settling_failure()).await.unwrap();
    forge.start("stall", settling_stall()).await.unwrap();
    forge.start("retry", settling_retry()).await.unwrap();
    let parent = forge.start("parent", settling_parent()).await.unwrap();
    forge.settled().await.unwrap();
    assert!(!world.rows().are_busy(world.now()));
    let ends = ["failure", "stall", "retry", "parent", "nap0", "gate9"];
    let expected = [FAILED, STALLED, IDLE, COMPLETED, IDLE, IDLE];
    assert_eq!(states(world, &ends), expected);
    let expected: u32 = (0..40).map(|n| n * n).sum();
    assert_eq!(parent.result().await.unwrap(), expected);
    assert_eq!(world.probe.count("tried"), 1);
    // What has settled settles at once, and what is moved goes on at once.
    forge.settled().await.unwrap();
    world.clock.advance(Duration::from_secs(3_600));
    world.probe.set("open", 1);
    forge.wake::<settling_gate>("gate9").await.unwrap();
    forge.settled().await.unwrap();
    let ends = ["nap0", "nap9", "retry", "gate9", "gate8"];
    let expected = [COMPLETED, COMPLETED, IDLE, COMPLETED, IDLE];
    assert_eq!(states(world, &ends), expected);
    assert_eq!(world.probe.count("tried"), 2);
}

#[scenario]
async fn everything_that_can_run_has_run_on_one_thread(world: &World) {
    all_at_once(world).await;
}

#[scenario(threads = 2)]
async fn everything_that_can_run_has_run_on_several_threads(world: &World) {
    all_at_once(world).await;
}

#[scenario]
async fn what_nobody_here_serves_is_not_waited_for(world: &World) {
    let forge = world.forge([settling_nap::NAME]).await;
    // Neither this workflow nor, by another forge, that queue.
    forge.start("g", settling_gate()).await.unwrap();
    forge.start("n", settling_nap()).await.unwrap();
    forge.settled().await.unwrap();
    assert_eq!(states(world, &["g", "n"]), [IDLE, IDLE]);
    let client = world.client().await;
    client.start("m", settling_stall()).await.unwrap();
    client.settled().await.unwrap();
    forge.shutdown().await;
    let forge = world.builder(ALL).open().await.unwrap();
    forge.settled().await.unwrap();
    assert_eq!(states(world, &["g", "m"]), [IDLE, STALLED]);
}

#[workflow]
async fn settling_slow(probe: State<Probe>) -> Result<u32> {
    Ok(step!("slow", async {
        probe.note("slow");
        probe.raised("go").await;
        Ok::<_, anyhow::Error>(1_u32)
    })
    .await?)
}

#[scenario(threads = 2)]
async fn what_another_worker_does_is_waited_for(world: &World) {
    let one = world.forge([settling_slow::NAME]).await;
    let two = world.forge([settling_slow::NAME]).await;
    one.start("k", settling_slow()).await.unwrap();
    world.noted("slow", 1).await;
    assert_eq!(states(world, &["k"]), [RUNNING]);
    for forge in [&one, &two] {
        assert!(world.soon(forge.settled()).await.is_none());
    }
    world.probe.set("go", 1);
    two.settled().await.unwrap();
    assert_eq!(states(world, &["k"]), [COMPLETED]);
    one.settled().await.unwrap();
}

#[scenario]
async fn what_a_dead_worker_has_left_is_waited_for(world: &World) {
    let one = world.forge([settling_slow::NAME]).await;
    one.start("k", settling_slow()).await.unwrap();
    world.noted("slow", 1).await;
    world.crash(&one);
    world.probe.set("go", 1);
    let two = world.forge([settling_slow::NAME]).await;
    two.settled().await.unwrap();
    assert_eq!(states(world, &["k"]), [COMPLETED]);
}

#[scenario(threads = 2)]
async fn who_waits_hears_of_the_end(world: &World) {
    let builder = world.builder([settling_slow::NAME]);
    let builder = builder.shutdown_grace(Duration::from_millis(50));
    let forge = builder.open().await.unwrap();
    forge.start("k", settling_slow()).await.unwrap();
    world.noted("slow", 1).await;
    let waiting = tokio::spawn({
        let forge = forge.clone();
        async move { forge.settled().await }
    });
    tokio::task::yield_now().await;
    forge.shutdown().await;
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed)));
    assert!(matches!(forge.settled().await, Err(Error::Closed)));
}

#[workflow]
async fn settling_itself(slot: State<Slot>) -> Result<()> {
    slot.get().settled().await?;
    Ok(())
}

#[scenario]
async fn a_workflow_that_waits_for_itself_fails(world: &World) {
    let slot = Slot::default();
    let builder = world.builder([settling_itself::NAME]);
    let forge = builder.state(slot.clone()).open().await.unwrap();
    slot.put(forge.clone());
    let run = forge.start("k", settling_itself()).await.unwrap();
    let error = run.result().await.unwrap_err();
    let told = DefinitionError::AwaitedItself.to_string();
    assert!(error.to_string().contains(&told), "{error}");
    slot.clear();
}
