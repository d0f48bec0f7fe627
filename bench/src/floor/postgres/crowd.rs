//! A crowd of runs that no claim should notice.

use anyhow::Result;
use diesel::connection::SimpleConnection;

use crate::floor::crowd::{Kind, QUEUES, WORKFLOWS};
use crate::floor::server;

/// Enters so many of them into a schema that an engine has created, as on SQLite.
pub fn enter(url: &str, kind: Kind, runs: u64) -> Result<()> {
    let (workflows, day): (&[&str], &str) = match kind {
        Kind::Sleepers => (&WORKFLOWS, "+ interval '1 day'"),
        Kind::Unclaimable => (&["elsewhere"], "- interval '1 day'"),
    };
    let schema = server::schema(url)?;
    let (names, queues) = (array(workflows), array(&QUEUES));
    let (of_names, of_queues) = (workflows.len(), QUEUES.len());
    server::connect(url)?.batch_execute(&format!(
        "SET search_path TO {schema};
        INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, wake_at, created_at, updated_at, args)
        SELECT ({names})[1 + i % {of_names}], 'crowd' || i, ({queues})[1 + i / 4 % {of_queues}], 1,
            now() {day} + i * interval '1 microsecond', now(), now(), '{{}}'
        FROM generate_series(0, {runs} - 1) AS i;
        ANALYZE; CHECKPOINT;"
    ))?;
    Ok(())
}

fn array(names: &[&str]) -> String {
    format!("ARRAY['{}']", names.join("','"))
}
