//! `spawn!` and `spawn_each!`: children of the branch whose block is being polled.
//!
//! Idempotency: a child's key is derived from its parent's, its branch and its spawn, so that
//! dispatching it again finds it. A batch inserts its children, advances its cursor and raises the
//! branch's counters in one transaction.

use std::collections::HashSet;
use std::fmt::Write;
use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use super::children::{Child, Children};
use super::invocation::Invocation;
use super::source::{BadCursor, IntoSource, Source};
use super::{Context, Key};
use crate::definition::Definition;
use crate::engine::pass::{self, OpId, Pass, Place};
use crate::engine::reading::Reading;
use crate::error::{DefinitionError, Error};
use crate::record::Json;
use crate::record::keys::{CHILD_KEY_BYTES_MAX, shown};

/// Children of one `spawn_each!` batch, at most.
const BATCH_MAX: u64 = 10_000;

/// Options of a `spawn_each!`: batches of 1000, unless set.
#[derive(Clone, Copy, Debug)]
pub struct SpawnEachOptions {
    of: u64,
}

impl Default for SpawnEachOptions {
    fn default() -> Self {
        Self { of: 1_000 }
    }
}

impl SpawnEachOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn of(mut self, of: u64) -> Self {
        self.of = of;
        self
    }
}

/// Hands one item at a time to a closure that takes no parameter, so that the closure can borrow
/// what it captures while the future that it makes owns the item.
#[derive(Debug)]
pub struct Slot<T>(Mutex<Option<T>>);

/// An empty slot.
#[must_use]
pub fn slot<T>() -> Slot<T> {
    Slot(Mutex::new(None))
}

impl<T> Slot<T> {
    /// The item that the closure is called for.
    pub fn take(&self) -> T {
        let item = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        #[allow(
            clippy::expect_used,
            reason = "the generated closure takes once per call, after put"
        )]
        item.expect("an item is put before each call")
    }

    fn put(&self, item: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(item);
    }
}

/// What `spawn!` expands to.
pub async fn spawn<T>(cx: &Context, key: Key, invocation: Invocation<T>) -> Child<T> {
    let pass = &cx.pass;
    let branch = open_branch(pass, &key).await;
    let above = bytes_above(pass, branch);
    let child = child_of(pass, &key, (above, key.0.clone()), invocation).await;
    barrier(pass).await;
    if pass.dispatch(branch, None, vec![child]) {
        // As much as one transaction should carry; memory holds two of them.
        pass.flush();
        settled(pass, 1).await;
    }
    Child::new(pass, pass.branch_name(branch), key.0)
}

