//! The floor leaves what the engine leaves, on a server, too.

use std::fmt::Write as _;

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::engine;
use crate::floor::fanout::{self, Shape};
use crate::floor::{server, steps};
use crate::place::{Ground, Home, Place};

const CHILDREN: u64 = 50;

/// Where there is no server a test is skipped, by name.
fn ground() -> Option<Ground> {
    let url = std::env::var("CHRONO_FORGE_TEST_POSTGRES_URL").ok();
    if url.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or_default();
        eprintln!("skipped {test}: set CHRONO_FORGE_TEST_POSTGRES_URL");
    }
    url.map(Ground::Server)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(place: &Place, sql: &str) -> Vec<String> {
    let mut conn = server::connect_in_schema(&place.url()).unwrap();
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut conn).unwrap();
    lines.into_iter().map(|row| row.line).collect()
}

/// Rows of each table, and of each column those that are not null. Without the table of
/// applications: the engine fills it when it is opened, and no run writes to it.
fn counts(place: &Place) -> Vec<String> {
    let columns = "SELECT table_name || ' ' || column_name AS line
        FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = current_schema() AND table_name LIKE 'chrono\\_forge\\_%'
            AND table_name NOT LIKE '%migrations' AND table_name NOT LIKE '%applications' AND table_type = 'BASE TABLE'
        ORDER BY 1";
    let mut counting = String::new();
    for column in lines(place, columns) {
        let (table, column) = column.split_once(' ').unwrap();
        let and = if counting.is_empty() {
            ""
        } else {
            " UNION ALL "
        };
        write!(
            counting,
            "{and}SELECT '{table}.{column} ' || count(\"{column}\") AS line FROM {table}"
        )
        .unwrap();
    }
    lines(place, &counting)
}

/// Everything that does not depend on the clock or on which pass came first.
fn contents(place: &Place) -> Vec<String> {
    let runs = "SELECT concat_ws(' ', workflow, key, queue, priority, state, args, output, context,
            options, retry_counts, attempts, crashes) AS line
        FROM chrono_forge_workflows";
    let records = "SELECT concat_ws(' ', w.key, l.step_name, coalesce(l.seq, -1), l.state,
            l.attempts, l.spawned, l.pending, coalesce(l.result, '-'), coalesce(l.metadata, '-')) AS line
        FROM chrono_forge_execution_logs AS l JOIN chrono_forge_workflows AS w
            ON w.id = l.workflow_id";
    let mut all = lines(place, runs);
    all.extend(lines(place, records));
    // Runs that start at once get their ids in any order.
    all.sort();
    all
}

fn assert_alike(engine: &Home, floor: &Home) {
    assert_eq!(contents(&engine.place), contents(&floor.place));
    assert_eq!(counts(&engine.place), counts(&floor.place));
}

#[test]
fn a_fan_out_leaves_the_same_rows() {
    let Some(ground) = ground() else { return };
    let engine = ground.home().unwrap();
    let shape = engine::fanout::Shape::of(CHILDREN);
    engine::fanout::measure(&engine.place, &shape).unwrap();
    for (writers, claimed) in [(1, true), (2, true), (2, false)] {
        let floor = ground.home().unwrap();
        let shape = Shape {
            children: CHILDREN,
            batch: 20,
            writers,
            claimed,
        };
        fanout::measure(&floor.place, &shape).unwrap();
        assert_alike(&engine, &floor);
    }
}

#[test]
fn runs_of_steps_leave_the_same_rows() {
    let Some(ground) = ground() else { return };
    let (engine, floor) = (ground.home().unwrap(), ground.home().unwrap());
    engine::steps::concurrent(&engine.place, 3, 4).unwrap();
    steps::together(&floor.place, 3, 4).unwrap();
    assert_alike(&engine, &floor);
}

#[test]
fn short_runs_leave_the_same_rows() {
    let Some(ground) = ground() else { return };
    let (engine, floor) = (ground.home().unwrap(), ground.home().unwrap());
    engine::steps::concurrent(&engine.place, 3, 1).unwrap();
    steps::latency(&floor.place, 3).unwrap();
    assert_alike(&engine, &floor);
}
