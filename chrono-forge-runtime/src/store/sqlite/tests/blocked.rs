//! The list of blocked runs, read directly: the store does not answer it yet.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::fixture::*;
use crate::record::*;

#[derive(QueryableByName, Debug, PartialEq, Eq)]
struct Blocked {
    #[diesel(sql_type = BigInt)]
    workflow_id: i64,
    #[diesel(sql_type = BigInt)]
    parent: i64,
    #[diesel(sql_type = BigInt)]
    state: i64,
    #[diesel(sql_type = BigInt)]
    since: i64,
}

fn blocked(forge: &Forge) -> Vec<Blocked> {
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::sql_query(
        "SELECT workflow_id, ifnull(parent_execution_log_id, 0) AS parent, state, since
        FROM chrono_forge_blocked ORDER BY workflow_id",
    )
    .load(&mut conn)
    .unwrap()
}

#[test]
fn failed_and_stalled_runs_enter_the_list() {
    let mut forge = Forge::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
    };
    let stalled = RunEnd::Stalled {
        step_name: "s".into(),
        at: at(4),
    };
    forge.end(&children[0], failed);
    forge.end(&children[1], stalled);
    forge.end(&children[2], done("1"));
    let row = |child: &ClaimedRun, state, since| Blocked {
        workflow_id: child.id.0,
        parent: child.parent.unwrap().0,
        state,
        since: at(since).as_microsecond(),
    };
    assert_eq!(
        blocked(&forge),
        [row(&children[0], 3, 3), row(&children[1], 4, 4)]
    );
}

#[test]
fn a_run_that_goes_on_leaves_the_list() {
    let mut forge = Forge::new();
    let (back, stays) = (forge.running("back"), forge.running("stays"));
    for run in [&back, &stays] {
        forge.end(
            run,
            RunEnd::Failed {
                at: at(3),
                attempts: 1,
            },
        );
    }
    // What a retry does to the run's row.
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::sql_query(
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = 1 WHERE key = 'back'",
    )
    .execute(&mut conn)
    .unwrap();
    let again = forge.claim(at(5)).remove(0);
    forge.end(&again, done("1"));
    assert_eq!(blocked(&forge).len(), 1);
    assert_eq!(blocked(&forge)[0].workflow_id, stays.id.0);
}

#[test]
fn a_poisoned_run_is_on_the_list() {
    let mut forge = Forge::new();
    let run = forge.start_at("p", 1, at(1));
    for _ in 0..7 {
        let worker = forge.writer.register_worker("x", "h", 1, at(0)).unwrap();
        assert_eq!(forge.claim_as(worker, at(5)).len(), 1);
        forge
            .writer
            .declare_dead(worker, None, LIMITS, at(5))
            .unwrap()
            .unwrap();
    }
    let expected = Blocked {
        workflow_id: run.0,
        parent: 0,
        state: 3,
        since: at(5).as_microsecond(),
    };
    assert_eq!(blocked(&forge), [expected]);
}
