//! Dispatch: what an open branch block has spawned in this pass.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use serde_json::value::RawValue;

use super::history::row_of;
use super::ledger::Ledger;
use super::operation::Phase;
use super::{Kind, OpId, Pass, Place};
use crate::definition::Definition;
use crate::engine::panics;
use crate::error::DefinitionError;
use crate::record::keys::KeyOf;
use crate::record::{ChildRow, Dispatch, Json, Level, Record, RecordRow};

/// From this many children on a batch is not urgent, whoever dispatches it.
const LARGE_BATCH: usize = 100;

/// The same for what its arguments weigh: small commits need not wait for it.
const LARGE_BYTES: usize = 1 << 20;

/// The branch block that is being polled.
#[derive(Debug)]
pub(super) struct Scope {
    name: String,
    /// Spawn names used in this pass.
    used: HashSet<String>,
    /// Cursors that earlier passes left.
    cursors: BTreeMap<String, Json>,
    /// Children so far: the next one's index in the branch.
    pub index: u64,
    /// An error of a `spawn_each!` closure or source; the block ends with it.
    pub error: Option<anyhow::Error>,
    /// A `spawn_each!` is between two batches: everything before is dispatched, so the pass may end here.
    pub between_batches: bool,
    inner: Inner,
}

/// The steps that a block has reached in this attempt, for the next one to reach again.
#[derive(Debug, Default)]
struct Inner {
    reached: Vec<Arc<str>>,
    rows: Vec<RecordRow>,
}

/// A child as a macro asks for it.
#[derive(Debug)]
pub struct Child {
    pub key_suffix: String,
    pub definition: &'static Definition,
    pub args: Json,
}

#[derive(serde::Deserialize)]
struct Cursors {
    #[serde(default)]
    cursors: BTreeMap<String, Box<RawValue>>,
}

impl Pass {
    /// Opens the scope of a branch block for one attempt.
    pub fn open_scope(&self, id: OpId) {
        let mut ledger = self.ledger();
        let Some(op) = ledger.ops.get_mut(&id) else {
            return;
        };
        let name = op.place.key.clone();
        // The row's cursors are kept by dispatches; a later upsert must not set them back.
        let metadata = op.found.take();
        let earlier = ledger.scopes.remove(&id);
        let cursors = match (metadata, earlier) {
            (Some(text), _) => serde_json::from_str::<Cursors>(&text)
                .map(|found| found.cursors)
                .unwrap_or_default()
                .into_iter()
                .map(|(spawn, raw)| (spawn, Json::from(raw.get())))
                .collect(),
            (None, Some(earlier)) => {
                ledger.forget_inner(earlier.inner);
                earlier.cursors
            }
            (None, None) => BTreeMap::new(),
        };
        let scope = Scope {
            name,
            used: HashSet::new(),
            cursors,
            index: 0,
            error: None,
            between_batches: false,
            inner: Inner::default(),
        };
        ledger.scopes.insert(id, scope);
    }

    /// The branch whose block is being polled, after checking a spawn's name: once per branch.
    pub fn spawn_in(&self, key: &str) -> Option<OpId> {
        let mut ledger = self.ledger();
        let checked = ledger.check_spawn(key);
        match checked {
            Ok(id) => Some(id),
            Err(error) => {
                ledger.break_rule(error);
                self.root.signal();
                None
            }
        }
    }

    /// Where a `spawn_each!` goes on.
    pub fn cursor(&self, id: OpId, spawn: &str) -> Option<Json> {
        self.ledger().scopes.get(&id)?.cursors.get(spawn).cloned()
    }

    /// Tells whether a `spawn_each!` waits for its next batch, or makes one.
    pub fn stand_between_batches(&self, id: OpId, between: bool) {
        if let Some(scope) = self.ledger().scopes.get_mut(&id) {
            scope.between_batches = between;
        }
    }

    /// Counts children that an earlier pass dispatched, so that tiers go on where they were.
    pub fn skip_children(&self, id: OpId, count: u64) {
        if let Some(scope) = self.ledger().scopes.get_mut(&id) {
            scope.index += count;
        }
    }

