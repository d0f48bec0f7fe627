//! The database is set back to an older copy under a live worker: ids are handed out again, and nothing that the
//! worker still holds from before passes for what is there now.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Builder, RunError};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, World, scenario};
use chrono_forge_tests::telling;

/// Waits for its own leave, then returns its name.
#[workflow]
async fn told(probe: State<Probe>, name: String) -> Result<String> {
    step!("wait", {
        probe.note(format!("began {name}"));
        let _guard = Gone((*probe).clone(), name.clone());
        probe.raised(&name).await;
        Ok(name.clone())
    })
    .await?;
    Ok(name)
}

/// Notes when an attempt is over, however it ends.
struct Gone(Probe, String);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.note(format!("gone {}", self.1));
    }
}

/// As [`told`], in a child.
#[workflow]
async fn above(name: String) -> Result<Vec<String>> {
    let child = branch!("b", automerge = true, {
        spawn!("one", told(format!("{name} child")))
    })
    .await?;
    Ok(vec![child.output().await?])
}

/// Fails once with its name, then returns it.
#[workflow]
async fn fails_once(probe: State<Probe>, name: String) -> Result<String> {
    step!(
        "once",
        retry = RetryPolicy::new()
            .max_attempts(2)
            .base(Duration::from_millis(1)),
        {
            let nth = probe.nth(&format!("began {name}"));
            probe.raised(&name).await;
            anyhow::ensure!(nth > 1, "the first of {name}");
            Ok(())
        }
    )
    .await?;
    Ok(name)
}

/// No heartbeat tells within the test.
fn silent(builder: Builder) -> Builder {
    let builder = builder.lease(Duration::from_secs(120));
    builder.heartbeat(Duration::from_secs(60))
}

/// A heartbeat tells soon.
fn beating(builder: Builder) -> Builder {
    builder.heartbeat(Duration::from_millis(50))
}

/// Forgets all runs and what belongs to them; their ids are handed out again.
fn set_back(world: &World) {
    let rows = world.rows();
    for table in [
        "workflows",
        "execution_logs",
        "error_logs",
        "claims",
        "blocked",
        "audits",
    ] {
        rows.edit(&format!("DELETE FROM chrono_forge_{table}"), &[]);
    }
    hand_out_again(world, &["workflows", "execution_logs", "error_logs"]);
}

/// The ids of these tables go on behind the rows that are left.
fn hand_out_again(world: &World, tables: &[&str]) {
    for table in tables {
        let table = format!("chrono_forge_{table}");
        let last = format!("(SELECT coalesce(max(id), 0) FROM {table})");
        match world.backend() {
            Backend::Sqlite => {
                let sql = format!("UPDATE sqlite_sequence SET seq = {last} WHERE name = '{table}'");
                world.rows().edit(&sql, &[]);
            }
            Backend::Postgres => {
                let sequence = format!("pg_get_serial_sequence('{table}', 'id')");
                let _ = world
                    .rows()
                    .number(&format!("SELECT setval({sequence}, {last} + 1, false)"));
            }
        }
    }
}

/// The lock of this run as the row has it.
fn lock_of(world: &World, key: &str) -> i64 {
    let sql = format!("SELECT lock_epoch FROM chrono_forge_workflows WHERE key = '{key}'");
    world.rows().number(&sql)
}

#[scenario]
async fn a_run_that_was_lost_gives_nothing_to_the_one_that_has_its_id_now(world: &World) {
    let forge = silent(world.builder([told::NAME])).open().await.unwrap();
    let lost = forge.start("lost", told("lost".into())).await.unwrap();
    world.noted("began lost", 1).await;
    set_back(world);
    let kept = forge.start("kept", told("kept".into())).await.unwrap();
    assert_eq!(kept.id(), lost.id(), "the id is handed out again");
    world.noted("began kept", 1).await;
    world.noted("gone lost", 1).await;
    world.probe.set("lost", 1);
    world.probe.set("kept", 1);
    assert_eq!(kept.result().await.unwrap(), "kept");
    let row = world.rows().run("kept");
    assert_eq!(
        (row.state, row.output.as_deref()),
        (COMPLETED, Some("\"kept\""))
    );
    assert_eq!(
        world.rows().record("kept", "step$wait").result.as_deref(),
        Some("\"kept\"")
    );
    assert!(
        matches!(lost.result().await, Err(RunError::Missing { .. })),
        "it is not the other's"
    );
}