/// What `spawn_each!` expands to.
pub async fn spawn_each<S, I, Via, F, Fut, T>(
    cx: &Context,
    key: Key,
    options: SpawnEachOptions,
    source: S,
    slot: &Slot<I>,
    make: F,
) -> Children<T>
where
    S: IntoSource<Via, Item = I>,
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Invocation<T>, anyhow::Error>>,
{
    let pass = &cx.pass;
    let branch = open_branch(pass, &key).await;
    let of = batch_size(pass, &key, options).await;
    let above = bytes_above(pass, branch);
    let mut source = source.into_source();
    let mut index = match resume(pass, branch, &key, &mut source) {
        Ok(index) => index,
        Err(bad) => broken(pass, undecodable(&key, bad)).await,
    };
    let (mut items, mut all, mut is_last) = (Vec::new().into_iter(), 0, false);
    loop {
        // One transaction apart: this batch is made while the one before is written, and memory holds two.
        pass.stand_between_batches(branch, true);
        settled(pass, 1).await;
        if items.len() == 0 {
            let batch = source.next_batch(of).await;
            pass.stand_between_batches(branch, false);
            let batch = or_fail(pass, branch, batch).await;
            (all, is_last) = (batch.items.len(), batch.is_last);
            let mut places: Vec<_> = batch.items.into_iter().enumerate().collect();
            if batch.looks_again {
                places = without_child(pass, branch, &key, places).await;
            }
            items = places.into_iter();
        }
        pass.stand_between_batches(branch, false);
        let (mut children, mut bytes, mut left) = (Vec::with_capacity(items.len()), 0, 0);
        // What weighs too much for one transaction is left for the next; the cursor tells how far it came.
        while bytes < pass.host.config.batch.bytes_max
            && let Some((place, (suffix, item))) = items.next()
        {
            slot.put(item);
            let invocation = or_fail(pass, branch, make().await).await;
            let numbered = || numbered(&key, index);
            let suffix = suffix.map_or_else(numbered, |of_item| suffix_of(&key, &of_item));
            let child = child_of(pass, &key, (above, suffix), invocation).await;
            bytes += above + child.key_suffix.len() + child.args.len();
            children.push(child);
            index += 1;
            left = all - place - 1;
        }
        let left = if items.len() > 0 { left } else { 0 };
        let cursor = match checked_cursor(pass, &key, &source, (index, left)) {
            Ok(cursor) => cursor,
            Err(error) => broken(pass, error).await,
        };
        barrier(pass).await;
        pass.dispatch(branch, Some((&key.0, cursor)), children);
        pass.flush();
        if is_last && items.len() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    Children::new(pass, pass.branch_name(branch), key.0, index)
}

/// Goes to where an earlier pass came; answers how many children there are before that.
fn resume<S: Source>(
    pass: &Pass,
    branch: OpId,
    key: &Key,
    source: &mut S,
) -> Result<u64, BadCursor> {
    let Some(cursor) = pass.cursor(branch, &key.0) else {
        return Ok(0);
    };
    let index = source.resume(&cursor)?;
    pass.skip_children(branch, index);
    Ok(index)
}

/// What is stored to go on behind the batch, if it can be.
fn checked_cursor<S: Source>(
    pass: &Pass,
    key: &Key,
    source: &S,
    (index, left): (u64, usize),
) -> Result<Json, DefinitionError> {
    let cursor = source.cursor(index, left);
    let cursor = cursor.map_err(|bad| unstorable(key, bad))?;
    pass.check_size(|| cursor_of(key), &cursor)?;
    Ok(cursor)
}

fn cursor_of(key: &Key) -> String {
    format!("the cursor of spawn_each!({:?})", shown(&key.0))
}

fn unstorable(key: &Key, BadCursor { type_name, problem }: BadCursor) -> DefinitionError {
    DefinitionError::Unstorable {
        place: cursor_of(key),
        type_name,
        problem,
    }
}

fn undecodable(key: &Key, BadCursor { type_name, problem }: BadCursor) -> DefinitionError {
    DefinitionError::Undecodable {
        place: cursor_of(key),
        type_name,
        problem,
    }
}

async fn batch_size(pass: &Arc<Pass>, key: &Key, options: SpawnEachOptions) -> usize {
    match options.of {
        of @ 1..=BATCH_MAX => of as usize,
        of => {
            let name = key.0.clone();
            broken(pass, DefinitionError::BadBatch { name, of }).await
        }
    }
}

/// The end of the key of the child at this place.
fn numbered(spawn: &Key, index: u64) -> String {
    let mut suffix = String::with_capacity(spawn.0.len() + 21);
    let _ = write!(suffix, "{}${index}", spawn.0);
    suffix
}

/// The end of a child's key that holds a key of the user's.
fn suffix_of(spawn: &Key, key_of_item: &str) -> String {
    format!("{}${}", spawn.0, key_of_item.replace('$', "$$"))
}

/// The items of a batch that have no child yet.
async fn without_child<T>(
    pass: &Arc<Pass>,
    branch: OpId,
    spawn: &Key,
    items: Vec<(usize, (Option<String>, T))>,
) -> Vec<(usize, (Option<String>, T))> {
    let branch = pass.branch_name(branch);
    let prefix = format!("{}${branch}$", pass.run.key);
    let key_of = |key: &String| format!("{prefix}{}", suffix_of(spawn, key));
    let keys: Vec<String> = items
        .iter()
        .filter_map(|(_, (key, _))| key.as_ref().map(key_of))
        .collect();
    if keys.is_empty() {
        return items;
    }
    // What was dispatched must be in the rows that are read.
    settled(pass, 0).await;
    let run = pass.run.id;
    let branch = pass.name_of(&Place {
        kind: "branch",
        key: branch,
    });
    let existing = Reading::begin(pass, move |store| {
        store.existing_children(run, &branch, &keys)
    });
    let existing: HashSet<String> = existing.await.into_iter().collect();
    let is_missing = |key: &Option<String>| {
        key.as_ref()
            .is_none_or(|key| !existing.contains(&key_of(key)))
    };
    items
        .into_iter()
        .filter(|(_, (key, _))| is_missing(key))
        .collect()
}

async fn open_branch(pass: &Arc<Pass>, key: &Key) -> OpId {
    match pass.spawn_in(&key.0) {
        Some(branch) => branch,
        None => pending().await,
    }
}

/// Bytes of `<parent>$<branch>$`, which every child's key begins with.
fn bytes_above(pass: &Pass, branch: OpId) -> usize {
    pass.spawn_key(&pass.branch_name(branch), "").len()
}

async fn child_of<T>(
    pass: &Arc<Pass>,
    spawn: &Key,
    (bytes_above, key_suffix): (usize, String),
    invocation: Invocation<T>,
) -> pass::Child {
    let place = || {
        let name = invocation.definition.name;
        format!("spawn!({:?}) of {name}", shown(&spawn.0))
    };
    let bytes = bytes_above + key_suffix.len();
    if bytes > CHILD_KEY_BYTES_MAX {
        let error = DefinitionError::ChildKeyTooLong {
            place: place(),
            bytes,
            limit: CHILD_KEY_BYTES_MAX,
        };
        return broken(pass, error).await;
    }
    if key_suffix.contains('\0') {
        let error = DefinitionError::BadKey {
            place: place(),
            key: key_suffix,
            problem: "contains the null character, which not every database can store",
        };
        return broken(pass, error).await;
    }
    if let Some(state) = pass.host.registry.left_out(invocation.definition) {
        let place = place();
        return broken(pass, DefinitionError::MissingState { place, state }).await;
    }
    if let Some(error) = foreign(pass, invocation.definition).await {
        let (place, problem) = (place(), error.to_string());
        return broken(pass, DefinitionError::OtherApplication { place, problem }).await;
    }
    match invocation.args {
        Ok(args) => {
            if let Err(error) = pass.check_size(place, &args) {
                return broken(pass, error).await;
            }
            pass::Child {
                key_suffix,
                definition: invocation.definition,
                args,
            }
        }
        Err(ref problem) => {
            let error = DefinitionError::Unstorable {
                place: place(),
                type_name: "the arguments",
                problem: problem.clone(),
            };
            broken(pass, error).await
        }
    }
}

/// Why this workflow may not be spawned: its name is another application's. A name that was
/// nobody's is this application's from now on.
async fn foreign(pass: &Arc<Pass>, definition: &'static Definition) -> Option<Error> {
    let applications = &pass.host.applications;
    if !applications.has_strangers() {
        return None;
    }
    if applications.check(definition).is_none() {
        Reading::claim(pass, definition).await;
    }
    applications.check(definition)?.err()
}

/// Ends the run; the block never goes on.
async fn broken<T>(pass: &Arc<Pass>, error: DefinitionError) -> T {
    pass.break_rule(error);
    pending().await
}

/// The value, or the end of the block: its branch sees the error and drops the block's future.
async fn or_fail<T>(pass: &Arc<Pass>, branch: OpId, result: Result<T, anyhow::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            pass.fail_scope(branch, error);
            pending().await
        }
    }
}

/// Children are an effect: what the body has seen must be durable first.
async fn barrier(pass: &Arc<Pass>) {
    poll_fn(|cx| pass.poll_may_dispatch(cx)).await;
}

/// Waits until all but the newest `but` submissions are durable.
async fn settled(pass: &Arc<Pass>, but: u64) {
    let number = pass.ledger().submitted.saturating_sub(but);
    poll_fn(|cx| {
        if pass.poll_acked(number, cx) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
