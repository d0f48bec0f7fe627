//! The import of a batch of runs, in words that the tables of every database understand.
//!
//! Ids are given out anew, so everything is named until the last moment: runs by workflow, key and
//! parent, branches by their run and record. Whatever refuses the batch is found before the first
//! row is written.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::record::{ErrorCopy, RecordCopy, RecordId, RunCopy, RunId, RunMark, RunParts};
use crate::store::transfer::ImportedRuns;

/// The statements that an import is made of; each is for a whole batch.
pub(in crate::store) trait ImportTables {
    type Error;

    /// The runs with these names, each at the place of its name.
    fn find_runs(&mut self, names: &[Name<'_>]) -> Result<Vec<Option<KnownRun>>, Self::Error>;
    /// Ids for so many new runs, in order.
    fn next_run_ids(&mut self, count: usize) -> Result<Vec<RunId>, Self::Error>;
    /// The records with these names, each at the place of its name.
    fn find_records(
        &mut self,
        names: &[(RunId, &str)],
    ) -> Result<Vec<Option<RecordId>>, Self::Error>;
    /// Inserts those records that do not exist; answers how many.
    fn insert_records(&mut self, rows: &[(RunId, &RecordCopy)]) -> Result<u64, Self::Error>;
    /// Inserts runs, none of which exists.
    fn insert_runs(&mut self, rows: &[NewRun<'_>]) -> Result<(), Self::Error>;
    /// Enters those that are failed, stalled or canceled into the list of blocked runs.
    fn insert_blocked(&mut self, rows: &[NewRun<'_>]) -> Result<(), Self::Error>;
    /// Inserts those errors that do not exist, in order; answers how many.
    fn insert_errors(&mut self, rows: &[(RunId, &ErrorCopy)]) -> Result<u64, Self::Error>;
}

/// A workflow, a key and the parent's branch.
pub(in crate::store) type Name<'a> = (&'a str, &'a str, Option<RecordId>);

/// A run that exists.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct KnownRun {
    pub(in crate::store) id: RunId,
    pub(in crate::store) created_at: Timestamp,
}

/// A run to insert.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct NewRun<'a> {
    pub(in crate::store) id: RunId,
    pub(in crate::store) parent: Option<RecordId>,
    pub(in crate::store) run: &'a RunCopy,
}

/// See [`Imports::import_runs`](crate::store::transfer::Imports::import_runs).
pub(in crate::store) fn import_runs<T: ImportTables>(
    tables: &mut T,
    parts: &[RunParts],
) -> Result<ImportedRuns, T::Error> {
    let parents = match parents(parts) {
        Ok(parents) => parents,
        Err(refusal) => return Ok(refusal),
    };
    let mut look = Look {
        parts,
        parents: &parents,
        known: vec![None; parts.len()],
        is_told: vec![false; parts.len()],
    };
    if let Some(refusal) = look.all(tables)? {
        return Ok(refusal);
    }
    let known = look.known;
    let ids = number(tables, &known)?;
    let records = rows(parts, &ids, |parts| &parts.records);
    let records = tables.insert_records(&records)?;
    let new = new_runs(tables, (parts, &parents), (&known, &ids))?;
    tables.insert_runs(&new)?;
    tables.insert_blocked(&new)?;
    let errors = rows(parts, &ids, |parts| &parts.errors);
    let errors = tables.insert_errors(&errors)?;
    Ok(ImportedRuns::Written {
        runs: new.len() as u64,
        records,
        errors,
        ids,
    })
}

/// Where the parent of a run is.
#[derive(Clone, Copy)]
enum Parent<'a> {
    /// It has none.
    None,
    /// At this place of the batch; with the name of the branch.
    Here(usize, &'a str),
    /// This run of the database.
    Elsewhere(RunId, &'a str),
}

/// The parents of a batch, unless a run is in it twice or stands before its parent.
fn parents(parts: &[RunParts]) -> Result<Vec<Parent<'_>>, ImportedRuns> {
    let mut places: HashMap<RunMark, usize> = HashMap::with_capacity(parts.len());
    let mut parents = Vec::with_capacity(parts.len());
    for (place, RunParts { run, parent, .. }) in parts.iter().enumerate() {
        parents.push(match &run.parent {
            None => Parent::None,
            Some(branch) => match (places.get(&branch.mark()), parent) {
                (Some(here), _) => Parent::Here(*here, &branch.record),
                (None, Some(elsewhere)) => Parent::Elsewhere(*elsewhere, &branch.record),
                (None, None) => return Err(ImportedRuns::ParentMissing { place }),
            },
        });
        if places.insert(run.mark(), place).is_some() {
            return Err(ImportedRuns::Conflict { place });
        }
    }
    Ok(parents)
}

/// The look at which runs of a batch exist.
struct Look<'a> {
    parts: &'a [RunParts],
    parents: &'a [Parent<'a>],
    known: Vec<Option<KnownRun>>,
    /// `known` says so.
    is_told: Vec<bool>,
}

impl<'a> Look<'a> {
    /// Level after level, since a child is found under its parent only.
    fn all<T: ImportTables>(&mut self, tables: &mut T) -> Result<Option<ImportedRuns>, T::Error> {
        let mut open: Vec<usize> = (0..self.parts.len()).collect();
        while !open.is_empty() {
            let is_ready = |place: &usize| match self.parents[*place] {
                Parent::Here(parent, _) => self.is_told[parent],
                _ => true,
            };
            let (level, deeper): (Vec<usize>, Vec<usize>) = open.into_iter().partition(is_ready);
            if let Some(refusal) = self.level(tables, &level)? {
                return Ok(Some(refusal));
            }
            level
                .into_iter()
                .for_each(|place| self.is_told[place] = true);
            open = deeper;
        }
        Ok(None)
    }

    fn level<T: ImportTables>(
        &mut self,
        tables: &mut T,
        level: &[usize],
    ) -> Result<Option<ImportedRuns>, T::Error> {
        let of_known = |place: usize| match self.parents[place] {
            Parent::None => None,
            Parent::Here(parent, record) => self.known[parent].map(|known| (known.id, record)),
            Parent::Elsewhere(run, record) => Some((run, record)),
        };
        let branches: Vec<(usize, (RunId, &str))> = level
            .iter()
            .filter_map(|place| Some((*place, of_known(*place)?)))
            .collect();
        let names: Vec<(RunId, &str)> = branches.iter().map(|(_, branch)| *branch).collect();
        let found = tables.find_records(&names)?;
        let found: HashMap<usize, RecordId> = branches
            .iter()
            .zip(found)
            .filter_map(|((place, _), record)| Some((*place, record?)))
            .collect();
        let is_orphan =
            |place: &&usize| !found.contains_key(place) && !self.is_branch_here(**place);
        if let Some(place) = level.iter().find(is_orphan) {
            return Ok(Some(ImportedRuns::ParentMissing { place: *place }));
        }
        // A child of a branch that is new is new, too.
        let is_top = |place: usize| matches!(self.parents[place], Parent::None);
        let sought: Vec<usize> = level
            .iter()
            .copied()
            .filter(|place| is_top(*place) || found.contains_key(place))
            .collect();
        let names: Vec<Name<'_>> = sought
            .iter()
            .map(|place| {
                let run = &self.parts[*place].run;
                (&*run.workflow, &*run.key, found.get(place).copied())
            })
            .collect();
        for (place, known) in sought.into_iter().zip(tables.find_runs(&names)?) {
            let created_at = self.parts[place].run.created_at;
            if known.is_some_and(|known| known.created_at != created_at) {
                return Ok(Some(ImportedRuns::Conflict { place }));
            }
            self.known[place] = known;
        }
        Ok(None)
    }

    /// Whether this run has no parent, or one whose branch stands above it in the batch.
    fn is_branch_here(&self, place: usize) -> bool {
        match self.parents[place] {
            Parent::None => true,
            Parent::Here(parent, branch) => {
                let records = &self.parts[parent].records;
                records.iter().any(|record| record.name == branch)
            }
            Parent::Elsewhere(..) => false,
        }
    }
}

/// The ids of all runs, new ones in the order of the batch.
fn number<T: ImportTables>(
    tables: &mut T,
    known: &[Option<KnownRun>],
) -> Result<Vec<RunId>, T::Error> {
    let new = known.iter().filter(|known| known.is_none()).count();
    let mut fresh = tables.next_run_ids(new)?.into_iter();
    let id = |known: &Option<KnownRun>| known.map(|known| known.id).or_else(|| fresh.next());
    // As many were asked for as are new.
    Ok(known
        .iter()
        .map(id)
        .map(|id| id.unwrap_or(RunId(0)))
        .collect())
}

fn new_runs<'a, T: ImportTables>(
    tables: &mut T,
    (parts, parents): (&'a [RunParts], &[Parent<'a>]),
    (known, ids): (&[Option<KnownRun>], &[RunId]),
) -> Result<Vec<NewRun<'a>>, T::Error> {
    let places: Vec<usize> = (0..parts.len())
        .filter(|place| known[*place].is_none())
        .collect();
    let branch = |place: &usize| match parents[*place] {
        Parent::None => None,
        Parent::Here(parent, record) => Some((ids[parent], record)),
        Parent::Elsewhere(run, record) => Some((run, record)),
    };
    let wanted: Vec<(RunId, &str)> = places.iter().filter_map(branch).collect();
    let mut found = tables.find_records(&wanted)?.into_iter();
    let new = |place: usize| NewRun {
        id: ids[place],
        parent: match parents[place] {
            Parent::None => None,
            _ => found.next().flatten(),
        },
        run: &parts[place].run,
    };
    Ok(places.into_iter().map(new).collect())
}

/// The rows of one kind, each with its run's id.
fn rows<'a, R>(
    parts: &'a [RunParts],
    ids: &[RunId],
    of: impl Fn(&'a RunParts) -> &'a Vec<R>,
) -> Vec<(RunId, &'a R)> {
    let each = |(parts, id): (&'a RunParts, &RunId)| {
        let id = *id;
        of(parts).iter().map(move |row| (id, row))
    };
    parts.iter().zip(ids).flat_map(each).collect()
}

/// Puts a value at its place, if there is one.
pub(in crate::store) fn put<T>(found: &mut [Option<T>], place: i64, value: T) {
    let place = usize::try_from(place).ok().and_then(|at| found.get_mut(at));
    if let Some(place) = place {
        *place = Some(value);
    }
}