#[scenario]
async fn a_commit_from_before_finds_nothing_to_write_to(world: &World) {
    // Another process inserts the run that has the id now, and this one claims it only later.
    let forge = silent(world.builder([told::NAME]))
        .queue("default", 1)
        .open()
        .await
        .unwrap();
    let lost = forge.start("lost", told("lost".into())).await.unwrap();
    world.noted("began lost", 1).await;
    let (held, lock) = (world.rows().run("lost"), lock_of(world, "lost"));
    set_back(world);
    let client = world.client().await;
    let kept = client.start("kept", told("kept".into())).await.unwrap();
    assert_eq!(kept.id(), lost.id());
    // The same worker claimed it, as this process has not heard yet.
    let sql = "UPDATE chrono_forge_workflows SET state = 1, wake_at = NULL, locked_by = ?, lock_epoch = ?";
    let claimed = claimed_anew(lock);
    world
        .rows()
        .edit(sql, &[held.locked_by.unwrap().into(), claimed.into()]);
    world.probe.set("lost", 1);
    world.noted("gone lost", 1).await;
    assert!(world.soon(kept.result()).await.is_none());
    assert!(
        world
            .soon(lost.result())
            .await
            .is_none_or(|result| result.is_err())
    );
    let row = world.rows().run("kept");
    assert_eq!((row.state, row.output), (RUNNING, None));
    assert_eq!(world.rows().records("kept").len(), 0);
}

/// The lock of a run that the same worker claimed again for the first time: what is told apart by counting alone is
/// the same.
fn claimed_anew(epoch: i64) -> i64 {
    match epoch >> 32 {
        0 => epoch,
        claims => (claims << 32) | (!epoch & 0xffff_ffff),
    }
}

#[scenario]
async fn the_same_run_claimed_again_is_not_written_by_its_lost_pass(world: &World) {
    let forge = silent(world.builder([told::NAME])).poll_interval(Duration::from_millis(5));
    let forge = forge.open().await.unwrap();
    let client = world.client().await;
    let run = client.start("k", told("k".into())).await.unwrap();
    world.noted("began k", 1).await;
    let lock = lock_of(world, "k");
    // As a copy has it that was made before the claim.
    world.rows().edit("DELETE FROM chrono_forge_claims", &[]);
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = created_at, locked_by = NULL, lock_epoch = 0",
        &[],
    );
    world
        .rows()
        .edit("DELETE FROM chrono_forge_execution_logs", &[]);
    world.noted("began k", 2).await;
    world.noted("gone k", 1).await;
    assert_ne!(lock_of(world, "k"), lock);
    world.probe.set("k", 1);
    assert_eq!(run.result().await.unwrap(), "k");
    drop(forge);
}

#[scenario]
async fn children_and_their_branches_are_told_apart_too(world: &World) {
    let workflows = [above::NAME, told::NAME];
    let forge = silent(world.builder(workflows)).open().await.unwrap();
    let lost = forge.start("lost", above("lost".into())).await.unwrap();
    world.noted("began lost child", 1).await;
    let before = (
        world.rows().children("lost")[0].id,
        world.rows().record("lost", "branch$b").id,
    );
    set_back(world);
    let kept = forge.start("kept", above("kept".into())).await.unwrap();
    world.noted("began kept child", 1).await;
    let after = (
        world.rows().children("kept")[0].id,
        world.rows().record("kept", "branch$b").id,
    );
    assert_eq!(before, after, "the ids are handed out again");
    world.probe.set("lost child", 1);
    world.noted("gone lost child", 1).await;
    assert!(world.soon(kept.result()).await.is_none());
    let branch = world.rows().record("kept", "branch$b");
    assert_eq!(
        (branch.spawned, branch.pending),
        (1, 1),
        "no child of the other counts"
    );
    world.probe.set("kept child", 1);
    assert_eq!(kept.result().await.unwrap(), ["kept child"]);
    assert!(lost.result().await.is_err());
}

#[scenario]
async fn an_error_is_written_to_no_other_run(world: &World) {
    let forge = silent(world.builder([fails_once::NAME]))
        .open()
        .await
        .unwrap();
    let lost = forge
        .start("lost", fails_once("lost".into()))
        .await
        .unwrap();
    world.noted("began lost", 1).await;
    set_back(world);
    let kept = forge
        .start("kept", fails_once("kept".into()))
        .await
        .unwrap();
    assert_eq!(kept.id(), lost.id());
    world.noted("began kept", 1).await;
    world.probe.set("lost", 1);
    world.probe.set("kept", 1);
    world.settle("kept").await;
    assert_eq!(kept.result().await.unwrap(), "kept");
    let messages: Vec<_> = world
        .rows()
        .errors("kept")
        .into_iter()
        .map(|it| it.message)
        .collect();
    assert_eq!(messages, ["the first of kept"]);
}

#[scenario]
async fn a_heartbeat_tells_what_the_database_no_longer_knows(world: &World) {
    let forge = beating(world.builder([told::NAME])).open().await.unwrap();
    let lost = forge.start("lost", told("lost".into())).await.unwrap();
    world.noted("began lost", 1).await;
    set_back(world);
    world.noted("gone lost", 1).await;
    assert!(matches!(lost.result().await, Err(RunError::Missing { .. })));
}

/// A worker said that it is over, and why, and how many passes it dropped.
fn over(dropped: usize, why: &str) {
    let dropped = format!("dropped={dropped}");
    let lines = telling::told(&["WARN", "this worker is over", why, &dropped, "worker="]);
    assert!(!lines.is_empty(), "{:#?}", telling::told(&["over"]));
}

