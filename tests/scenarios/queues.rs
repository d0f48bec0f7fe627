//! Queues with their own concurrency, priorities, foreign names.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, RUNNING, World, scenario};

/// The first level of runs that return to try again what failed.
const RETURNING: i64 = 12;

#[workflow(queue = "mail")]
async fn mail_job(probe: State<Probe>, n: u32) -> Result<()> {
    occupy(&probe, "mail", n).await;
    Ok(())
}

#[workflow]
async fn plain_job(probe: State<Probe>, n: u32) -> Result<()> {
    occupy(&probe, "default", n).await;
    Ok(())
}

async fn occupy(probe: &Probe, queue: &str, n: u32) {
    probe.note(queue);
    probe.note(format!("{queue} {n}"));
    probe.raised(&format!("{queue} {n}")).await;
    probe.note(format!("{queue} {n} done"));
}

#[scenario]
async fn each_queue_has_its_own_slots(world: &World) {
    let builder = world.builder([mail_job::NAME, plain_job::NAME]);
    let forge = builder
        .queue("mail", 1)
        .queue("default", 3)
        .open()
        .await
        .unwrap();
    for n in 0..4 {
        forge.start(&format!("m{n}"), mail_job(n)).await.unwrap();
        forge.start(&format!("d{n}"), plain_job(n)).await.unwrap();
    }
    world.noted("default", 3).await;
    world.noted("mail", 1).await;
    assert!(world.soon(world.noted("mail", 2)).await.is_none());
    assert_eq!(
        (world.probe.count("mail"), world.probe.count("default")),
        (1, 3)
    );
    world.probe.set("mail 0", 1);
    world.noted("mail", 2).await;
    assert_eq!(world.probe.count("default"), 3);
    for n in 0..4 {
        world.probe.set(&format!("mail {n}"), 1);
        world.probe.set(&format!("default {n}"), 1);
    }
    world.quiet().await;
    assert!(world.rows().runs().iter().all(|run| run.state == COMPLETED));
}

#[workflow]
async fn joined_child(probe: State<Probe>) -> Result<u32> {
    continue_if!("gate", { Ok(probe.is("open")) }).await?;
    Ok(1)
}

#[workflow]
async fn tries_beside_a_join() -> Result<u32> {
    let often = RetryPolicy::new()
        .base(hours(1))
        .cap(hours(1))
        .jitter(false);
    let tried = step!("tries", retry = often, {
        Err::<u32, _>(anyhow::anyhow!("not yet"))
    });
    let joined = async { branch!("b", automerge = true, { spawn!("c", joined_child()) }).await };
    let (tried, joined) = futures::join!(tried, joined);
    joined?;
    Ok(tried?)
}

/// Runs that try again come behind all others; what the children of one have done is no second try.
#[scenario]
async fn a_join_beside_a_step_that_is_tried_again_does_not_wait_with_those_that_return(
    world: &World,
) {
    let forge = world
        .forge([tries_beside_a_join::NAME, joined_child::NAME])
        .await;
    forge.start("p", tries_beside_a_join()).await.unwrap();
    world.parked("p$b$c").await;
    world
        .until(|| world.rows().run("p").priority >= RETURNING)
        .await;
    world.parked("p").await;
    forge.shutdown().await;
    // Nobody here goes on with the parent, so that it is seen how it waits.
    let forge = world.forge([joined_child::NAME]).await;
    world.probe.set("open", 1);
    forge.wake::<joined_child>("p$b$c").await.unwrap();
    world
        .until(|| world.rows().run("p$b$c").state == COMPLETED)
        .await;
    let parent = world.rows().run("p");
    assert!(
        parent.wake_at.is_some_and(|at| at <= world.now()),
        "{parent:?}"
    );
    assert!(parent.priority < RETURNING, "{parent:?}");
}

#[scenario]
async fn a_run_of_a_queue_that_nobody_serves_waits(world: &World) {
    let forge = world.forge([mail_job::NAME]).await;
    forge.start("m", mail_job(0)).await.unwrap();
    assert!(world.soon(world.noted("mail", 1)).await.is_none());
    let run = world.rows().run("m");
    assert_eq!(
        (run.state, run.queue.as_str(), run.wake_at.is_some()),
        (IDLE, "mail", true)
    );
}

#[workflow(priority = high)]
async fn urgent(probe: State<Probe>) -> Result<()> {
    probe.note("high");
    Ok(())
}

#[workflow]
async fn usual(probe: State<Probe>) -> Result<()> {
    probe.note("normal");
    Ok(())
}

#[workflow(priority = low)]
async fn whenever(probe: State<Probe>) -> Result<()> {
    probe.note("low");
    Ok(())
}

