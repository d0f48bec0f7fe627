//! The auditor: counters that went wrong are set right, healthy branches are left alone, operators are told.

mod leaps;
mod states;

use std::time::Duration;

use chrono_forge::BranchState;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, World, scenario};

/// A child that ends once its own gate, or the gate of all, is open.
#[workflow(retry = RetryPolicy::none())]
async fn gated(probe: State<Probe>, n: u64) -> Result<u64> {
    if !probe.is("all") {
        continue_if!("gate", probe_is_open(&probe, n)).await?;
    }
    anyhow::ensure!(!probe.is(&format!("broken {n}")), "child {n} is broken");
    Ok(n)
}

async fn probe_is_open(probe: &Probe, n: u64) -> Result<bool> {
    Ok(probe.is("all") || probe.is(&format!("open {n}")))
}

#[workflow]
async fn audited(probe: State<Probe>, count: u64) -> Result<u64> {
    let children = branch!("grp", { spawn_each!("n", 0..count, |n| gated(n)) }).await?;
    let children = merge!(children).await?;
    let sum = children.fold(0, |sum, n| sum + n).await?;
    probe.note("merged");
    Ok(sum)
}

/// Sets the counter of the parent's branch.
fn corrupt(world: &World, pending: i64) {
    let sql = "UPDATE chrono_forge_execution_logs SET pending = ? WHERE step_name = 'branch$grp'";
    assert_eq!(world.rows().edit(sql, &[pending.into()]), 1);
}

/// Of this run's branch only.
fn corrupt_of(world: &World, key: &str, pending: i64) {
    let sql = "UPDATE chrono_forge_execution_logs SET pending = ? WHERE step_name = 'branch$grp'
        AND workflow_id = (SELECT id FROM chrono_forge_workflows WHERE key = ?)";
    let edited = world.rows().edit(sql, &[pending.into(), key.into()]);
    assert_eq!(edited, 1);
}

fn pending(world: &World) -> i64 {
    world.rows().record("p", "branch$grp").pending
}

fn audits(world: &World, what: &str) -> i64 {
    let sql = format!("SELECT coalesce(sum({what}), 0) FROM chrono_forge_audits");
    world.rows().number(&sql)
}

/// Lets time pass, 5 seconds at a time, until it is so.
async fn pass_until(world: &World, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        world.clock.advance(Duration::from_secs(5));
        // The auditor follows the clock, and works in real time.
        world.soon(world.until(&mut is_so)).await;
    }
}

/// Opens the gates of these children.
async fn open(world: &World, forge: &Forge, children: impl IntoIterator<Item = u64>) {
    for n in children {
        world.probe.set(&format!("open {n}"), 1);
        let key = format!("p$grp$n${n}");
        forge.wake::<gated>(&key).await.unwrap();
        world
            .until(|| world.rows().run(&key).state > IDLE + 1)
            .await;
    }
}

/// A parent that waits for so many children, all of which wait at their gates.
async fn waiting(world: &World, count: u64) -> (Forge, Run<u64>) {
    let forge = world.forge([audited::NAME, gated::NAME]).await;
    let run = forge.start("p", audited(count)).await.unwrap();
    world.parked("p").await;
    for n in 0..count {
        world.parked(&format!("p$grp$n${n}")).await;
    }
    (forge, run)
}

#[scenario]
async fn a_counter_that_is_too_high_strands_no_parent(world: &World) {
    let (forge, run) = waiting(world, 4).await;
    open(world, &forge, 0..2).await;
    corrupt(world, 3);
    open(world, &forge, 2..4).await;
    assert_eq!((pending(world), world.parked("p").await.wake_at), (1, None));
    pass_until(world, || world.rows().run("p").state == COMPLETED).await;
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(pending(world), 0);
    let branch = run.branches().await.unwrap().remove(0);
    assert_eq!((branch.pending, branch.repairs), (0, 1));
}

