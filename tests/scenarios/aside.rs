//! What cannot be written for now is set aside: others go on, and only what is at fault itself ends its run.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{DefinitionError, Forge, RunError};
use chrono_forge_tests::database::Hold;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, RUNNING, World, scenario};

/// A statement may take two fifths of it.
const LEASE: Duration = Duration::from_millis(750);

/// More tries than it takes to give up a plan that is too slow by itself.
const MANY: u64 = 15;

const RECORDS: &str = "chrono_forge_execution_logs";

const ENTRIES: &str = "chrono_forge_context";

/// Writes no record and no entry.
#[workflow]
async fn aside_small(n: u64) -> Result<u64> {
    Ok(n + 1)
}

#[workflow]
async fn aside_slow(cx: Context, probe: State<Probe>) -> Result<u64> {
    Ok(step!("slow", {
        cx.set("tried", &1)?;
        probe.note("slow");
        probe.raised("go").await;
        Ok(1)
    })
    .await?)
}

#[workflow]
async fn aside_above(probe: State<Probe>) -> Result<u64> {
    let _ = probe;
    let below = branch!("b", { spawn!("c", aside_slow()) }).await?;
    Ok(merge!(below).await?.output().await?)
}

async fn engine(world: &World) -> Forge {
    let builder = world.builder([aside_small::NAME, aside_slow::NAME, aside_above::NAME]);
    let builder = builder.lease(LEASE).heartbeat(LEASE / 5);
    builder.open().await.unwrap()
}

/// Has small runs done, one after the other, until this holds; answers how many.
async fn beside(forge: &Forge, mut is_over: impl FnMut() -> bool) -> u64 {
    let mut done = 0;
    while !is_over() {
        let key = format!("small {done}");
        let run = forge.start(&key, aside_small(done)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), done + 1);
        done += 1;
    }
    done
}

/// Commits of passes that did not succeed so far.
fn failed_commits(world: &World) -> u64 {
    // Alone, once it is set aside.
    let hits = |place: &str| {
        let of = |kind| world.failpoints.hits(&format!("commit.{place}.{kind}"));
        of("apply") + of("aside")
    };
    let tried = hits("before");
    tried - hits("after").min(tried)
}

#[scenario(threads = 2, postgres_only = "a file knows no limit of a statement")]
async fn what_alone_outlasts_a_statement_ten_times_fails_its_run_and_nobody_else_s(world: &World) {
    let forge = engine(world).await;
    let rows = world.rows();
    rows.look().slow(RECORDS, "new.step_name = 'step$slow'");
    world.probe.set("go", 1);
    let run = forge.start("slow", aside_slow()).await.unwrap();
    let before = world.failpoints.hits("commit.after.apply");
    let done = beside(&forge, || rows.run("slow").state == FAILED).await;
    match run.result().await {
        Err(RunError::Failed { class, message, .. }) => {
            assert_eq!(class, DefinitionError::CLASS);
            for text in [
                "longer than a statement may, 10 times",
                "statement timeout",
                "`.lease(..)`",
            ] {
                assert!(message.contains(text), "{message}");
            }
        }
        other => panic!("{other:?}"),
    }
    // Once in the way of others, and ten times alone, each time after another commit.
    assert!(rows.look().slow_writes() > 10);
    let commits = world.failpoints.hits("commit.after.apply") - before;
    assert!(
        done >= 10 && commits >= 10,
        "{done} runs, {commits} commits"
    );
    let errors = rows.errors("slow");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(rows.run("slow").crashes, 0);
    let small = rows.runs().into_iter().filter(|run| run.key != "slow");
    assert!(small.into_iter().all(|run| run.state == COMPLETED));

    rows.look().hurry(RECORDS);
    forge.retry::<aside_slow>("slow").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}

/// What this holds up is tried many times, while others are written.
async fn waits(world: &World, forge: &Forge, hold: impl FnOnce() -> Vec<Hold>) {
    world.noted("slow", 1).await;
    let held = hold();
    let before = failed_commits(world);
    world.probe.set("go", 1);
    let done = beside(forge, || failed_commits(world) >= before + MANY).await;
    assert!(done >= 10, "{done} runs beside it");
    let sql = "SELECT state FROM chrono_forge_workflows WHERE workflow = 'aside_slow'";
    assert_eq!(world.rows().number(sql), RUNNING);
    drop(held);
}

#[scenario(threads = 2, postgres_only = "a file is locked as a whole")]
async fn what_waits_for_a_row_that_somebody_has_locked_never_fails(world: &World) {
    let forge = engine(world).await;
    let run = forge.start("slow", aside_slow()).await.unwrap();
    waits(world, &forge, || {
        world
            .hold_rows("chrono_forge_workflows", "key = 'slow'")
            .into_iter()
            .collect()
    })
    .await;
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.rows().errors("slow").len(), 0);
}

#[scenario(threads = 2, postgres_only = "a file is locked as a whole")]
async fn what_waits_for_a_table_that_somebody_has_locked_never_fails(world: &World) {
    let forge = engine(world).await;
    let run = forge.start("slow", aside_slow()).await.unwrap();
    waits(world, &forge, || vec![world.hold_table(ENTRIES)]).await;
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.rows().errors("slow").len(), 0);
}

/// It outlasts the limit before it comes to the row that somebody has locked.
#[scenario(threads = 2, postgres_only = "a file is locked as a whole")]
async fn what_is_too_slow_and_waits_for_somebody_as_well_does_not_fail(world: &World) {
    let forge = engine(world).await;
    let run = forge.start("above", aside_above()).await.unwrap();
    let rows = world.rows();
    waits(world, &forge, || {
        rows.look()
            .slow(RECORDS, "new.step_name = 'step$slow' AND new.state = 1");
        let branch = "step_name = 'branch$b'";
        world.hold_rows(RECORDS, branch).into_iter().collect()
    })
    .await;
    assert!(rows.look().slow_writes() > 10);
    rows.look().hurry(RECORDS);
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(
        rows.number("SELECT count(*) FROM chrono_forge_error_logs"),
        0
    );
}