    /// Waits until an effect outside of a step may happen: nothing recorded is left to be received,
    /// and what was received is durable; sends off what it waits for.
    pub fn poll_may_dispatch(self: &Arc<Self>, cx: &TaskContext<'_>) -> Poll<()> {
        let mut ledger = self.ledger();
        // Under the ledger's lock, so that a renewal that comes now finds the waker.
        if !self.host.is_trusted() {
            ledger.await_ack(cx);
            return Poll::Pending;
        }
        if ledger.caught_up && !ledger.barrier_is_clear() {
            self.flush_now(&mut ledger);
        }
        if ledger.caught_up && ledger.barrier_is_clear() {
            return Poll::Ready(());
        }
        ledger.await_ack(cx);
        Poll::Pending
    }

    /// Adds a batch of children to the draft; tells whether it now carries as much as one transaction should.
    pub fn dispatch(&self, id: OpId, cursor: Option<(&str, Json)>, children: Vec<Child>) -> bool {
        let now = self.now();
        let mut ledger = self.ledger();
        let Some(op) = ledger.ops.get(&id) else {
            return false;
        };
        let branch = Arc::clone(&op.step_name);
        let Some(scope) = ledger.scopes.get_mut(&id) else {
            return false;
        };
        let mut has_moved = false;
        if let Some((spawn, cursor)) = &cursor {
            let earlier = scope.cursors.insert((*spawn).to_owned(), cursor.clone());
            has_moved = earlier.is_some_and(|earlier| earlier != *cursor);
        }
        let prefix = format!("{}${}$", self.run.key, scope.name);
        let mut rows = Vec::with_capacity(children.len());
        let mut bytes = 0;
        for child in children {
            let (workflow, queue) = names_of(child.definition, rows.last());
            let key = [&*prefix, &*child.key_suffix].concat();
            bytes += key.len() + child.args.len();
            rows.push(ChildRow {
                key,
                workflow,
                queue,
                level: Level::child(child.definition.priority, scope.index),
                args: child.args,
                claimed: false,
            });
            scope.index += 1;
        }
        self.claim_ahead(&mut ledger, &mut rows);
        // Large batches that pass by the completions of earlier ones make a backlog of children. Only
        // while nothing of this pass is under way, since plans keep their order in one lane.
        let is_large = rows.len() >= LARGE_BATCH || bytes >= LARGE_BYTES;
        if is_large && ledger.acked >= ledger.submitted {
            ledger.urgent = false;
        }
        // Behind the cursor nothing is done again, so a long dispatch is not poison, however often its
        // workers die of something else.
        if has_moved || cursor.is_some() && !rows.is_empty() {
            ledger.note_progress();
        }
        let cursor = cursor.map(|(spawn, cursor)| (spawn.into(), cursor));
        ledger.draft.plan.dispatches.push(Dispatch {
            branch,
            cursor,
            children: rows,
            at: now,
        });
        ledger.draft.weigh(bytes);
        ledger.draft.bytes() >= self.host.config.batch.bytes_max
    }

    /// As many children as there is room for are inserted already claimed: the largest single gain
    /// that was measured.
    fn claim_ahead(&self, ledger: &mut Ledger, rows: &mut [ChildRow]) {
        let Some(first) = rows.first() else { return };
        let queue = first.queue.to_string();
        let alike = |row: &&mut ChildRow| *row.queue == *queue && self.host.serves(&row.workflow);
        let wanted = rows.iter_mut().filter(alike).count();
        let is_urgent = |row: &&mut ChildRow| row.level.is_urgent();
        let urgent = rows.iter_mut().filter(alike).filter(is_urgent).count();
        let room = self.host.reserve(&queue, wanted, urgent);
        if room.count == 0 {
            return;
        }
        for row in rows.iter_mut().filter(alike).take(room.count) {
            row.claimed = true;
        }
        ledger.reservations.push_back((ledger.submitted + 1, room));
    }

