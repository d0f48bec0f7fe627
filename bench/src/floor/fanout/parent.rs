//! The parent: started claimed, sealed, parked, made due by its last child, claimed again, completed.

use anyhow::{Result, ensure};
use rusqlite::Connection;
use rusqlite::types::Null;

use super::PARENT;
use crate::floor::database::now;
use crate::floor::rows::Rows;
use crate::floor::statements as sql;

pub fn start(conn: &Connection, worker: i64, children: u64) -> Result<()> {
    let at = now();
    let args = format!(r#"{{"children":{children}}}"#);
    Rows::prepare(conn, sql::START)?.execute([PARENT as u64].into_iter(), |_, row| {
        row.push(PARENT)?;
        row.push("parent")?;
        row.push("p")?;
        row.push(1)?;
        row.push(&args)?;
        row.push_all([at, at, worker, at])
    })?;
    conn.execute(sql::CLAIMS, (worker, format!("[{PARENT}]")))?;
    Ok(())
}

/// All children are dispatched: the block's value is recorded.
pub fn seal(conn: &Connection, children: u64) -> Result<()> {
    let at = now();
    let value = format!(r#"{{"branch":"all","spawn":"child","len":{children}}}"#);
    conn.execute(
        "UPDATE chrono_forge_execution_logs SET
            seq = 1, state = 1, attempts = 1, last_executed_at = ?, completed_at = ?, result = ?
        WHERE workflow_id = ? AND step_name = 'branch$all'",
        (at, at, value, PARENT),
    )?;
    Ok(())
}

/// Nothing to do but wait for the children.
pub fn park(conn: &Connection) -> Result<()> {
    conn.execute(sql::PARK, (now(), PARENT))?;
    Ok(())
}

/// The last child has counted the branch down to zero: the parent is due.
pub fn rouse(conn: &Connection) -> Result<()> {
    let pending = "SELECT pending FROM chrono_forge_execution_logs
        WHERE workflow_id = ? AND step_name = 'branch$all'";
    let pending: i64 = conn.query_row(pending, [PARENT], |row| row.get(0))?;
    ensure!(pending == 0, "{pending} children are left");
    let at = now();
    conn.execute(sql::ROUSE, (at, at, PARENT))?;
    Ok(())
}

pub fn claim(conn: &Connection, worker: i64) -> Result<()> {
    let at = now();
    let list = format!("[{PARENT}]");
    conn.execute(sql::TAKE, (worker, at, at, &list))?;
    conn.execute(sql::CLAIMS, (worker, &list))?;
    Ok(())
}

/// The join's record, and the result.
pub fn complete(conn: &Connection, children: u64) -> Result<()> {
    let at = now();
    Rows::prepare(conn, sql::RECORD)?.execute([0].into_iter(), |_, row| {
        row.push(PARENT)?;
        row.push("merge$all")?;
        row.push_all([2, 0, at])?;
        row.push(Null)?;
        row.push(at)?;
        row.push(Null)
    })?;
    Rows::prepare(conn, sql::COMPLETE)?.execute([0].into_iter(), |_, row| {
        row.push(PARENT)?;
        row.push(children.to_string())?;
        row.push(at)
    })?;
    Ok(())
}
