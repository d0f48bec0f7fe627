//! The children: inserted, claimed, completed, a batch at a time.

use std::fmt::Write;
use std::ops::Range;

use anyhow::{Result, ensure};
use rusqlite::Statement;

use super::PARENT;
use crate::floor::Database;
use crate::floor::database::now;
use crate::floor::rows::{Binder, Rows};
use crate::floor::statements as sql;

/// What a claim asks for: every workflow that the engine's process serves.
const SERVED: &str = r#"["parent","child"]"#;

/// The statements of a fan-out, prepared.
pub struct Children<'c> {
    worker: i64,
    branch: i64,
    text: String,
    fences: Rows<'c>,
    insert_claimed: Rows<'c>,
    insert_idle: Rows<'c>,
    records: Rows<'c>,
    complete: Rows<'c>,
    raise: Statement<'c>,
    count_down: Statement<'c>,
    claims: Statement<'c>,
    due: Statement<'c>,
    take: Statement<'c>,
}

impl<'c> Children<'c> {
    pub fn prepare(database: &'c Database) -> Result<Self> {
        let conn = &database.conn;
        Ok(Self {
            worker: database.worker,
            branch: 0,
            text: String::new(),
            fences: Rows::prepare(conn, sql::FENCE)?,
            insert_claimed: Rows::prepare(conn, sql::INSERT_CLAIMED)?,
            insert_idle: Rows::prepare(conn, sql::INSERT_IDLE)?,
            records: Rows::prepare(conn, sql::RECORD)?,
            complete: Rows::prepare(conn, sql::COMPLETE)?,
            raise: conn.prepare(sql::RAISE)?,
            count_down: conn.prepare(sql::COUNT_DOWN)?,
            claims: conn.prepare(sql::CLAIMS)?,
            due: conn.prepare(sql::DUE)?,
            take: conn.prepare(sql::TAKE)?,
        })
    }

    /// Every run that this transaction writes is still held under its epoch.
    pub fn check_fences(&mut self, children: Range<u64>, parent: bool) -> Result<()> {
        let worker = self.worker;
        let mut lost = 0;
        let bind = |id: i64, row: &mut Binder<'_, '_>| row.push_all([id, worker, 1]);
        let mut note = |_: &rusqlite::Row<'_>| {
            lost += 1;
            Ok(())
        };
        if parent {
            self.fences
                .query([0].into_iter(), |_, row| bind(PARENT, row), &mut note)?;
        }
        self.fences
            .query(Numbers(children), |n, row| bind(run_id(n), row), &mut note)?;
        ensure!(lost == 0, "{lost} fences are lost");
        Ok(())
    }

    /// Raises the branch with its cursor and inserts these children.
    pub fn insert(&mut self, children: Range<u64>, claimed: bool) -> Result<()> {
        let (worker, at) = (self.worker, now());
        let added = (children.end - children.start) as i64;
        let cursors = format!(r#"{{"cursors":{{"child":{{"n":{}}}}}}}"#, children.end);
        self.branch = self
            .raise
            .query_row((PARENT, at, added, added, cursors), |row| row.get(0))?;
        let (branch, text) = (self.branch, &mut self.text);
        let mut columns = |n: u64, row: &mut Binder<'_, '_>| {
            row.push(run_id(n))?;
            row.push("child")?;
            row.push(written(text, format_args!("p$all$child${n}")))?;
            row.push("default")?;
            row.push(level(n))?;
            row.push(written(text, format_args!(r#"{{"n":{n}}}"#)))?;
            row.push_all([branch, at, at, at])
        };
        if !claimed {
            return Ok(self.insert_idle.execute(Numbers(children), columns)?);
        }
        self.insert_claimed
            .execute(Numbers(children.clone()), |n, row| {
                columns(n, row)?;
                row.push(worker)
            })?;
        let ids = id_list(children.map(run_id));
        self.claims.execute((worker, ids))?;
        Ok(())
    }

    /// Claims what is due, which is these children.
    pub fn claim(&mut self, children: Range<u64>) -> Result<()> {
        let at = now();
        let wanted = (children.end - children.start) as usize;
        let mut ids = Vec::with_capacity(wanted);
        // A busy engine leaves one place in thirty-two to runs that return, and finds none here.
        for (levels, limit) in [
            (sql::HEALTHY, wanted),
            (sql::RETURNING, (wanted / 32).max(1)),
        ] {
            let mut rows = self
                .due
                .query(("default", levels, SERVED, at, limit as i64))?;
            while let Some(row) = rows.next()? {
                // What a claim hands to the body.
                for column in [1, 2, 5, 7] {
                    std::hint::black_box(row.get_ref(column)?.as_str()?);
                }
                ids.push(row.get::<_, i64>(0)?);
            }
        }
        ensure!(ids.len() == wanted, "{} of {wanted} are due", ids.len());
        let list = id_list(ids.into_iter());
        self.take.execute((self.worker, at, at, &list))?;
        self.claims.execute((self.worker, &list))?;
        Ok(())
    }

    /// Writes the step's record and the completion of each, and counts them down.
    pub fn complete(&mut self, children: Range<u64>) -> Result<()> {
        let (at, text) = (now(), &mut self.text);
        self.records.execute(Numbers(children.clone()), |n, row| {
            row.push(run_id(n))?;
            row.push("step$double")?;
            row.push_all([1, 1, at, at, at])?;
            row.push(written(text, format_args!("{}", n * 2)))
        })?;
        self.complete.execute(Numbers(children.clone()), |n, row| {
            row.push(run_id(n))?;
            row.push(written(text, format_args!("{}", n * 2)))?;
            row.push(at)
        })?;
        let done = (children.end - children.start) as i64;
        self.count_down.execute((done, self.branch))?;
        Ok(())
    }
}

/// A range of numbers that knows its length.
struct Numbers(Range<u64>);

impl Iterator for Numbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Numbers {}

/// Children follow the parent.
fn run_id(child: u64) -> i64 {
    child as i64 + PARENT + 1
}

/// The level of a child with normal priority, by its tier.
fn level(child: u64) -> i64 {
    match child {
        0..100 => 4,
        100..10_000 => 7,
        _ => 10,
    }
}

/// This text in a buffer that is used again.
fn written<'t>(buffer: &'t mut String, text: std::fmt::Arguments<'_>) -> &'t str {
    buffer.clear();
    // Writing to a string cannot fail.
    let _ = buffer.write_fmt(text);
    buffer
}

fn id_list(ids: impl Iterator<Item = i64>) -> String {
    let mut list = String::from("[");
    for id in ids {
        let comma = if list.len() > 1 { "," } else { "" };
        let _ = write!(list, "{comma}{id}");
    }
    list.push(']');
    list
}
