//! What one claim and one look for the next wake-up cost: steps of SQLite's virtual machine, which do
//! not depend on the machine below, and time, which does.

use std::time::Instant;

use anyhow::{Result, ensure};
use rusqlite::{Connection, Params, Statement, StatementStatus};
use serde::{Deserialize, Serialize};

use crate::floor::database::now;
use crate::floor::statements as sql;
use crate::stats::median;

/// Runs that one claim takes.
pub const BATCH: u64 = 64;

/// How often the time is taken.
const TIMES: usize = 51;

/// Every level, healthy ones and those that return.
const LEVELS: usize = 16;

/// What a worker serves.
#[derive(Clone, Debug)]
pub struct Served {
    pub queues: Vec<String>,
    pub workflows: Vec<String>,
}

/// Of one claim of [`BATCH`] due runs, and of one look for the next wake-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Places of the index that a claim looks at: each level of each queue, and in levels that something
    /// waits in the range of each workflow.
    pub ranges: u64,
    pub claim_steps: i64,
    pub claim_us: f64,
    pub next_wake_steps: i64,
    pub next_wake_us: f64,
}

impl Cost {
    /// Measures on this database in a transaction that is rolled back, so that each claim finds
    /// the same due runs and nothing is left of them.
    pub fn of(conn: &Connection, served: &Served) -> Result<Self> {
        let (first_queue, first_workflow) = (&served.queues[0], &served.workflows[0]);
        conn.execute_batch("BEGIN IMMEDIATE")?;
        enter_due(conn, first_queue, first_workflow)?;
        let mut worker = Worker::prepare(conn, served)?;
        let mut claims = Vec::new();
        let mut looks = Vec::new();
        for _ in 0..TIMES {
            conn.execute_batch("SAVEPOINT claim")?;
            claims.push(timed(|| worker.claim())?);
            conn.execute_batch("ROLLBACK TO claim")?;
            looks.push(timed(|| worker.next_wake())?);
        }
        let filled = filled_levels(conn, &served.queues)?;
        conn.execute_batch("ROLLBACK")?;
        Ok(Self {
            ranges: (served.queues.len() * LEVELS + filled * served.workflows.len()) as u64,
            claim_steps: same(&claims)?,
            claim_us: median(claims.iter().map(|(_, us)| *us)).unwrap_or_default(),
            next_wake_steps: same(&looks)?,
            next_wake_us: median(looks.iter().map(|(_, us)| *us)).unwrap_or_default(),
        })
    }

    /// Rows and index entries that the claim touched, at most: it looks at one entry in each range,
    /// and reads and writes the row and the entry of each run that it takes.
    pub fn rows_touched(&self) -> u64 {
        self.ranges + 4 * BATCH
    }
}

/// Levels of these queues that something waits in.
fn filled_levels(conn: &Connection, queues: &[String]) -> Result<usize> {
    let levels: i64 = conn.query_row(
        "SELECT count(*) FROM (SELECT DISTINCT queue, priority FROM chrono_forge_workflows
            WHERE wake_at IS NOT NULL AND queue IN (SELECT value FROM json_each(?)))",
        [serde_json::to_string(queues)?],
        |row| row.get(0),
    )?;
    Ok(usize::try_from(levels)?)
}

fn enter_due(conn: &Connection, queue: &str, workflow: &str) -> Result<()> {
    let at = now();
    let mut insert = conn.prepare(
        "INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, wake_at, created_at, updated_at, args)
        VALUES (?, ?, ?, 1, ?, ?, ?, '{}')",
    )?;
    for n in 0..BATCH {
        insert.execute((workflow, format!("due{n}"), queue, at - 1_000, at, at))?;
    }
    Ok(())
}

/// The store's statements, prepared, and what they are asked.
struct Worker<'c> {
    due: Statement<'c>,
    take: Statement<'c>,
    look: Statement<'c>,
    queues: &'c [String],
    queue_list: String,
    workflow_list: String,
    level_list: String,
}

impl<'c> Worker<'c> {
    fn prepare(conn: &'c Connection, served: &'c Served) -> Result<Self> {
        let levels: Vec<usize> = (0..LEVELS).collect();
        Ok(Self {
            due: conn.prepare(sql::DUE)?,
            take: conn.prepare(sql::TAKE)?,
            look: conn.prepare(sql::NEXT_WAKE)?,
            queues: &served.queues,
            queue_list: serde_json::to_string(&served.queues)?,
            workflow_list: serde_json::to_string(&served.workflows)?,
            level_list: serde_json::to_string(&levels)?,
        })
    }

    /// For each queue the due runs, healthy ones and others, then the take. Answers the steps.
    fn claim(&mut self) -> Result<i64> {
        let (at, limit) = (now(), BATCH as i64);
        let (mut ids, mut steps) = (Vec::new(), 0);
        for queue in self.queues {
            for levels in [sql::HEALTHY, sql::RETURNING] {
                let bound = (queue, levels, &self.workflow_list, at, limit);
                ids.extend(numbers(&mut self.due, bound)?);
                steps += spent(&self.due);
            }
        }
        ensure!(ids.len() as u64 == BATCH, "{} runs are due", ids.len());
        self.take
            .execute((1, at, at, serde_json::to_string(&ids)?))?;
        Ok(steps + spent(&self.take))
    }

    fn next_wake(&mut self) -> Result<i64> {
        let bound = (&self.queue_list, &self.level_list, &self.workflow_list);
        numbers(&mut self.look, bound)?;
        Ok(spent(&self.look))
    }
}

fn numbers(statement: &mut Statement<'_>, bound: impl Params) -> Result<Vec<i64>> {
    let rows = statement.query_map(bound, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Steps since this was asked last.
fn spent(statement: &Statement<'_>) -> i64 {
    statement.reset_status(StatementStatus::VmStep).into()
}

fn timed(work: impl FnOnce() -> Result<i64>) -> Result<(i64, f64)> {
    let begun = Instant::now();
    let steps = work()?;
    Ok((steps, begun.elapsed().as_secs_f64() * 1e6))
}

/// The steps, which are the same each time.
fn same(measured: &[(i64, f64)]) -> Result<i64> {
    let steps = measured.first().map_or(0, |(steps, _)| *steps);
    ensure!(
        measured.iter().all(|(other, _)| *other == steps),
        "the same statements took different steps: {measured:?}"
    );
    Ok(steps)
}
