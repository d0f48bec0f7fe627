//! The floor of the fan-out: per child its row, its claim, its step's record and its completion.
//!
//! One transaction a batch: it completes one batch of children and inserts the next, because a child
//! must be on disk before its body runs and the engine's commits overlap in the same way. Children
//! that are inserted idle take one transaction more to be claimed.

mod children;
mod parent;

use std::ops::Range;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Database;
use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;
use children::Children;

/// The parent's id: it is the first run.
const PARENT: i64 = 1;

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    pub children: u64,
    pub batch: u64,
    /// Connections that write, where there can be several.
    pub writers: u64,
    /// Whether children are inserted already claimed, as the engine does where it has room.
    pub claimed: bool,
}

/// From the parent's start to its completion.
pub fn measure(place: &Place, shape: &Shape) -> Result<Sample> {
    #[cfg(feature = "postgres")]
    if let Place::Schema(url) = place {
        return super::postgres::fanout::measure(place, url, shape);
    }
    let database = Database::create(place.file()?)?;
    let meter = Meter::start(place)?;
    let commits = fan_out(&database, shape)?;
    let mut sample = meter.stop(shape.children);
    sample.commits = Some(commits);
    database.retire()?;
    Ok(sample)
}

/// Does the work; answers how many transactions it took.
pub fn fan_out(database: &Database, shape: &Shape) -> Result<u64> {
    let (conn, worker) = (&database.conn, database.worker);
    let mut children = Children::prepare(database)?;
    let mut begin = conn.prepare("BEGIN IMMEDIATE")?;
    let mut end = conn.prepare("COMMIT")?;
    let mut commits = 0;
    let mut commit = |work: &mut dyn FnMut() -> Result<()>| {
        begin.execute(())?;
        work()?;
        end.execute(())?;
        commits += 1;
        anyhow::Ok(())
    };
    commit(&mut || parent::start(conn, worker, shape.children))?;
    let batches = shape.children.div_ceil(shape.batch);
    let lag = if shape.claimed { 1 } else { 2 };
    for turn in 0..batches + lag {
        commit(&mut || {
            let parent_holds = turn <= batches;
            let done = turn.checked_sub(lag).map(|nth| shape.nth(nth));
            children.check_fences(done.clone().unwrap_or(0..0), parent_holds)?;
            if turn < batches {
                children.insert(shape.nth(turn), shape.claimed)?;
            }
            if turn + 1 == batches {
                parent::seal(conn, shape.children)?;
            }
            if turn == batches {
                parent::park(conn)?;
            }
            if !shape.claimed && (1..=batches).contains(&turn) {
                children.claim(shape.nth(turn - 1))?;
            }
            if let Some(done) = done {
                children.complete(done)?;
            }
            if turn + 1 == batches + lag {
                parent::rouse(conn)?;
            }
            Ok(())
        })?;
    }
    commit(&mut || parent::claim(conn, worker))?;
    commit(&mut || parent::complete(conn, shape.children))?;
    Ok(commits)
}

impl Shape {
    /// The children of this batch, by their index.
    pub fn nth(&self, batch: u64) -> Range<u64> {
        let first = batch * self.batch;
        first..(first + self.batch).min(self.children)
    }
}