#[scenario]
async fn a_worker_whose_row_is_another_life_s_drops_what_it_holds_and_says_so(world: &World) {
    telling::listen();
    let forge = beating(world.builder([told::NAME])).poll_interval(Duration::from_millis(5));
    let forge = forge.open().await.unwrap();
    let run = forge.start("k", told("k".into())).await.unwrap();
    world.noted("began k", 1).await;
    let other = "UPDATE chrono_forge_workers SET incarnation = incarnation + 1";
    world.rows().edit(other, &[]);
    world.noted("gone k", 1).await;
    over(1, "its id is another life's");
    world.noted("began k", 2).await;
    world.probe.set("k", 1);
    assert_eq!(run.result().await.unwrap(), "k");
}

#[scenario]
async fn a_worker_whose_row_is_gone_lets_go_of_what_it_holds_and_enters_anew(world: &World) {
    let forge = beating(world.builder([told::NAME])).poll_interval(Duration::from_millis(5));
    let forge = forge.open().await.unwrap();
    telling::listen();
    let run = forge.start("k", told("k".into())).await.unwrap();
    world.noted("began k", 1).await;
    let rows = world.rows();
    rows.edit("DELETE FROM chrono_forge_workers", &[]);
    hand_out_again(world, &["workers"]);
    world.noted("gone k", 1).await;
    over(1, "its row is gone");
    world
        .until(|| rows.number("SELECT count(*) FROM chrono_forge_workers") == 1)
        .await;
    world.noted("began k", 2).await;
    world.probe.set("k", 1);
    assert_eq!(run.result().await.unwrap(), "k");
}

#[scenario]
async fn a_worker_whose_row_is_from_before_begins_its_runs_anew(world: &World) {
    let forge = beating(world.builder([told::NAME])).poll_interval(Duration::from_millis(5));
    let forge = forge.open().await.unwrap();
    let run = forge.start("k", told("k".into())).await.unwrap();
    world.noted("began k", 1).await;
    let rows = world.rows();
    let beats = || rows.number("SELECT max(beats) FROM chrono_forge_workers");
    world.until(|| beats() > 2).await;
    telling::listen();
    // What the pass has in memory may be ahead of the copy that was restored.
    rows.edit("UPDATE chrono_forge_workers SET beats = 1", &[]);
    world.noted("gone k", 1).await;
    over(1, "set back to an older copy, as its row tells");
    world.noted("began k", 2).await;
    world.probe.set("k", 1);
    assert_eq!(run.result().await.unwrap(), "k");
    assert_eq!(world.rows().run("k").crashes, 0);
}

#[scenario]
async fn two_workers_never_live_under_one_id(world: &World) {
    // Whichever of the two completes it, on a file the other one hears of it by looking.
    let quick = Duration::from_millis(5);
    let first = beating(world.builder([told::NAME])).poll_interval(quick);
    let first = first.open().await.unwrap();
    let run = first.start("k", told("k".into())).await.unwrap();
    world.noted("began k", 1).await;
    let rows = world.rows();
    {
        // The first one's heartbeat is not there before the second has entered.
        let sql = "DELETE FROM chrono_forge_workers";
        rows.edit(sql, &[]);
        hand_out_again(world, &["workers"]);
    }
    let second = beating(world.builder([told::NAME])).poll_interval(quick);
    let second = second.open().await.unwrap();
    // Whichever comes first: in the end there are two rows, and neither holds what it does not know of.
    world
        .until(|| {
            rows.number("SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL") == 2
        })
        .await;
    world.noted("gone k", 1).await;
    world.noted("began k", 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.probe.count("began k"), 2, "nobody robs anybody");
    world.probe.set("k", 1);
    assert_eq!(run.result().await.unwrap(), "k");
    second.shutdown().await;
    first.shutdown().await;
}

#[scenario]
async fn a_claim_and_a_start_for_a_life_that_is_over_take_nothing(world: &World) {
    let forge = silent(world.builder([told::NAME])).open().await.unwrap();
    let rows = world.rows();
    // The row stands for somebody else's life now, as after a copy in which the id was not given out yet.
    let row = "INSERT INTO chrono_forge_workers (id, name, host, pid, started_at, heartbeat_at)
        SELECT id + 0, 'another', host, 1, started_at, heartbeat_at FROM chrono_forge_workers";
    let kept = "CREATE TABLE another AS SELECT * FROM chrono_forge_workers";
    rows.edit(kept, &[]);
    rows.edit("DELETE FROM chrono_forge_workers", &[]);
    rows.edit(
        &row.replace("FROM chrono_forge_workers", "FROM another"),
        &[],
    );
    rows.edit("DROP TABLE another", &[]);
    let run = forge.start("k", told("k".into())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let row = world.rows().run("k");
    assert_eq!((row.locked_by, row.lock_epoch), (None, 0), "it is anyone's");
    assert_eq!(world.probe.count("began k"), 0);
    drop(run);
}
