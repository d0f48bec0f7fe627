//! When failed attempts were, from the error rows that the engine left.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rusqlite::Connection;

use crate::place::Place;

/// From the first failed attempt of a step to its second; the indexed expression is the step's name.
const FIRST_RETRIES: &str = "
SELECT second.created_at - first.created_at
FROM chrono_forge_error_logs AS first
CROSS JOIN chrono_forge_error_logs AS second
    ON second.workflow_id = first.workflow_id
    AND ifnull(second.step_name, '') = first.step_name
    AND second.attempt = 2
WHERE first.attempt = 1";

/// How long each step's second failed attempt came after its first.
pub fn first_retry_delays(place: &Place) -> Result<Vec<Duration>> {
    match place {
        Place::File(path) => of_file(path),
        #[cfg(feature = "postgres")]
        Place::Schema(url) => super::postgres::first_retry_delays(url),
    }
}

fn of_file(path: &Path) -> Result<Vec<Duration>> {
    let conn = Connection::open(path)?;
    let mut rows = conn.prepare(FIRST_RETRIES)?;
    let delays = rows.query_map((), |row| row.get::<_, i64>(0))?;
    delays
        .map(|micros| Ok(Duration::from_micros(u64::try_from(micros?)?)))
        .collect()
}
