//! The floor leaves what the engine leaves.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::fanout::{self, Shape};
use super::steps;
use crate::engine;
use crate::place::Place;

const CHILDREN: u64 = 50;

/// Rows of each table, and of each column those that are not null. Without the table of
/// applications: the engine fills it when it is opened, and no run writes to it.
type Counts = BTreeMap<String, i64>;

fn counts(path: &Path) -> Counts {
    let conn = Connection::open(path).unwrap();
    let columns = "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND t.name LIKE 'chrono_forge_%'
            AND t.name <> 'chrono_forge_applications'";
    let mut columns = conn.prepare(columns).unwrap();
    let columns = columns.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    let columns: Vec<(String, String)> = columns.unwrap().map(Result::unwrap).collect();
    let count = |(table, column): &(String, String)| {
        let sql = format!("SELECT count(\"{column}\") FROM {table}");
        let count = conn.query_row(&sql, (), |row| row.get(0)).unwrap();
        (format!("{table}.{column}"), count)
    };
    columns.iter().map(count).collect()
}

/// Everything that does not depend on the clock or on which pass came first.
fn contents(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let runs = "SELECT workflow || ' ' || key || ' ' || queue || ' ' || priority || ' ' || state
            || ' ' || args || ' ' || output || ' ' || context || ' ' || options || ' '
            || retry_counts || ' ' || attempts || ' ' || crashes
        FROM chrono_forge_workflows ORDER BY id";
    let records = "SELECT w.key || ' ' || l.step_name || ' ' || ifnull(l.seq, '-') || ' '
            || l.state || ' ' || l.attempts || ' ' || l.spawned || ' ' || l.pending || ' '
            || ifnull(l.result, '-') || ' ' || ifnull(l.metadata, '-')
        FROM chrono_forge_execution_logs AS l JOIN chrono_forge_workflows AS w
            ON w.id = l.workflow_id
        ORDER BY w.id, l.step_name";
    let mut lines: Vec<String> = Vec::new();
    for sql in [runs, records] {
        let mut rows = conn.prepare(sql).unwrap();
        let rows = rows.query_map((), |row| row.get::<_, String>(0)).unwrap();
        lines.extend(rows.map(Result::unwrap));
    }
    // Runs that start at once get their ids in any order.
    lines.sort();
    lines
}

fn assert_alike(engine: &Path, floor: &Path) {
    let (left, right) = (contents(engine), contents(floor));
    for (engine, floor) in left.iter().zip(&right) {
        assert_eq!(engine, floor);
    }
    assert_eq!(left.len(), right.len());
    for (engine, floor) in counts(engine).iter().zip(&counts(floor)) {
        assert_eq!(engine, floor);
    }
}

#[test]
fn a_fan_out_leaves_the_same_rows() {
    let home = tempfile::tempdir().unwrap();
    let engine = home.path().join("engine.db");
    let shape = engine::fanout::Shape::of(CHILDREN);
    engine::fanout::measure(&Place::File(engine.clone()), &shape).unwrap();
    for claimed in [true, false] {
        let floor = home.path().join(format!("floor-{claimed}.db"));
        let shape = Shape {
            children: CHILDREN,
            batch: 20,
            writers: 1,
            claimed,
        };
        fanout::measure(&Place::File(floor.clone()), &shape).unwrap();
        assert_alike(&engine, &floor);
    }
}

#[test]
fn runs_of_steps_leave_the_same_rows() {
    let home = tempfile::tempdir().unwrap();
    let (engine, floor) = (home.path().join("engine.db"), home.path().join("floor.db"));
    engine::steps::concurrent(&Place::File(engine.clone()), 3, 4).unwrap();
    steps::together(&Place::File(floor.clone()), 3, 4).unwrap();
    assert_alike(&engine, &floor);
}

#[test]
fn short_runs_leave_the_same_rows() {
    let home = tempfile::tempdir().unwrap();
    let (engine, floor) = (home.path().join("engine.db"), home.path().join("floor.db"));
    engine::steps::concurrent(&Place::File(engine.clone()), 3, 1).unwrap();
    steps::latency(&Place::File(floor.clone()), 3).unwrap();
    assert_alike(&engine, &floor);
}
