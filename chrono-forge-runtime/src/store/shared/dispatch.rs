//! The dispatches of a batch, by branch: which children go to which row, and where its cursors stand after them.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use crate::record::{ChildRow, Dispatch, Plan, RecordId};

/// Where a branch row's metadata keeps them.
const CURSORS: &str = "cursors";

type Raw = BTreeMap<String, Box<RawValue>>;

/// A branch that this batch dispatches to.
pub(in crate::store) struct Branch<'a> {
    /// The plan's place in the batch.
    pub(in crate::store) place: usize,
    pub(in crate::store) plan: &'a Plan,
    /// The branch's dispatches of this plan; never empty.
    dispatches: Vec<&'a Dispatch>,
    /// Known once its row exists.
    pub(in crate::store) id: Option<RecordId>,
    /// Children to insert, with the dispatch each belongs to.
    pub(in crate::store) children: Vec<(&'a Dispatch, &'a ChildRow)>,
    /// As it is stored.
    pub(in crate::store) metadata: Option<String>,
}

/// The branches of one plan.
pub(in crate::store) fn branches_of(place: usize, plan: &Plan) -> Vec<Branch<'_>> {
    let mut branches: Vec<Branch<'_>> = Vec::new();
    for dispatch in &plan.dispatches {
        let children = dispatch.children.iter().map(|child| (dispatch, child));
        match branches
            .iter_mut()
            .find(|branch| branch.name() == &*dispatch.branch)
        {
            Some(branch) => {
                branch.dispatches.push(dispatch);
                branch.children.extend(children);
            }
            None => branches.push(Branch {
                place,
                plan,
                dispatches: vec![dispatch],
                id: None,
                children: children.collect(),
                metadata: None,
            }),
        }
    }
    branches
}

impl<'a> Branch<'a> {
    /// The row's step name.
    pub(in crate::store) fn name(&self) -> &'a str {
        &self.dispatches[0].branch
    }

    /// The first dispatch.
    pub(in crate::store) fn first(&self) -> &'a Dispatch {
        self.dispatches[0]
    }

    /// The row's metadata with the cursors of this batch: `metadata.cursors.<spawn>`. Done here and
    /// not in SQL, whose JSON paths cannot spell every name and whose merge would keep parts of an
    /// old cursor.
    pub(in crate::store) fn advanced(&self) -> Result<Option<String>, serde_json::Error> {
        let mut moves = self
            .dispatches
            .iter()
            .filter_map(|d| d.cursor.as_ref())
            .peekable();
        if moves.peek().is_none() {
            return Ok(self.metadata.clone());
        }
        let stored = self.metadata.as_deref().unwrap_or("{}");
        let mut metadata: Raw = serde_json::from_str(stored)?;
        let mut cursors: Raw = match metadata.get(CURSORS) {
            Some(cursors) => serde_json::from_str(cursors.get())?,
            None => Raw::new(),
        };
        for (spawn, cursor) in moves {
            cursors.insert(
                spawn.to_string(),
                RawValue::from_string(cursor.to_string())?,
            );
        }
        metadata.insert(
            CURSORS.to_owned(),
            serde_json::value::to_raw_value(&cursors)?,
        );
        serde_json::to_string(&metadata).map(Some)
    }
}

/// A branch row's new metadata with the cursors that the stored one keeps.
#[cfg(feature = "postgres")]
pub(in crate::store) fn with_cursors(
    new: Option<&str>,
    stored: Option<&str>,
) -> Result<Option<String>, serde_json::Error> {
    let stored: Raw = match stored {
        Some(stored) => serde_json::from_str(stored)?,
        None => Raw::new(),
    };
    let Some(cursors) = stored.get(CURSORS) else {
        return Ok(new.map(str::to_owned));
    };
    let mut metadata: Raw = serde_json::from_str(new.unwrap_or("{}"))?;
    metadata.remove(CURSORS);
    let mut text = serde_json::to_string(&metadata)?;
    // Behind what is there, where SQL puts them.
    text.pop();
    if !metadata.is_empty() {
        text.push(',');
    }
    text.extend(["\"", CURSORS, "\":", cursors.get(), "}"]);
    Ok(Some(text))
}

/// A child by its branch row, its workflow and its key.
pub(in crate::store) type Identity = (i64, String, String);

/// Leaves out the children that exist, in the database or earlier in this batch: they are not
/// counted again.
pub(in crate::store) fn leave_out(mut existing: HashSet<Identity>, branches: &mut [Branch<'_>]) {
    for (nth, branch) in (0_i64..).zip(branches) {
        // One that is new has a place of its own among ids that are all positive.
        let id = branch.id.map_or(-1 - nth, |id| id.0);
        branch.children.retain(|(_, child)| {
            existing.insert((id, child.workflow.to_string(), child.key.clone()))
        });
    }
}
