//! How many statements things take: counted on every connection, exactly, so that none grows with the
//! number of children unseen.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{Probe, STALLED, Statement, Statements, World, scenario};
use futures::TryStreamExt;

/// Each database's statement that inserts children.
const INSERTS: [&str; 2] = [
    "INSERT OR FAIL INTO chrono_forge_workflows",
    "INSERT INTO chrono_forge_workflows",
];

/// What each database's fence says and nothing else in a dispatch.
const FENCES: [&str; 2] = [
    "w.locked_by IS v.column2",
    "SELECT id, locked_by, lock_epoch",
];

/// Statements that a batch of rows takes: of 64 rows, then of 8, then of one.
fn chunks(rows: usize) -> usize {
    rows / 64 + rows % 64 / 8 + rows % 8
}

#[workflow]
async fn pinned_leaf(n: u64) -> Result<u64> {
    Ok(n)
}

/// Each batch is made when the one before is written, so that no two meet in one transaction.
#[workflow]
async fn pinned_fan(probe: State<Probe>, count: u64, of: u64) -> Result<u64> {
    let probe = Probe::clone(&probe);
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", of = of, 0..count, |n| {
            probe.note("read");
            if n > 0 && n % of == 0 {
                probe.raised(&format!("written {n}")).await;
            }
            pinned_leaf(n)
        })
    })
    .await?;
    Ok(children.len() as u64)
}

/// The transactions that insert the children of a run; nobody executes them.
async fn dispatched(
    world: &World,
    statements: &Statements,
    count: u64,
    of: u64,
) -> Vec<Vec<Statement>> {
    let forge = world.forge([pinned_fan::NAME]).await;
    let _ = statements.take();
    forge.start("p", pinned_fan(count, of)).await.unwrap();
    for n in (of..count).step_by(of as usize) {
        let last = format!("p$grp$n${}", n - 1);
        world.until(|| world.rows().find(&last).is_some()).await;
        world.probe.set(&format!("written {n}"), 1);
    }
    let sealed = || world.rows().order("p").contains(&"branch$grp".to_owned());
    world
        .until(|| world.rows().find("p").is_some() && sealed())
        .await;
    world.parked("p").await;
    let mut transactions = statements.take_transactions();
    // Starts and claims have transactions of their own; those of the commit pipeline ask for the fence.
    let is_fence = |it: &Statement| FENCES.iter().any(|fence| it.sql.contains(fence));
    transactions.retain(|transaction| transaction.iter().any(is_fence));
    let batches = usize::try_from(count.div_ceil(of)).unwrap();
    assert!(
        transactions.len() <= batches + 3,
        "the batches, the seal, the merge's row and the park: {}",
        transactions.len()
    );
    transactions.retain(|transaction| inserts(transaction) > 0);
    for transaction in &mut transactions {
        // The seal may meet the last batch.
        let seal = "INSERT INTO chrono_forge_execution_logs (workflow_id, step_name, seq";
        transaction.retain(|it| !it.sql.starts_with(seal));
    }
    transactions
}

fn inserts(transaction: &[Statement]) -> usize {
    let is_insert = |it: &&Statement| INSERTS.iter().any(|text| it.sql.starts_with(text));
    transaction.iter().filter(is_insert).count()
}

#[scenario(threads = 2, sqlite_only = "its inserts are 64 rows each")]
async fn a_dispatch_takes_one_transaction_a_batch_and_one_statement_for_64_children(world: &World) {
    let statements = world.statements();
    let batches = dispatched(world, &statements, 2_500, 1_000).await;
    let rows: Vec<usize> = batches.iter().map(|batch| inserts(batch)).collect();
    assert_eq!(rows, [chunks(1_000), chunks(1_000), chunks(500)]);
    assert_eq!(rows, [20, 20, 17]);
    let others = batches.iter().map(|batch| batch.len() - inserts(batch));
    let others: Vec<usize> = others.collect();
    // The fence, the branch's row, its counters and cursor, the ids. The first batch reads the id
    // of the row that it has made.
    assert_eq!(others, [5, 4, 4]);
}

#[scenario(threads = 2)]
async fn the_statements_of_a_batch_do_not_grow_with_the_children_that_are_there(world: &World) {
    let statements = world.statements();
    let batches = dispatched(world, &statements, 1_000, 50).await;
    assert_eq!(batches.len(), 20);
    let second: Vec<&String> = batches[1].iter().map(|it| &it.sql).collect();
    // The last one may be written together with the branch's seal.
    for (nth, batch) in batches.iter().enumerate().take(19).skip(2) {
        let is_alike = batch.iter().map(|it| &it.sql).eq(second.iter().copied());
        assert!(
            is_alike,
            "batch {nth} takes other statements than the second"
        );
    }
}

