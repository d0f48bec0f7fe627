//! Starting top-level runs: inserted once, found ever after.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::connection::immediate;
use super::statement::{Batch, sql};
use super::{fault, held, sequence, worker};
use crate::record::{Epoch, Nonce, RunId, WorkerId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::{args, claimed};
use crate::store::{Start, Started};

pub(super) const FIND: &str = "
SELECT w.workflow, w.key, w.id
FROM (VALUES {(?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.key = v.column2 AND w.workflow = v.column1
    AND ifnull(w.parent_execution_log_id, 0) = 0";

sql! {
    struct Insert = "
INSERT OR FAIL INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, created_at, updated_at,
     state, wake_at, locked_by, lock_epoch, started_at)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}";
}

pub(super) const OTHER_TEXT: &str = "
SELECT v.column1, w.args
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.id = v.column2
WHERE w.args <> v.column3";

/// Whether the runs of the next starts are looked for before they are inserted.
///
/// Most starts are of new runs: they are inserted without a look, since the index refuses what is
/// there. Each such refusal rolls a transaction back, which would cost too much where starts are
/// repeated as a rule, as by the sender of a webhook. So the next starts are taken to be like the
/// last ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expected {
    #[default]
    New,
    Known,
}

/// Inserts or finds these runs, all in one transaction; see
/// [`Writer::start`](crate::store::Writer::start).
pub(super) fn start(
    conn: &mut SqliteConnection,
    patience: Duration,
    expected: &mut Expected,
    starts: &[Start],
    now: Now,
) -> QueryResult<Vec<Started>> {
    if *expected == Expected::New {
        let enter = |conn: &mut _| enter(conn, starts, HashMap::new(), now);
        match immediate(conn, patience, enter) {
            Err(error) if fault::is_duplicate(&error) => {}
            done => return done,
        }
    }
    let started = immediate(conn, patience, |conn| {
        let known = find(conn, starts)?;
        enter(conn, starts, known, now)
    })?;
    let is_known = |it: &Started| matches!(it, Started::Existing { .. });
    *expected = match started.iter().any(is_known) {
        true => Expected::Known,
        false => Expected::New,
    };
    Ok(started)
}

/// Inserts those that are not among the known ones.
fn enter(
    conn: &mut SqliteConnection,
    starts: &[Start],
    mut known: HashMap<(String, String), RunId>,
    now: Now,
) -> QueryResult<Vec<Started>> {
    let epoch = Epoch::first(Nonce::draw());
    let mut ids = sequence::next_runs(conn, starts.len())?;
    let mut workers = worker::Alive::default();
    let mut insert = Batch::<13, Insert>::of(starts.len());
    let mut claims: BTreeMap<WorkerId, Vec<RunId>> = BTreeMap::new();
    let mut answers = Vec::with_capacity(starts.len());
    for start in starts {
        let identity = (start.workflow.clone(), start.key.clone());
        if let Some(id) = known.get(&identity) {
            answers.push(Started::Existing {
                run: *id,
                has_same_args: true,
            });
            continue;
        }
        let Some(id) = ids.next() else { continue };
        known.insert(identity, id);
        // A worker that was declared dead may hold nothing more; the run is then anyone's.
        let holder = match start.claim {
            Some(worker) if workers.contains(conn, worker)? => Some(worker),
            _ => None,
        };
        push(&mut insert, (id, epoch), start, holder, now);
        answers.push(match holder {
            None => Started::Inserted(id),
            Some(worker) => {
                claims.entry(worker).or_default().push(id);
                Started::Claimed(Box::new(claimed::top_level((id, epoch), start, now.at)))
            }
        });
    }
    insert.execute(conn)?;
    compare(conn, starts, &mut answers)?;
    for (worker, runs) in &claims {
        held::enter(conn, *worker, runs)?;
    }
    Ok(answers)
}

/// Finds out which of the runs that exist have other arguments. Nearly all have the same text, which is not read.
fn compare(
    conn: &mut SqliteConnection,
    starts: &[Start],
    answers: &mut [Started],
) -> QueryResult<()> {
    let mut batch = Batch::new(OTHER_TEXT);
    for (nth, (start, answer)) in (0_i64..).zip(starts.iter().zip(&*answers)) {
        if let Started::Existing { run, .. } = answer {
            batch.push([nth.into(), run.0.into(), (&start.args).into()]);
        }
    }
    for chunk in batch.chunks::<(BigInt, Text)>() {
        for row in chunk.load_iter::<(i64, String), DefaultLoadingMode>(conn)? {
            args::note(starts, answers, row?);
        }
    }
    Ok(())
}

fn find(
    conn: &mut SqliteConnection,
    starts: &[Start],
) -> QueryResult<HashMap<(String, String), RunId>> {
    let mut batch = Batch::with_capacity(FIND, starts.len());
    for start in starts {
        batch.push([(&start.workflow).into(), (&start.key).into()]);
    }
    let mut found = HashMap::new();
    for chunk in batch.chunks::<(Text, Text, BigInt)>() {
        for (workflow, key, id) in chunk.load::<(String, String, i64)>(conn)? {
            found.insert((workflow, key), RunId(id));
        }
    }
    Ok(found)
}

fn push<'a>(
    insert: &mut Batch<'a, 13, Insert>,
    (id, epoch): (RunId, Epoch),
    start: &'a Start,
    holder: Option<WorkerId>,
    now: Now,
) {
    let held = holder.is_some();
    insert.push([
        id.0.into(),
        (&start.workflow).into(),
        (&start.key).into(),
        (&start.queue).into(),
        i64::from(start.level.0).into(),
        (&start.args).into(),
        now.into(),
        now.into(),
        held.into(),
        (!held).then_some(now.due).into(),
        holder.map(|worker| worker.0).into(),
        if held { epoch.0 } else { 0 }.into(),
        held.then_some(now.at).into(),
    ]);
}
