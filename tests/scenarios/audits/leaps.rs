//! Audits under a clock that is set back: they go on, whatever instants were written before.

use chrono_forge_tests::scenario::{COMPLETED, World, scenario};

use super::{audited, audits, corrupt, corrupt_of, open, pass_until, pending, waiting};

const HOUR: i64 = 3_600_000_000;

/// However far the clock has to come until a branch is audited at the latest, twice as far.
const SOON: i64 = HOUR / 2;

fn set_back(world: &World) -> i64 {
    let instant = world.now() - HOUR;
    world
        .clock
        .set(jiff::Timestamp::from_microsecond(instant).unwrap());
    instant
}

/// Its turn was planned by a clock that was set back since, and that of another branch by the one
/// of now: as where there are more of them than one round takes.
#[scenario]
async fn a_branch_whose_turn_was_planned_before_the_clock_was_set_back_is_audited(world: &World) {
    let (forge, run) = waiting(world, 4).await;
    forge.start("q", audited(3)).await.unwrap();
    pass_until(world, || audits(world, "flag(audited_at IS NOT NULL)") == 2).await;
    let begun = world.now();
    let plan = "UPDATE chrono_forge_audits SET next_at = instant(?) WHERE execution_log_id IN
        (SELECT l.id FROM chrono_forge_execution_logs AS l
        JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id WHERE w.key = 'p')";
    assert_eq!(world.rows().edit(plan, &[(begun + 2 * HOUR).into()]), 1);
    corrupt_of(world, "p", 2);
    pass_until(world, || pending(world) == 4).await;
    let passed = world.now() - begun;
    assert!(passed < SOON, "after {} s", passed / 1_000_000);
    open(world, &forge, 0..4).await;
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(world.rows().run("p").state, COMPLETED);
}

/// Nobody has audited it before, and by its row it is not open yet.
#[scenario]
async fn a_branch_that_was_opened_before_the_clock_was_set_back_is_audited(world: &World) {
    let (forge, run) = waiting(world, 4).await;
    let begun = set_back(world);
    corrupt(world, 2);
    pass_until(world, || pending(world) == 4).await;
    let passed = world.now() - begun;
    assert!(passed < SOON, "after {} s", passed / 1_000_000);
    open(world, &forge, 0..4).await;
    assert_eq!(run.result().await.unwrap(), 6);
}