    /// Ends the block of a branch with an error.
    pub fn fail_scope(&self, id: OpId, error: anyhow::Error) {
        let mut ledger = self.ledger();
        let spare = match ledger.scopes.get_mut(&id) {
            Some(scope) if scope.error.is_none() => {
                scope.error = Some(error);
                None
            }
            _ => Some(error),
        };
        // Dropping an error is user code, which may come back for the ledger.
        drop(ledger);
        panics::discard(spare);
    }

    /// Takes the error that ends the block.
    pub fn scope_error(&self, id: OpId) -> Option<anyhow::Error> {
        self.ledger().scopes.get_mut(&id)?.error.take()
    }

    /// The children of a branch share this key prefix.
    #[must_use]
    pub fn spawn_key(&self, branch: &str, spawn: &str) -> String {
        format!("{}${branch}${spawn}", self.run.key)
    }

    /// The name of the branch that an operation opened.
    #[must_use]
    pub fn branch_name(&self, id: OpId) -> String {
        self.ledger()
            .scopes
            .get(&id)
            .map(|scope| scope.name.clone())
            .unwrap_or_default()
    }
}

impl Ledger {
    fn scope_around(&mut self, id: OpId) -> Option<&mut Scope> {
        let branch = self.ops.get(&id)?.within?;
        self.scopes.get_mut(&branch)
    }

    /// A step registered inside a block.
    pub(super) fn note_inner(&mut self, id: OpId) {
        let name = self.ops.get(&id).map(|op| Arc::clone(&op.step_name));
        if let (Some(name), Some(scope)) = (name, self.scope_around(id)) {
            scope.inner.reached.push(name);
        }
    }

    /// Its recorded outcome is delivered.
    pub(super) fn keep_inner(&mut self, id: OpId) {
        let row = match self.ops.get(&id).map(|op| &op.phase) {
            Some(Phase::Recorded(row)) => (**row).clone(),
            _ => return,
        };
        if let Some(scope) = self.scope_around(id) {
            scope.inner.rows.push(row);
        }
    }

    /// Its live outcome is delivered.
    pub(super) fn keep_inner_record(&mut self, id: OpId, record: &Record) {
        if let Some(scope) = self.scope_around(id) {
            scope.inner.rows.push(row_of(record));
        }
    }

    /// One of its steps was dropped before the block received it, with this behind it.
    pub(super) fn keep_inner_row(&mut self, branch: OpId, row: RecordRow) {
        if let Some(scope) = self.scopes.get_mut(&branch) {
            scope.inner.rows.push(row);
        }
    }

    /// The next attempt of a block reaches its steps again, and finds what they recorded.
    fn forget_inner(&mut self, inner: Inner) {
        for name in inner.reached {
            self.reached.remove(&name);
        }
        for row in inner.rows {
            self.history.put_back(row);
        }
    }

    fn check_spawn(&mut self, key: &str) -> Result<OpId, DefinitionError> {
        let place = Place {
            kind: "spawn",
            key: key.to_owned(),
        };
        let branch = self
            .active
            .filter(|id| matches!(self.ops.get(id).map(|op| &op.kind), Some(Kind::Branch)))
            .and_then(|id| Some((id, self.scopes.get_mut(&id)?)));
        let Some((id, scope)) = branch else {
            return Err(DefinitionError::SpawnOutsideBranch {
                name: key.to_owned(),
            });
        };
        let Some(problem) = KeyOf::Spawn.problem(key) else {
            return match scope.used.insert(key.to_owned()) {
                true => Ok(id),
                false => Err(DefinitionError::DuplicateKey {
                    place: place.to_string(),
                }),
            };
        };
        Err(DefinitionError::BadKey {
            place: place.to_string(),
            key: key.to_owned(),
            problem,
        })
    }
}

/// The names of a child's workflow and queue, which are nearly always those of the child before it.
fn names_of(definition: &Definition, before: Option<&ChildRow>) -> (Arc<str>, Arc<str>) {
    match before {
        Some(row) if *row.workflow == *definition.name && *row.queue == *definition.queue => {
            (Arc::clone(&row.workflow), Arc::clone(&row.queue))
        }
        _ => (definition.name.into(), definition.queue.into()),
    }
}
