//! Entries of contexts: what has changed, and not the whole.

use diesel::prelude::*;

use super::Batch;
use crate::store::sqlite::statement;

pub(super) const ENTER: &str = "
INSERT INTO chrono_forge_context (workflow_id, key, value) VALUES {(?, ?, ?)}
ON CONFLICT (workflow_id, key) DO UPDATE SET value = excluded.value";

impl Batch<'_> {
    /// Writes the entries of all plans that have changed.
    pub(super) fn enter_context(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::new(ENTER);
        for (_, plan) in self.live() {
            for (key, value) in &plan.context {
                batch.push([plan.fence.run.0.into(), key.into(), value.as_ref().into()]);
            }
        }
        batch.execute(conn).map(drop)
    }
}
