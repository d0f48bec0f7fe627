//! Runs of steps, as bare transactions on one writer thread.

use rusqlite::{Connection, Statement};

use anyhow::{Result, ensure};

use super::Database;
use super::database::now;
use super::rows::Rows;
use super::statements as sql;

/// The statements of these transactions, prepared.
pub struct Runs<'c> {
    worker: i64,
    begin: Statement<'c>,
    commit: Statement<'c>,
    fences: Rows<'c>,
    start: Rows<'c>,
    claims: Statement<'c>,
    records: Rows<'c>,
    complete: Rows<'c>,
}

/// What the runs of one transaction have in common.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The first run's id and how many follow it.
    pub first: i64,
    pub runs: u64,
    /// The step of each run, from 0.
    pub nth: u64,
    /// Whether the runs complete with it.
    pub last: bool,
}

impl<'c> Runs<'c> {
    pub fn prepare(database: &'c Database) -> Result<Self> {
        let conn: &Connection = &database.conn;
        Ok(Self {
            worker: database.worker,
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
            fences: Rows::prepare(conn, sql::FENCE)?,
            start: Rows::prepare(conn, sql::START)?,
            claims: conn.prepare(sql::CLAIMS)?,
            records: Rows::prepare(conn, sql::RECORD)?,
            complete: Rows::prepare(conn, sql::COMPLETE)?,
        })
    }

    /// Inserts runs already claimed, as a direct start does.
    pub fn start(&mut self, first: i64, runs: u64, steps: u64) -> Result<()> {
        let (at, worker) = (now(), self.worker);
        let args = format!(r#"{{"count":{steps}}}"#);
        self.begin.execute(())?;
        self.start.execute(numbers(first, runs), |id, row| {
            row.push(id as i64)?;
            row.push("steps")?;
            row.push(format!("r{}", id - 1))?;
            row.push(1)?;
            row.push(&args)?;
            row.push_all([at, at, worker, at])
        })?;
        let ids: Vec<String> = numbers(first, runs).map(|id| id.to_string()).collect();
        self.claims
            .execute((worker, format!("[{}]", ids.join(","))))?;
        self.commit.execute(())?;
        Ok(())
    }

    /// One step of each run: a fenced commit.
    pub fn step(&mut self, step: Step) -> Result<()> {
        let (at, worker) = (now(), self.worker);
        let name = format!("step$n{}", step.nth);
        let result = step.nth.to_string();
        let ids = || numbers(step.first, step.runs);
        let mut lost = 0;
        self.begin.execute(())?;
        let fence =
            |id: u64, row: &mut super::rows::Binder<'_, '_>| row.push_all([id as i64, worker, 1]);
        self.fences.query(ids(), fence, |_| {
            lost += 1;
            Ok(())
        })?;
        ensure!(lost == 0, "{lost} fences are lost");
        self.records.execute(ids(), |id, row| {
            row.push(id as i64)?;
            row.push(&name)?;
            row.push_all([step.nth as i64 + 1, 1, at, at, at])?;
            row.push(&result)
        })?;
        if step.last {
            self.complete.execute(ids(), |id, row| {
                row.push(id as i64)?;
                row.push(sum_to(step.nth).to_string())?;
                row.push(at)
            })?;
        }
        self.commit.execute(())?;
        Ok(())
    }
}

fn numbers(first: i64, runs: u64) -> impl ExactSizeIterator<Item = u64> {
    (0..runs as usize).map(move |nth| first as u64 + nth as u64)
}

pub fn sum_to(last: u64) -> u64 {
    last * (last + 1) / 2
}