#[workflow]
async fn takes_steps(count: u64) -> Result<u64> {
    for n in 0..count {
        step!(format!("one {n}"), { Ok(()) }).await?;
    }
    Ok(count)
}

#[scenario(sqlite_only = "its statements are counted")]
async fn a_start_a_step_and_an_end_take_a_few_statements_each(world: &World) {
    let statements = world.statements();
    let forge = world.forge([takes_steps::NAME]).await;
    world.quiet().await;
    let _ = statements.take();
    let run = forge.start("p", takes_steps(5)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 5);
    let transactions = statements.take_transactions();
    let insert = |it: &Statement| it.sql.starts_with(INSERTS[0]);
    let (starts, plans): (Vec<_>, Vec<_>) =
        (transactions.iter()).partition(|transaction| transaction.iter().any(insert));
    let counts = |of: &[&Vec<Statement>]| of.iter().map(|it| it.len()).collect::<Vec<_>>();
    // The next ids, whether the worker is alive, the run, the claim.
    assert_eq!(counts(&starts), [4]);
    // The fence and the record; the last one is written together with the run's end.
    let of_plans = |it: &&Vec<Statement>| it.iter().any(|it| it.sql.contains(FENCES[0]));
    let plans: Vec<_> = plans.into_iter().filter(of_plans).collect();
    assert_eq!(counts(&plans), [2, 2, 2, 2, 4]);
}

/// What only SQLite's look at the runs that are to be started says.
const LOOK: &str = "w.key = v.column2 AND w.workflow = v.column1";

