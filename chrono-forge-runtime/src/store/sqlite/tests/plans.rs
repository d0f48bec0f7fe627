//! Query plans: no statement of the hot paths may walk a table that grows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::fixture::*;
use crate::store::sqlite::{SqliteStore, claim, queue, records};

type Explained = (BigInt, BigInt, BigInt, Text);

fn plan(sql: &str) -> String {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.options()).unwrap();
    let mut conn = store.writing.lock();
    let sql: &'static str =
        Box::leak(format!("EXPLAIN QUERY PLAN {}", sql.replace('?', "NULL")).into_boxed_str());
    let rows: Vec<(i64, i64, i64, String)> = crate::store::sqlite::Stmt::<Explained>::new(sql, &[])
        .load(&mut *conn)
        .unwrap();
    rows.into_iter()
        .map(|(_, _, _, detail)| detail + "\n")
        .collect()
}

#[test]
fn claims_and_wake_look_ups_are_index_ranges() {
    let due = plan(claim::DUE);
    let range = "USING INDEX chrono_forge_workflows_ready (queue=? AND priority=? AND workflow=? AND wake_at<?)";
    assert!(due.contains(range), "{due}");
    assert!(!due.contains("TEMP B-TREE"), "{due}");
    let next = plan(queue::NEXT_WAKE);
    assert!(
        next.contains("(queue=? AND priority=? AND workflow=?"),
        "{next}"
    );
    assert!(!next.contains("TEMP B-TREE"), "{next}");
    let ranges = plan(queue::RANGES);
    assert!(
        ranges.contains("(queue>?") || ranges.contains("queue,priority,workflow)>(?"),
        "{ranges}"
    );
    let outputs = plan(records::OUTPUTS);
    assert!(
        outputs.contains("chrono_forge_workflows_parent (parent_execution_log_id=? AND rowid>?)"),
        "{outputs}"
    );
}
