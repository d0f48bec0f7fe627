//! What hangs is seen, and is taken from its worker; crashes are forgotten; many are retried at once.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Operation, RetryFilter};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, RUNNING, STALLED, World, scenario};

/// Notes when its pass lets go of it.
struct Guard(Probe);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

/// Hangs the first time.
#[workflow]
async fn hangs(probe: State<Probe>) -> Result<usize> {
    step!("before", {
        probe.note("before");
        Ok(())
    })
    .await?;
    let nth = step!("hang", {
        let _guard = Guard((*probe).clone());
        let nth = probe.nth("hang");
        if nth == 1 {
            std::future::pending::<()>().await;
        }
        Ok(nth)
    })
    .await?;
    step!("after", {
        probe.note("after");
        Ok(())
    })
    .await?;
    Ok(nth)
}

#[scenario]
async fn a_step_that_hangs_is_seen_and_taken_from_this_process_at_once(world: &World) {
    // The hanging pass has the only slot, and no heartbeat comes.
    let builder = world.builder([hangs::NAME]).queue("default", 1);
    let builder = builder.lease(secs(120)).heartbeat(secs(60));
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", hangs()).await.unwrap();
    world.noted("hang", 1).await;
    let begun = world.clock.now();
    assert_eq!(run.operations().await.unwrap(), [], "not noted yet");
    world.clock.advance(Duration::from_millis(100));
    let noted = || world.rows().records("k").len() == 2;
    world.until(noted).await;
    world.clock.advance(minutes(7));
    let operations = run.operations().await.unwrap();
    let Operation {
        kind,
        key,
        attempts,
        executing_since,
        executing_for,
        ..
    } = &operations[0];
    assert_eq!((&**kind, &**key, *attempts), ("step", "hang", 0));
    assert_eq!(*executing_since, Some(begun));
    let span = minutes(7) + Duration::from_millis(100);
    assert_eq!((operations.len(), *executing_for), (1, Some(span)));

    forge.unlock::<hangs>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    world.noted("dropped", 2).await;
    let row = world.rows().run("k");
    assert_eq!((row.state, row.lock_epoch, row.crashes), (COMPLETED, 3, 0));
    for (record, executions) in [("before", 1), ("hang", 2), ("after", 1)] {
        assert_eq!(world.probe.count(record), executions, "{record}");
        let row = world.rows().record("k", &format!("step${record}"));
        assert_eq!((row.state, row.attempts), (1, 1), "{record}");
    }
    assert!(world.rows().errors("k").is_empty());
}

#[scenario]
async fn a_worker_that_gets_its_own_run_back_lets_go_of_the_first_pass(world: &World) {
    // No heartbeat within the test: the claim itself tells.
    let builder = world
        .builder([hangs::NAME])
        .lease(secs(120))
        .heartbeat(secs(60));
    let builder = builder.poll_interval(Duration::from_millis(5));
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", hangs()).await.unwrap();
    world.noted("hang", 1).await;
    let client = world.client().await;
    client.unlock::<hangs>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    world.noted("dropped", 2).await;
}

#[scenario]
async fn a_heartbeat_tells_a_worker_what_was_taken_from_it(world: &World) {
    // The hanging pass has the only slot, so nothing is claimed before it is gone.
    let builder = world
        .builder([hangs::NAME])
        .heartbeat(Duration::from_millis(50));
    let builder = builder
        .poll_interval(Duration::from_millis(5))
        .queue("default", 1);
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", hangs()).await.unwrap();
    world.noted("hang", 1).await;
    let client = world.client().await;
    client.unlock::<hangs>("k").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(
        world.probe.log(),
        ["before", "hang", "dropped", "hang", "dropped", "after"]
    );
}

#[workflow]
async fn steady(probe: State<Probe>) -> Result<u32> {
    let mut sum = 0;
    for n in 0..20_u32 {
        sum += step!("s{n}", {
            probe.note("step");
            tokio::task::yield_now().await;
            Ok(n)
        })
        .await?;
    }
    Ok(sum)
}

#[scenario(threads = 3)]
async fn a_run_that_is_unlocked_again_and_again_records_each_step_once(world: &World) {
    let forge = world.forge([steady::NAME]).await;
    let mut taken = 0;
    for n in 0..15 {
        let key = format!("k{n}");
        let run = forge.start(&key, steady()).await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_micros(400 * n)).await;
            taken += usize::from(forge.unlock::<steady>(&key).await.is_ok());
        }
        assert_eq!(run.result().await.unwrap(), 190, "{key}");
        let records = world.rows().records(&key);
        assert_eq!(records.len(), 20);
        assert!(
            records
                .iter()
                .all(|row| row.attempts == 1 && row.state == 1)
        );
        let expected: Vec<_> = (0..20).map(|n| format!("step$s{n}")).collect();
        assert_eq!(world.rows().order(&key), expected);
    }
    assert!(taken > 10, "{taken} races");
    let executed = world.probe.count("step");
    assert!(
        executed <= 15 * 20 + taken,
        "{executed} executions, {taken} unlocks"
    );
}

#[workflow]
async fn waits_for_two(probe: State<Probe>) -> Result<()> {
    let policy = RetryPolicy::new().jitter(false);
    let (_, failed) = futures::join!(
        wait!("pause", hours(1)),
        step!("flaky", retry = policy, async {
            anyhow::bail!("{}", probe.nth("flaky")) as Result<()>
        })
    );
    Ok(failed?)
}

