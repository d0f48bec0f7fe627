//! When failed attempts were, from the error rows that the engine left.

use std::time::Duration;

use anyhow::Result;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::floor::server;

#[derive(QueryableByName)]
struct Delay {
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

/// How long each step's second failed attempt came after its first.
pub fn first_retry_delays(url: &str) -> Result<Vec<Duration>> {
    let mut conn = server::connect_in_schema(url)?;
    let delays: Vec<Delay> = diesel::sql_query(
        "SELECT (extract(epoch FROM second.created_at - first.created_at) * 1000000)::bigint AS micros
        FROM chrono_forge_error_logs AS first
        JOIN chrono_forge_error_logs AS second
            ON second.workflow_id = first.workflow_id
            AND coalesce(second.step_name, '') = first.step_name
            AND second.attempt = 2
        WHERE first.attempt = 1",
    )
    .load(&mut conn)?;
    delays
        .iter()
        .map(|delay| Ok(Duration::from_micros(u64::try_from(delay.micros)?)))
        .collect()
}