#[scenario]
async fn a_counter_that_is_too_low_lets_no_parent_go_on_early(world: &World) {
    let (forge, run) = waiting(world, 4).await;
    corrupt(world, 2);
    pass_until(world, || pending(world) == 4).await;
    open(world, &forge, 0..3).await;
    assert_eq!((pending(world), world.parked("p").await.wake_at), (1, None));
    open(world, &forge, [3]).await;
    assert_eq!(run.result().await.unwrap(), 6);
}

#[scenario]
async fn a_counter_of_zero_is_found_while_nobody_has_counted_on_it(world: &World) {
    let (forge, run) = waiting(world, 3).await;
    pass_until(world, || audits(world, "flag(audited_at IS NOT NULL)") == 1).await;
    corrupt(world, 0);
    pass_until(world, || pending(world) == 3).await;
    open(world, &forge, 0..3).await;
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.count("merged"), 1);
}

#[scenario]
async fn a_counter_that_goes_wrong_while_children_complete_is_set_right(world: &World) {
    let (forge, run) = waiting(world, 12).await;
    for n in 0..12 {
        if n % 4 == 1 {
            corrupt(world, pending(world) + 1);
        }
        world.clock.advance(Duration::from_secs(5));
        open(world, &forge, [n]).await;
    }
    pass_until(world, || world.rows().run("p").state == COMPLETED).await;
    assert_eq!(run.result().await.unwrap(), 66);
    assert_eq!(pending(world), 0);
}

#[workflow]
async fn slow_dispatch(probe: State<Probe>) -> Result<u64> {
    let children = branch!("grp", {
        let first = spawn_each!("a", 0..3_u64, |n| gated(n));
        step!("between", {
            probe.note("between");
            probe.raised("go on").await;
            Ok(())
        })
        .await?;
        let second = spawn_each!("b", 3..5_u64, |n| gated(n));
        (first, second)
    })
    .await?;
    let (first, second) = merge!(children).await?;
    Ok((first.len() + second.len()) as u64)
}

#[scenario]
async fn a_branch_that_is_still_dispatched_to_is_set_right_and_its_parent_let_alone(world: &World) {
    let forge = world.forge([slow_dispatch::NAME, gated::NAME]).await;
    let run = forge.start("p", slow_dispatch()).await.unwrap();
    world.noted("between", 1).await;
    world
        .until(|| {
            let rows = world.rows().records("p");
            rows.iter().any(|row| row.pending == 3)
        })
        .await;
    corrupt(world, 1);
    pass_until(world, || pending(world) == 3).await;
    let branch = run.branches().await.unwrap().remove(0);
    assert_eq!(
        (branch.sealed, branch.spawned, branch.repairs),
        (false, 3, 1)
    );
    assert!(!world.rows().run("p").wake_requested);
    world.probe.set("all", 1);
    world.probe.set("go on", 1);
    for n in 0..3 {
        forge.wake::<gated>(&format!("p$grp$a${n}")).await.unwrap();
    }
    assert_eq!(run.result().await.unwrap(), 5);
    assert_eq!(pending(world), 0);
}

#[scenario]
async fn a_wake_up_that_was_lost_is_made_good(world: &World) {
    let forge = world.forge([audited::NAME, gated::NAME]).await;
    let run = forge.start("p", audited(2)).await.unwrap();
    world.parked("p").await;
    pass_until(world, || audits(world, "1") == 1).await;
    // Children done and counted, the parent's row as if nobody had told it.
    let sql = "UPDATE chrono_forge_workflows SET state = 2 WHERE key LIKE 'p$%'";
    assert_eq!(world.rows().edit(sql, &[]), 2);
    corrupt(world, 0);
    pass_until(world, || world.rows().run("p").state > IDLE + 1).await;
    assert!(run.result().await.is_err(), "children without results");
    pass_until(world, || audits(world, "1") == 0).await;
}

#[scenario]
async fn a_healthy_branch_is_looked_at_and_left_alone(world: &World) {
    let (forge, run) = waiting(world, 3).await;
    open(world, &forge, [0]).await;
    let rows = || format!("{:?} {:?}", world.rows().runs(), world.rows().records("p"));
    let before = rows();
    pass_until(world, || audits(world, "round") >= 4).await;
    assert_eq!(rows(), before);
    assert_eq!(audits(world, "repairs"), 0);
    open(world, &forge, 1..3).await;
    assert_eq!(run.result().await.unwrap(), 3);
    pass_until(world, || audits(world, "1") == 0).await;
    assert_eq!(world.probe.count("merged"), 1);
}