#[scenario]
async fn a_parked_run_shows_what_it_waits_for_and_its_last_error(world: &World) {
    let forge = world.forge([waits_for_two::NAME]).await;
    let run = forge.start("k", waits_for_two()).await.unwrap();
    world.parked("k").await;
    let operations = run.operations().await.unwrap();
    let seen: Vec<_> = operations
        .iter()
        .map(|it| (&*it.kind, &*it.key, it.attempts, it.executing_since))
        .collect();
    assert_eq!(
        seen,
        [("step", "flaky", 1, None), ("wait", "pause", 0, None)]
    );
    let ahead = |n: usize| operations[n].wake_at.unwrap().as_microsecond() - world.now();
    assert_eq!((ahead(0), ahead(1)), (1_000_000, 3_600_000_000));
    let error = operations[0].last_error.clone().unwrap();
    assert_eq!(error, ("anyhow::Error".to_owned(), "1".to_owned()));
    assert_eq!(operations[1].last_error, None);
}

#[workflow]
async fn needs(probe: State<Probe>, what: String) -> Result<()> {
    step!("get {what}", retry = RetryPolicy::none(), {
        probe.note(what.clone());
        anyhow::ensure!(probe.is(&what), "no {what}");
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow(retry = RetryPolicy::none())]
async fn fails(probe: State<Probe>) -> Result<()> {
    probe.note("fails");
    anyhow::bail!("always")
}

#[scenario]
async fn everything_that_an_outage_blocked_is_retried_in_one_call(world: &World) {
    let forge = world.forge([needs::NAME, fails::NAME]).await;
    for n in 0..230 {
        let what = if n % 10 == 0 { "salt" } else { "water" };
        forge
            .start(&format!("k{n}"), needs(what.into()))
            .await
            .unwrap();
    }
    forge.start("f", fails()).await.unwrap();
    world.quiet().await;
    let blocked = "SELECT count(*) FROM chrono_forge_blocked";
    assert_eq!(world.rows().number(blocked), 231);
    world.probe.set("water", 1);
    let water = RetryFilter::new()
        .workflow(needs::NAME)
        .stalled_by("step$get water");
    assert_eq!(forge.retry_all(water.clone()).await.unwrap(), 207);
    world.quiet().await;
    assert_eq!(world.rows().number(blocked), 24);
    assert_eq!(forge.retry_all(water).await.unwrap(), 0);
    // What gives up again at once is not retried for ever.
    assert_eq!(forge.retry_all(RetryFilter::new()).await.unwrap(), 24);
    world.quiet().await;
    assert_eq!(world.rows().number(blocked), 24);
    assert_eq!(
        (world.probe.count("salt"), world.probe.count("fails")),
        (46, 2)
    );
    assert_eq!(
        forge.retry_all(RetryFilter::new().failed()).await.unwrap(),
        1
    );
    world.quiet().await;
    assert_eq!(world.rows().run("f").state, FAILED);
    assert_eq!(world.rows().run("k0").state, STALLED);
}

#[scenario(threads = 3)]
async fn a_walk_and_single_retries_take_each_run_once(world: &World) {
    let forge = world.forge([needs::NAME]).await;
    for n in 0..100 {
        forge
            .start(&format!("k{n}"), needs("water".into()))
            .await
            .unwrap();
    }
    world.quiet().await;
    world.probe.set("water", 1);
    let single = tokio::spawn({
        let forge = forge.clone();
        async move {
            let mut won = 0;
            for n in (0..100).rev() {
                won += u64::from(forge.retry::<needs>(&format!("k{n}")).await.is_ok());
            }
            won
        }
    });
    let walked = forge.retry_all(RetryFilter::new()).await.unwrap();
    assert_eq!(walked + single.await.unwrap(), 100);
    world.quiet().await;
    assert_eq!(world.probe.count("water"), 200);
}

#[scenario]
async fn a_run_whose_crashes_are_forgotten_waits_for_no_quarantine(world: &World) {
    let forge = world.forge([hangs::NAME]).await;
    let suspect = forge.start("suspect", hangs()).await.unwrap();
    world.noted("hang", 1).await;
    world.crash(&forge);
    // Two that killed their workers: one at a time is let in, and the first hangs there.
    world
        .rows()
        .edit("UPDATE chrono_forge_workflows SET crashes = 3", &[]);
    drop(suspect);
    world.probe.set("seen", 1);
    let forge = world.forge([needs::NAME, hangs::NAME, stays::NAME]).await;
    assert_eq!(world.settle("suspect").await.state, COMPLETED);
    forge.start("first", stays()).await.unwrap();
    world.noted("stays", 1).await;
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET crashes = 3 WHERE key = 'first'",
        &[],
    );
    forge.unlock::<stays>("first").await.unwrap();
    world.noted("stays", 2).await;
    // Not by a start, after which the worker might claim it before it is made a suspect.
    world.rows().edit(
        "INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, args, crashes, created_at, updated_at)
        SELECT 'needs', 'second', queue, priority, '{\"what\":\"salt\"}', 3, created_at, updated_at
        FROM chrono_forge_workflows WHERE key = 'first'",
        &[],
    );
    forge.wake::<needs>("second").await.unwrap();
    assert!(
        world.soon(world.noted("salt", 1)).await.is_none(),
        "the place is taken"
    );
    // Which may be for hours: whoever waits behind it is not asked for all the time.
    let before = forge.commits();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = forge.commits() - before;
    assert!(asked <= 20, "{asked} transactions in a second");
    forge.reset_crashes::<needs>("second").await.unwrap();
    world.noted("salt", 1).await;
    assert_eq!(world.rows().run("first").state, RUNNING);
}

#[workflow]
async fn stays(probe: State<Probe>) -> Result<()> {
    step!("stay", {
        probe.note("stays");
        std::future::pending::<()>().await;
        Ok(())
    })
    .await?;
    Ok(())
}
