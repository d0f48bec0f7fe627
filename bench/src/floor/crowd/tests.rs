//! A claim does not notice the crowd.

use super::*;
use crate::floor::Database;

fn served() -> Served {
    Served {
        queues: QUEUES.map(str::to_owned).to_vec(),
        workflows: WORKFLOWS.map(str::to_owned).to_vec(),
    }
}

fn cost(kind: Kind, runs: u64) -> Cost {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bench.db");
    let database = Database::create(&path).unwrap();
    enter(&Place::File(path.clone()), kind, runs).unwrap();
    let count = |filter: &str| {
        let sql = format!("SELECT count(*) FROM chrono_forge_workflows WHERE {filter}");
        let count = database
            .conn
            .query_row(&sql, (), |row| row.get::<_, i64>(0));
        count.unwrap() as u64
    };
    assert_eq!(count("key LIKE 'crowd%' AND wake_at IS NOT NULL"), runs);
    for queue in QUEUES {
        assert_eq!(count(&format!("queue = '{queue}'")), runs / 2);
    }
    let cost = Cost::of(&database.conn, &served()).unwrap();
    assert_eq!(count("1"), runs, "nothing is left of what was claimed");
    cost
}

#[test]
fn the_steps_of_a_claim_do_not_grow_with_the_crowd() {
    for kind in [Kind::Sleepers, Kind::Unclaimable] {
        let (few, many) = (cost(kind, 80), cost(kind, 8_000));
        assert!(few.claim_steps > 0 && few.next_wake_steps > 0);
        assert_eq!(few.claim_steps, many.claim_steps, "{kind:?}");
        assert_eq!(few.next_wake_steps, many.next_wake_steps, "{kind:?}");
        // One level of each queue is filled.
        assert_eq!(many.ranges, 2 * 16 + 2 * 4);
    }
}
