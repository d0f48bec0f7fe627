//! What workers said of themselves when they were registered.

use crate::record::{Incarnation, WorkerId};
use crate::store::ServingRow;

/// Id, incarnation, name, host, process, workflows and queues; the last two are JSON.
pub(in crate::store) type ServingColumns = (i64, i64, String, String, i64, String, String);

/// A row of these columns. A list that does not read as one serves nothing.
pub(in crate::store) fn serving_row(columns: ServingColumns) -> ServingRow {
    let (id, incarnation, name, host, pid, workflows, queues) = columns;
    let list = |text: String| serde_json::from_str(&text).unwrap_or_default();
    ServingRow {
        id: WorkerId(id, Incarnation(incarnation)),
        name,
        host,
        pid,
        workflows: list(workflows),
        queues: list(queues),
    }
}
