//! Starting top-level runs: inserted once, found ever after.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{due, ints, opt_ints, texts};
use super::statement::Stmt;
use crate::record::{Epoch, Json, Nonce, RunId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::{args, claimed};
use crate::store::{Start, Started};

/// One round trip for what nearly always happens: nobody has these runs yet. A worker's row is locked so that it
/// is not declared dead before the run is in its claims; one that is dead holds nothing more, and the run is
/// then anyone's. Keys in order, so that two processes that start the same ones do not wait for each other.
pub(super) const INSERT: &str = "
WITH alive AS MATERIALIZED (
    SELECT id, incarnation FROM chrono_forge_workers
    WHERE id = ANY(?) AND stopped_at IS NULL
    ORDER BY id FOR KEY SHARE
), fresh AS (
    INSERT INTO chrono_forge_workflows
        (workflow, key, queue, priority, args, created_at, updated_at,
         state, lock_epoch, locked_by, started_at, wake_at)
    SELECT v.workflow, v.key, v.queue, v.priority::smallint, v.args, v.at, v.at,
        CASE WHEN a.id IS NULL THEN 0 ELSE 1 END,
        CASE WHEN a.id IS NULL THEN 0 ELSE ? END,
        a.id,
        CASE WHEN a.id IS NOT NULL THEN v.at END,
        CASE WHEN a.id IS NULL THEN v.due END
    FROM (
        SELECT *, ?::timestamptz AS at, ?::timestamptz AS due
        FROM unnest(?, ?, ?, ?, ?, ?, ?) AS u (workflow, key, queue, priority, args, holder, life)
    ) AS v
    LEFT JOIN alive AS a ON a.id = v.holder AND a.incarnation = v.life
    ORDER BY v.workflow COLLATE \"C\", v.key COLLATE \"C\"
    ON CONFLICT (key, workflow, (coalesce(parent_execution_log_id, 0)))
        WHERE octet_length(key) <= 1024 DO NOTHING
    RETURNING id, workflow, key, locked_by
), entered AS (
    INSERT INTO chrono_forge_claims (worker_id, run_ids)
    SELECT locked_by, array_agg(id) FROM fresh WHERE locked_by IS NOT NULL GROUP BY locked_by
)
SELECT id, workflow, key, locked_by FROM fresh";

/// Keys of top-level runs are short.
pub(super) const FIND: &str = "
SELECT w.workflow, w.key, w.id
FROM unnest(?, ?) AS v (workflow, key)
JOIN chrono_forge_workflows AS w ON w.key = v.key AND w.workflow = v.workflow
    AND coalesce(w.parent_execution_log_id, 0) = 0 AND octet_length(w.key) <= 1024";

pub(super) const OTHER_TEXT: &str = "
SELECT v.nth, w.args
FROM unnest(?, ?, ?) AS v (nth, id, args)
CROSS JOIN LATERAL (
    SELECT r.args FROM chrono_forge_workflows AS r WHERE r.id = v.id LIMIT 1
) AS w
WHERE w.args <> v.args";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, OTHER_TEXT];

/// A run's workflow and key.
type Identity = (String, String);

/// Inserts or finds these runs; see [`Writer::start`](crate::store::Writer::start). Two statements, each right by
/// itself: one that is not inserted is there, and stays.
pub(super) fn start(
    conn: &mut PgConnection,
    starts: &[Start],
    now: Now,
) -> QueryResult<Vec<Started>> {
    let epoch = Epoch::first(Nonce::draw());
    let mut fresh = insert(conn, starts, epoch, now)?;
    let mut known: HashMap<Identity, RunId> = HashMap::new();
    let mut answers = Vec::with_capacity(starts.len());
    let mut missing: Vec<&Start> = Vec::new();
    for start in starts {
        let identity = (start.workflow.clone(), start.key.clone());
        answers.push(match fresh.remove(&identity) {
            Some((id, holder)) => {
                known.insert(identity, id);
                Some(match holder {
                    None => Started::Inserted(id),
                    Some(_) => {
                        Started::Claimed(Box::new(claimed::top_level((id, epoch), start, now.at)))
                    }
                })
            }
            None => {
                if !known.contains_key(&identity) {
                    missing.push(start);
                }
                None
            }
        });
    }
    if !missing.is_empty() {
        known.extend(find(conn, &missing)?);
    }
    let existing = |start: &Start| {
        let identity = (start.workflow.clone(), start.key.clone());
        let run = known.get(&identity).copied()?;
        Some(Started::Existing {
            run,
            has_same_args: true,
        })
    };
    let answer = |(start, answer): (&Start, Option<Started>)| {
        answer.or_else(|| existing(start)).ok_or(Error::NotFound)
    };
    let answers: QueryResult<Vec<Started>> = starts.iter().zip(answers).map(answer).collect();
    let mut answers = answers?;
    compare(conn, starts, &mut answers)?;
    Ok(answers)
}

/// Finds out which of the runs that exist have other arguments. Nearly all have the same text, which is not read.
fn compare(conn: &mut PgConnection, starts: &[Start], answers: &mut [Started]) -> QueryResult<()> {
    let existing = |(nth, (start, answer)): (i64, (&Start, &Started))| match answer {
        Started::Existing { run, .. } => Some((nth, run.0, Arc::clone(&start.args))),
        _ => None,
    };
    let existing = (0_i64..)
        .zip(starts.iter().zip(&*answers))
        .filter_map(existing);
    let existing: Vec<(i64, i64, Json)> = existing.collect();
    if existing.is_empty() {
        return Ok(());
    }
    let binds = [
        ints(existing.iter().map(|(nth, ..)| *nth)),
        ints(existing.iter().map(|(_, run, _)| *run)),
        texts(existing.iter().map(|(.., args)| &**args)),
    ];
    let statement = Stmt::<(BigInt, Text)>::new(OTHER_TEXT, &binds);
    for row in statement.load_iter::<(i64, String), DefaultLoadingMode>(conn)? {
        args::note(starts, answers, row?);
    }
    Ok(())
}

fn insert(
    conn: &mut PgConnection,
    starts: &[Start],
    epoch: Epoch,
    now: Now,
) -> QueryResult<HashMap<Identity, (RunId, Option<i64>)>> {
    let holders = || starts.iter().map(|start| start.claim);
    let workers: BTreeSet<i64> = holders().flatten().map(|worker| worker.0).collect();
    let binds = [
        ints(workers),
        epoch.0.into(),
        now.into(),
        due(now.due),
        texts(starts.iter().map(|start| &*start.workflow)),
        texts(starts.iter().map(|start| &*start.key)),
        texts(starts.iter().map(|start| &*start.queue)),
        ints(starts.iter().map(|start| start.level.0.into())),
        texts(starts.iter().map(|start| &*start.args)),
        opt_ints(holders().map(|holder| holder.map(|worker| worker.0))),
        opt_ints(holders().map(|holder| holder.map(|worker| worker.1.0))),
    ];
    type Columns = (BigInt, Text, Text, Nullable<BigInt>);
    let rows: Vec<(i64, String, String, Option<i64>)> =
        Stmt::<Columns>::new(INSERT, &binds).load(conn)?;
    let row = |(id, workflow, key, holder)| ((workflow, key), (RunId(id), holder));
    Ok(rows.into_iter().map(row).collect())
}

fn find(conn: &mut PgConnection, starts: &[&Start]) -> QueryResult<Vec<(Identity, RunId)>> {
    let binds = [
        texts(starts.iter().map(|start| &*start.workflow)),
        texts(starts.iter().map(|start| &*start.key)),
    ];
    let rows: Vec<(String, String, i64)> =
        Stmt::<(Text, Text, BigInt)>::new(FIND, &binds).load(conn)?;
    let row = |(workflow, key, id)| ((workflow, key), RunId(id));
    Ok(rows.into_iter().map(row).collect())
}
