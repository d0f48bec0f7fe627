//! A crowd of runs that no claim should notice, and what a claim costs beside it.

mod claim;

use std::path::Path;

use anyhow::Result;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::database::now;
use crate::place::Place;
pub use claim::{BATCH, Cost, Served};

/// Why nobody executes these runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Parked with a timer that is a day away, of workflows and in queues that are served here.
    Sleepers,
    /// Due, of a workflow that nobody here serves.
    Unclaimable,
}

/// The queues and workflows that sleepers are spread over; the first of each is also that of the
/// runs that work meanwhile.
pub const QUEUES: [&str; 2] = ["default", "naps"];
pub const WORKFLOWS: [&str; 4] = ["doze", "nap-a", "nap-b", "nap-c"];

const DAY_US: i64 = 86_400_000_000;

/// One statement for all: the clock of the measurement begins after it.
const ENTER: &str = "
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT INTO chrono_forge_workflows
    (workflow, key, queue, priority, wake_at, created_at, updated_at, args)
SELECT json_extract(?2, '$[' || (i % json_array_length(?2)) || ']'), 'crowd' || i,
    json_extract(?3, '$[' || (i / 4 % json_array_length(?3)) || ']'), 1, ?4 + i, ?5, ?5, '{}'
FROM n";

/// Enters so many of them into a database that an engine has created.
pub fn enter(place: &Place, kind: Kind, runs: u64) -> Result<()> {
    match place {
        _ if runs == 0 => Ok(()),
        Place::File(path) => enter_file(path, kind, runs),
        #[cfg(feature = "postgres")]
        Place::Schema(url) => super::postgres::enter(url, kind, runs),
    }
}

fn enter_file(path: &Path, kind: Kind, runs: u64) -> Result<()> {
    let conn = Connection::open(path)?;
    let at = now();
    let (workflows, wake_at): (&[&str], i64) = match kind {
        Kind::Sleepers => (&WORKFLOWS, at + DAY_US),
        Kind::Unclaimable => (&["elsewhere"], at - DAY_US),
    };
    let (workflows, queues) = (
        serde_json::to_string(workflows)?,
        serde_json::to_string(&QUEUES)?,
    );
    conn.execute(ENTER, (runs as i64, workflows, queues, wake_at, at))?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    Ok(())
}

#[cfg(test)]
mod tests;