/// Most starts are of new runs; the sender of a webhook may tell of each twice.
#[scenario(sqlite_only = "its statements are counted")]
async fn a_start_is_looked_for_first_only_where_the_last_one_was_there(world: &World) {
    let statements = world.statements();
    let forge = world.forge([takes_steps::NAME]).await;
    let mut taken = Vec::new();
    for key in ["a", "b", "b", "b", "a", "c", "d", "e"] {
        let _ = statements.take();
        let run = forge.start(key, takes_steps(1)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        let all = statements.take();
        let looks = all.iter().filter(|it| it.sql.contains(LOOK));
        let inserts = all.iter().filter(|it| it.sql.starts_with(INSERTS[0]));
        taken.push((looks.count(), inserts.count()));
    }
    let (inserted, refused, found, looked) = ((0, 1), (1, 1), (1, 0), (1, 1));
    assert_eq!(
        taken,
        [
            inserted, inserted, refused, found, found, looked, inserted, inserted
        ]
    );
}

#[workflow]
async fn read_three_times(count: u64) -> Result<u64> {
    let leaves = branch!("grp", { spawn_each!("n", 0..count, |n| pinned_leaf(n)) }).await?;
    wait!("later", days(1)).await;
    let leaves = merge!(leaves).await?;
    let mut sum = leaves.fold(0, |sum, n| sum + n).await?;
    let mut outputs = leaves.outputs_by_completion();
    while let Some((_, n)) = outputs.try_next().await? {
        sum += n;
    }
    let failures: Vec<chrono_forge::ChildFailure> = leaves.failures().try_collect().await?;
    Ok(sum + failures.len() as u64)
}

/// Statements by the words that only they have.
const READS: [&str; 5] = [
    "SELECT w.id, w.key, w.output FROM chrono_forge_execution_logs",
    "SELECT w.id, w.completed_at FROM",
    "SELECT w.id, w.key, w.output FROM json_each",
    "SELECT count(*), ifnull(max(id), 0) FROM",
    "CROSS JOIN chrono_forge_error_logs AS e",
];

#[scenario(threads = 2, sqlite_only = "the texts of its statements are compared")]
async fn a_merge_and_its_results_take_a_statement_a_page_and_none_a_child(world: &World) {
    let statements = world.statements();
    let forge = world
        .forge([read_three_times::NAME, pinned_leaf::NAME])
        .await;
    let mut others = Vec::new();
    for (key, count, pages) in [("a", 1_000, 2), ("b", 2_000, 4)] {
        let run = forge.start(key, read_three_times(count)).await.unwrap();
        let merged = "SELECT count(*) FROM chrono_forge_execution_logs
            WHERE state = 1 AND step_name = 'branch$grp' AND pending > 0";
        let last = format!("{key}$grp$n${}", count - 1);
        world.until(|| world.rows().find(&last).is_some()).await;
        world.until(|| world.rows().number(merged) == 0).await;
        world.quiet().await;
        let _ = statements.take();
        world.clock.advance(days(1));
        assert_eq!(run.result().await.unwrap(), count * (count - 1));
        let taken = statements.take();
        let of = |what: &&str| taken.iter().filter(|it| it.sql.contains(*what)).count();
        let reads: Vec<usize> = READS.iter().map(of).collect();
        assert_eq!(reads, [pages, 1, pages, pages, pages], "{count}");
        let is_other = |it: &&Statement| READS.iter().all(|read| !it.sql.contains(read));
        others.push(taken.iter().filter(is_other).count());
    }
    // The clock's tick, the claim, the replay, its commits; the scheduler looks as often as it likes.
    assert!(others.iter().all(|count| *count < 60), "{others:?}");
}

#[backends(threads = 2)]
async fn the_replay_of_a_sealed_branch_takes_as_many_statements_for_any_number_of_children(
    backend: Backend,
) {
    let mut replays = Vec::new();
    for count in [10, 2_000] {
        scenario(backend, async |world| {
            let statements = world.statements();
            // Nobody executes the children, so the branch stays open to the join.
            let forge = world.forge([pinned_fan::NAME]).await;
            world.probe.set("written 1000", 1);
            world.probe.set("written 2000", 1);
            forge.start("p", pinned_fan(count, 1_000)).await.unwrap();
            let sealed = || world.rows().order("p").contains(&"branch$grp".to_owned());
            world
                .until(|| world.rows().find("p").is_some() && sealed())
                .await;
            let before = world.parked("p").await.lock_epoch;
            assert_eq!(world.probe.count("read") as u64, count);
            let _ = statements.take();
            forge.wake::<pinned_fan>("p").await.unwrap();
            world
                .until(|| world.rows().run("p").lock_epoch > before)
                .await;
            world.parked("p").await;
            let taken = statements.take();
            assert_eq!(
                world.probe.count("read") as u64,
                count,
                "the source is not read"
            );
            let words = ["FROM chrono_forge_workflows", "chrono_forge_execution_logs"];
            let of = |what: &&str| taken.iter().filter(|it| it.sql.contains(*what)).count();
            replays.push((words.iter().map(of).collect::<Vec<_>>(), taken.len()));
        })
        .await;
    }
    let [(few, all_few), (many, all_many)] = &replays[..] else {
        panic!("{replays:?}");
    };
    assert_eq!(few[1], many[1], "{replays:?}");
    assert!(*all_few < 60 && *all_many < 60, "{replays:?}");
}

#[workflow]
async fn stalls_after_a_repeat(probe: State<Probe>) -> Result<()> {
    step!("done", { Ok(()) }).await?;
    step!("work", retry = RetryPolicy::none(), {
        anyhow::ensure!(probe.nth("work") > 1, "not yet");
        probe.note("tries again");
        probe.raised("mended").await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[backends(sqlite_only = "the steps of its machine are counted")]
async fn a_retry_by_hand_takes_as_many_steps_for_any_number_of_repetitions(backend: Backend) {
    let mut costs = Vec::new();
    for repetitions in [1_i64, 5_000] {
        scenario(backend, async |world| {
            let statements = world.statements();
            let forge = world.forge([stalls_after_a_repeat::NAME]).await;
            let run = forge.start("p", stalls_after_a_repeat()).await.unwrap();
            assert_eq!(world.settle("p").await.state, STALLED);
            // As a repeat leaves them that ran for years.
            let repeat =
                "INSERT INTO chrono_forge_execution_logs (workflow_id, step_name, seq, state)
                WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                SELECT w.id, 'repeat$r' || iif(i, '$' || (1700000000 + i), ''), iif(i, NULL, 0), 1
                FROM n, chrono_forge_workflows AS w";
            assert_eq!(
                world.rows().edit(repeat, &[repetitions.into()]) as i64,
                repetitions + 1
            );
            let _ = statements.take();
            let retried = forge.retry::<stalls_after_a_repeat>("p").await.unwrap();
            assert_eq!(retried.records, ["step$work"]);
            // It executes, and writes nothing before it is let go on.
            world.noted("tries again", 1).await;
            let refused = forge.retry::<stalls_after_a_repeat>("p").await;
            assert!(refused.is_err());
            let transactions = statements.take_transactions();
            let retry = transactions
                .iter()
                .find(|it| it.iter().any(|it| it.sql.contains("json_remove")));
            let reads = retry.unwrap().iter().filter(|it| {
                it.sql.contains("chrono_forge_execution_logs") && !it.sql.starts_with("UPDATE")
            });
            // What the retry has written since changes no more than the rows that are answered.
            let steps = reads.map(|it| it.steps(world));
            costs.push(steps.map(Option::unwrap).collect::<Vec<_>>());
            world.probe.set("mended", 1);
            drop(run);
        })
        .await;
    }
    let [few, many] = &costs[..] else {
        panic!("{costs:?}");
    };
    assert!(few.len() >= 4 && few.len() == many.len(), "{costs:?}");
    // Steps differ by a few with where rows lie in their pages; a walk over 5,000 would take as many.
    let alike = |(few, many): (&i32, &i32)| many - few < 100;
    assert!(few.iter().zip(many).all(alike), "{costs:?}");
}

/// For who reads `pg_stat_activity`.
#[scenario(threads = 2, postgres_only = "a server's operators read them")]
async fn every_statement_begins_with_what_it_is_for(world: &World) {
    let statements = world.statements();
    let batches = dispatched(world, &statements, 200, 100).await;
    let forge = world
        .forge([takes_steps::NAME, stalls_after_a_repeat::NAME])
        .await;
    let run = forge.start("s", takes_steps(3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    run.operations().await.unwrap();
    forge.wake::<takes_steps>("s").await.unwrap();
    forge.unserved(10).await.unwrap();
    forge.retry_all(RetryFilter::new()).await.unwrap();
    forge.shutdown().await;
    let mut taken = statements.take();
    taken.extend(batches.into_iter().flatten());
    assert!(taken.len() > 30, "{}", taken.len());
    let ends = ["BEGIN", "COMMIT", "ROLLBACK", "SET ", "LISTEN "];
    let unnamed = taken.iter().filter(|it| it.intent.is_none());
    let unnamed: Vec<_> = unnamed
        .filter(|it| !ends.iter().any(|end| it.sql.starts_with(end)))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}

#[workflow]
async fn sleeps_long() -> Result<()> {
    wait!("long", Duration::from_secs(3_600)).await;
    Ok(())
}

/// What only these looks say: at all that is blocked, at one run's whole row, at the runs that are
/// waited for.
const OF_ALL: &str = "SELECT max(b.workflow_id) IS NOT NULL FROM chrono_forge_blocked";
const OF_ONE: &str = "w.started_at, w.completed_at, e.error_class";
const OF_THESE: &str = "SELECT w.id, w.key, w.workflow, w.queue, w.state, w.wake_at FROM";

/// However many wait, a process looks once for all of them, and reads no row of a run that has not
/// settled.
#[scenario]
async fn all_who_wait_for_results_share_one_look(world: &World) {
    let statements = world.statements();
    let every = Duration::from_millis(20);
    let forge = world.builder([sleeps_long::NAME]).poll_interval(every);
    let forge = forge.open().await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for nth in 0..50 {
        let run = forge
            .start(&format!("s{nth}"), sleeps_long())
            .await
            .unwrap();
        waiting.spawn(async move { run.result().await.is_ok() });
    }
    world.parked("s49").await;
    let looks = |taken: &[Statement]| taken.iter().filter(|it| it.sql.contains(OF_ALL)).count();
    let mut taken = Vec::new();
    while looks(&taken) < 3 {
        tokio::time::sleep(every).await;
        taken.extend(statements.take());
    }
    let mut taken = Vec::new();
    while looks(&taken) < 20 {
        tokio::time::sleep(every).await;
        taken.extend(statements.take());
    }
    let of = |what: &str| taken.iter().filter(|it| it.sql.contains(what)).count();
    assert_eq!(of(OF_ONE), 0, "a run's own row");
    let awaited = of(OF_THESE);
    assert!((1..=looks(&taken)).contains(&awaited), "{awaited}");
    waiting.shutdown().await;
    let _ = statements.take();
    tokio::time::sleep(every * 5).await;
    assert!(looks(&statements.take()) <= 1, "nobody waits any more");
    let run = forge.get::<sleeps_long>("s0").await.unwrap().unwrap();
    assert_eq!(run.state().await.unwrap(), RunState::Idle);
    let one = |taken: Vec<Statement>| taken.iter().any(|it| it.sql.contains(OF_ONE));
    assert!(one(statements.take()), "a run's own row is asked for so");
}
