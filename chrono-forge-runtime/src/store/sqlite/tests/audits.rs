//! Audits: what is counted, whose turn it is, what is repaired and who is woken.

mod recounts;
mod rounds;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::fixture::*;
use crate::record::*;

/// Every child of a branch.
const ALL: RunId = RunId(i64::MAX);

/// Changes rows behind the store's back.
fn edit(forge: &Forge, sql: &str) {
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    // Edits tear rows apart on purpose.
    conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    let changed = diesel::sql_query(sql).execute(&mut conn).unwrap();
    assert_eq!(changed, 1, "{sql}");
}

/// Sets the counter of `branch$b`, the only branch there is.
fn corrupt(forge: &Forge, pending: u64) {
    edit(
        forge,
        &format!(
            "UPDATE chrono_forge_execution_logs SET pending = {pending}
            WHERE step_name = 'branch$b'"
        ),
    );
}

fn number(forge: &Forge, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let sql = format!("SELECT ({sql}) AS n");
    let rows: Vec<Number> = diesel::sql_query(sql).load(&mut conn).unwrap();
    rows[0].n
}

fn audits(forge: &Forge) -> i64 {
    number(forge, "SELECT count(*) FROM chrono_forge_audits")
}

/// The rows of runs and records as they are, all that is outside the auditor's own table.
fn rows(forge: &Forge) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let lines: Vec<Line> = diesel::sql_query(
        "SELECT json_array(id, state, wake_at, wake_requested, locked_by, lock_epoch, updated_at) AS line
        FROM chrono_forge_workflows
        UNION ALL
        SELECT json_array(id, step_name, state, spawned, pending, metadata)
        FROM chrono_forge_execution_logs",
    )
    .load(&mut conn)
    .unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// A parent that waits at `merge$b`, and its children.
fn waiting(forge: &mut Forge, children: u32) -> (ClaimedRun, Vec<ClaimedRun>, RecordId) {
    let parent = forge.running("p");
    let claimed = forge.branch(&parent, children);
    forge.seal(&parent);
    let plan = Plan {
        records: vec![record("merge$b")],
        end: Some(parked(None)),
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let branch = forge.store.branches(parent.id, &names(&["branch$b"]));
    let branch = branch.unwrap()[0].id;
    (parent, claimed, branch)
}
