//! A fresh database of the shipped schema, on disk at each commit.

use std::path::Path;

use anyhow::{Result, ensure};
use rusqlite::Connection;

const SCHEMA: &str = concat!(
    include_str!(
        "../../../migrations/sqlite/2026-11-21-000001_create_runs_records_errors_workers/up.sql"
    ),
    include_str!("../../../migrations/sqlite/2026-11-22-000002_index_blocked_children/up.sql"),
    include_str!("../../../migrations/sqlite/2026-11-22-000003_audit_branches/up.sql"),
    include_str!("../../../migrations/sqlite/2026-11-22-000004_name_what_workers_serve/up.sql"),
    include_str!("../../../migrations/sqlite/2026-11-22-000005_note_imports/up.sql"),
    include_str!("../../../migrations/sqlite/2026-11-30-000006_leases_of_workers/up.sql"),
    include_str!("../../../migrations/sqlite/2026-11-30-000007_incarnations/up.sql"),
);

/// Behind the table of versions, which they are about, too.
const REST: &str = concat!(
    include_str!("../../../migrations/sqlite/2026-12-01-000008_name_older_binaries/up.sql"),
    include_str!("../../../migrations/sqlite/2026-12-01-000009_children_belong_to_runs/up.sql"),
    include_str!("../../../migrations/sqlite/2026-12-01-000010_entries_of_contexts/up.sql"),
    include_str!("../../../migrations/sqlite/2026-12-02-000011_applications_of_workflows/up.sql"),
    include_str!("../../../migrations/sqlite/2026-12-02-000012_views_for_operators/up.sql"),
);

/// The versions that the engine would have noted.
const VERSION: &str = "
CREATE TABLE chrono_forge_schema_migrations (
    version TEXT PRIMARY KEY,
    run_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT, WITHOUT ROWID;
INSERT INTO chrono_forge_schema_migrations (version) VALUES ('20261121000001'), ('20261122000002'),
    ('20261122000003'), ('20261122000004'), ('20261122000005'), ('20261130000006'),
    ('20261130000007'), ('20261201000008'), ('20261201000009'), ('20261201000010');";

/// Of those that older binaries may work beside, once the table can say so.
const ADDITIVE: &str = "INSERT INTO chrono_forge_schema_migrations (version, oldest)
    VALUES ('20261202000011', '20261201000010'), ('20261202000012', '20261201000010');";

/// The one connection that writes, with one worker registered.
pub struct Database {
    pub conn: Connection,
    pub worker: i64,
}

impl Database {
    pub fn create(path: &Path) -> Result<Self> {
        let conn = Connection::open(path)?;
        let synchronous = crate::place::synchronous(path);
        conn.execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA synchronous = {synchronous};"
        ))?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
        ensure!(mode == "wal", "journal mode is {mode}");
        conn.execute_batch(&format!(
            "BEGIN; {SCHEMA} {VERSION} {REST} {ADDITIVE} COMMIT;"
        ))?;
        let now = now();
        conn.execute(
            "INSERT INTO chrono_forge_workers (name, host, pid, started_at, heartbeat_at)
            VALUES ('worker', 'host', ?, ?, ?)",
            (std::process::id(), now, now),
        )?;
        let worker = conn.last_insert_rowid();
        Ok(Self { conn, worker })
    }

    /// What a worker leaves that stops in good order.
    pub fn retire(&self) -> Result<()> {
        self.conn.execute(
            "UPDATE chrono_forge_workers SET stopped_at = ? WHERE id = ?",
            (now(), self.worker),
        )?;
        self.conn.execute(
            "DELETE FROM chrono_forge_claims WHERE worker_id = ?",
            [self.worker],
        )?;
        Ok(())
    }
}

/// The size of the database once everything is checkpointed.
pub fn database_bytes(path: &Path) -> Result<u64> {
    let conn = Connection::open(path)?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    Ok(std::fs::metadata(path)?.len())
}

/// Microseconds since 1970, as the store keeps instants.
pub fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_micros() as i64
}