#[scenario]
async fn of_two_workers_one_audits_a_round(world: &World) {
    let (forge, run) = waiting(world, 3).await;
    let _second = world.forge([gated::NAME]).await;
    pass_until(world, || audits(world, "flag(audited_at IS NOT NULL)") == 1).await;
    for _ in 0..4 {
        let (round, due) = (audits(world, "round"), audits(world, "micros(next_at)"));
        world.move_to(due.max(world.now()));
        pass_until(world, || audits(world, "round") > round).await;
        world
            .until(|| audits(world, "micros(audited_at)") >= due)
            .await;
        // Whoever came second finds the next audit in the future.
        assert_eq!(audits(world, "round"), round + 1);
        assert!(audits(world, "micros(next_at)") > world.now());
    }
    open(world, &forge, 0..3).await;
    assert_eq!(run.result().await.unwrap(), 3);
}

#[scenario]
async fn an_audit_that_died_is_taken_over_with_the_next_round(world: &World) {
    for place in ["claim_audits", "recount_branch", "record_audits"] {
        for side in ["before", "after"] {
            let key = format!("{place} {side}");
            let forge = world.forge([audited::NAME, gated::NAME]).await;
            let run = forge.start(&key, audited(2)).await.unwrap();
            world.parked(&key).await;
            for n in 0..2 {
                world.parked(&format!("{key}$grp$n${n}")).await;
            }
            let sql = "UPDATE chrono_forge_execution_logs SET pending = 1
                WHERE step_name = 'branch$grp' AND pending > 0";
            assert_eq!(world.rows().edit(sql, &[]), 1);
            world.failpoints.arm(&format!("commit.{side}.{place}"), 1);
            let dead = async {
                loop {
                    world.clock.advance(Duration::from_secs(5));
                    world.soon(std::future::pending::<()>()).await;
                }
            };
            tokio::select! {
                () = forge.crashed() => {}
                () = dead => {}
            }
            world.bury();
            world.failpoints.disarm();
            // The dead one's claim on the audit.
            world.clock.advance(Duration::from_secs(600));
            let forge = world.forge([audited::NAME, gated::NAME]).await;
            pass_until(world, || {
                world.rows().record(&key, "branch$grp").pending == 2
            })
            .await;
            world.probe.set("all", 1);
            for n in 0..2 {
                forge
                    .wake::<gated>(&format!("{key}$grp$n${n}"))
                    .await
                    .unwrap();
            }
            let run = forge.get::<audited>(run.key()).await.unwrap().unwrap();
            assert_eq!(run.result().await.unwrap(), 1, "{key}");
            let branch = run.branches().await.unwrap().remove(0);
            assert_eq!(branch.repairs, 1, "{key}: twice is once");
            world.probe.set("all", 0);
            forge.shutdown().await;
        }
    }
}

#[scenario]
async fn without_a_worker_nobody_audits(world: &World) {
    let (forge, _) = waiting(world, 1).await;
    forge.shutdown().await;
    let client = world.client().await;
    world.clock.advance(Duration::from_secs(60));
    let run = client.get::<audited>("p").await.unwrap().unwrap();
    assert_eq!(
        world.soon(world.until(|| audits(world, "1") > 0)).await,
        None
    );
    let told = run.audit().await.unwrap().remove(0);
    assert_eq!((told.pending, told.never_started), (1, Some(0)));
}

/// The one branch of a run.
async fn only<T>(run: &Run<T>) -> BranchState {
    let mut branches = run.branches().await.unwrap();
    assert_eq!(branches.len(), 1);
    branches.remove(0)
}

/// The state of a child's run.
fn is_failed(world: &World, n: u64) -> bool {
    world.rows().run(&format!("p$grp$n${n}")).state == FAILED
}