#[scenario]
async fn what_is_due_runs_in_order_of_its_priority(world: &World) {
    let client = world.client().await;
    client.start("l", whenever()).await.unwrap();
    client.start("n", usual()).await.unwrap();
    client.start("h", urgent()).await.unwrap();
    let builder = world.builder([urgent::NAME, usual::NAME, whenever::NAME]);
    let _forge = builder.queue("default", 1).open().await.unwrap();
    world.noted("low", 1).await;
    assert_eq!(world.probe.log(), ["high", "normal", "low"]);
}

#[scenario]
async fn a_worker_leaves_runs_of_workflows_that_it_does_not_serve(world: &World) {
    let client = world.client().await;
    client.start("n", usual()).await.unwrap();
    let forge = world.forge([urgent::NAME]).await;
    forge
        .start("h", urgent())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    assert_eq!(world.rows().run("n").state, IDLE);
    let _other = world.forge([usual::NAME]).await;
    world.noted("normal", 1).await;
}

#[workflow(queue = "mail")]
async fn refused_once(probe: State<Probe>, n: u32) -> Result<()> {
    step!("send", {
        if probe.nth(&format!("send {n}")) == 1 {
            anyhow::bail!("connection refused");
        }
        probe.note("sent");
        Ok(())
    })
    .await?;
    Ok(())
}

/// At one run in 100 ms these would take longer than a scenario may.
const REFUSED: i64 = 300;

#[scenario]
async fn runs_that_return_have_the_slots_of_their_queue_whatever_fills_another(world: &World) {
    let builder = world.builder([refused_once::NAME, plain_job::NAME]);
    let builder = builder.queue("mail", 8).queue("default", 16);
    let forge = builder.open().await.unwrap();
    for n in 0..16 {
        forge.start(&format!("d{n}"), plain_job(n)).await.unwrap();
    }
    world.noted("default", 16).await;
    let starts = (0..REFUSED as u32).map(|n| {
        let forge = forge.clone();
        tokio::spawn(async move {
            forge
                .start(&format!("m{n}"), refused_once(n))
                .await
                .unwrap()
        })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap();
    }
    let waiting = "SELECT count(*) FROM chrono_forge_workflows
        WHERE queue = 'mail' AND priority >= 12 AND state = 0";
    world
        .until(|| world.rows().number(waiting) == REFUSED)
        .await;
    world.clock.advance(secs(10));
    world.noted("sent", REFUSED as usize).await;
    for n in 0..16 {
        assert_eq!(world.rows().run(&format!("d{n}")).state, RUNNING);
        world.probe.set(&format!("default {n}"), 1);
    }
    world.quiet().await;
    assert!(world.rows().runs().iter().all(|run| run.state == COMPLETED));
}

#[workflow]
async fn given_up() -> Result<()> {
    Ok(())
}

#[scenario]
async fn a_start_that_fails_after_its_caller_gave_up_leaves_its_slot_free(world: &World) {
    let builder = world.builder([given_up::NAME]).queue("default", 2);
    let forge = builder.open().await.unwrap();
    let rows = world.rows();
    rows.refuse(
        "chrono_forge_workflows",
        "new.key LIKE 'refused%'",
        "refused",
    );
    for n in 1..=4 {
        let key = format!("refused {n}");
        // Nobody is answered before the caller is gone.
        let held = world.hold_writes();
        let mut start = Box::pin(forge.start(&key, given_up()));
        assert!(futures::poll!(&mut start).is_pending());
        drop(start);
        drop(held);
        let written = || world.failpoints.hits("commit.before.start") == n;
        world.until(written).await;
    }
    let run = forge.start("taken", given_up()).await.unwrap();
    run.result().await.unwrap();
}

#[workflow]
async fn quick(ran: State<Arc<AtomicI64>>) -> Result<()> {
    ran.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Three times as many as may be unwritten.
const RUNS: i64 = 15_000;

/// Plans that may wait, those of a transaction under way, and one of each slot.
const UNWRITTEN_MAX: i64 = 4_000 + 1_000 + 64;

#[scenario(threads = 2)]
async fn urgent_runs_that_end_faster_than_they_are_written_wait_for_commits(world: &World) {
    drop(world.client().await);
    let now = world.now();
    let due = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {RUNS})
        INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, args, created_at, updated_at, wake_at)
        SELECT '{}', CAST(i AS text), 'default', 1, '{{}}', instant({now}), instant({now}), instant({now}) FROM n",
        quick::NAME
    );
    let rows = world.rows();
    assert_eq!(rows.edit(&due, &[]) as i64, RUNS);
    let ran = Arc::new(AtomicI64::new(0));
    let builder = world.builder([quick::NAME]).state(Arc::clone(&ran));
    let _forge = builder.open().await.unwrap();
    let completed = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 2";
    let is_over = || {
        let ran = ran.load(Ordering::Relaxed);
        let written = rows.number(completed);
        assert!(
            ran - written <= UNWRITTEN_MAX,
            "{ran} ran, {written} written"
        );
        written == RUNS
    };
    world.until(is_over).await;
}
