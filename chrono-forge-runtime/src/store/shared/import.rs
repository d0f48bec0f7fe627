//! The import of a batch of runs, in words that the tables of every database understand.
//!
//! Ids are given out anew, so everything is named until the last moment: runs by workflow and key, branches by
//! their run and record. Whatever refuses the batch is found before the first row is written.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::record::{BranchName, ErrorCopy, RecordCopy, RecordId, RunCopy, RunId, RunParts};
use crate::store::transfer::ImportedRuns;

/// What the names of branch records begin with.
const BRANCH: &str = "branch$";

/// The statements that an import is made of; each is for a whole batch.
pub(in crate::store) trait ImportTables {
    type Error;

    /// The runs with these workflows and keys, each at the place of its name.
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

/// A workflow and a key.
pub(in crate::store) type Name<'a> = (&'a str, &'a str);

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
    let names = Names::of(parts);
    let known = tables.find_runs(&names.all)?;
    if let Some(place) = first_conflict(parts, &names, &known) {
        return Ok(ImportedRuns::Conflict { place });
    }
    if let Some(place) = first_orphan(tables, parts, &names, &known)? {
        return Ok(ImportedRuns::ParentMissing { place });
    }
    let ids = number(tables, parts, &names, &known)?;
    let id_of = |run: &RunCopy| ids[names.of_run(run)];
    let records = rows(parts, |parts| &parts.records, id_of);
    let records = tables.insert_records(&records)?;
    let new = new_runs(tables, parts, &names, (&known, &ids))?;
    tables.insert_runs(&new)?;
    tables.insert_blocked(&new)?;
    let errors = rows(parts, |parts| &parts.errors, id_of);
    let errors = tables.insert_errors(&errors)?;
    Ok(ImportedRuns::Written {
        runs: new.len() as u64,
        records,
        errors,
    })
}

/// The runs of a batch and their parents, each once.
struct Names<'a> {
    all: Vec<Name<'a>>,
    places: HashMap<Name<'a>, usize>,
}

impl<'a> Names<'a> {
    fn of(parts: &'a [RunParts]) -> Self {
        let mut names = Self {
            all: Vec::with_capacity(parts.len()),
            places: HashMap::with_capacity(parts.len()),
        };
        for RunParts { run, .. } in parts {
            names.enter((&run.workflow, &run.key));
            if let Some(parent) = &run.parent {
                names.enter((&parent.workflow, &parent.key));
            }
        }
        names
    }

    fn enter(&mut self, name: Name<'a>) {
        let all = &mut self.all;
        self.places.entry(name).or_insert_with(|| {
            all.push(name);
            all.len() - 1
        });
    }

    fn of_run(&self, run: &RunCopy) -> usize {
        self.places[&(&*run.workflow, &*run.key)]
    }

    fn of_parent(&self, parent: &BranchName) -> usize {
        self.places[&(&*parent.workflow, &*parent.key)]
    }
}

/// The place of the first run that is in the batch twice, or exists as another one.
fn first_conflict(
    parts: &[RunParts],
    names: &Names<'_>,
    known: &[Option<KnownRun>],
) -> Option<usize> {
    let mut seen = HashSet::with_capacity(parts.len());
    parts.iter().position(|RunParts { run, .. }| {
        let name = names.of_run(run);
        !seen.insert(name) || known[name].is_some_and(|known| known.created_at != run.created_at)
    })
}

/// The place of the first run whose parent's record is neither before it in the batch nor in the database.
fn first_orphan<'a, T: ImportTables>(
    tables: &mut T,
    parts: &'a [RunParts],
    names: &Names<'a>,
    known: &[Option<KnownRun>],
) -> Result<Option<usize>, T::Error> {
    let mut here: HashSet<(usize, &str)> = HashSet::new();
    let (mut elsewhere, mut places) = (Vec::new(), Vec::new());
    for (place, RunParts { run, records, .. }) in parts.iter().enumerate() {
        if let Some(parent) = &run.parent
            && !here.contains(&(names.of_parent(parent), &*parent.record))
        {
            match known[names.of_parent(parent)] {
                Some(found) => elsewhere.push((found.id, &*parent.record)),
                None => return Ok(Some(place)),
            }
            places.push(place);
        }
        let of_run = names.of_run(run);
        let branches = records
            .iter()
            .filter(|record| record.name.starts_with(BRANCH));
        here.extend(branches.map(|branch| (of_run, &*branch.name)));
    }
    let found = tables.find_records(&elsewhere)?;
    let missing = found.iter().position(Option::is_none);
    Ok(missing.map(|nth| places[nth]))
}

/// The ids of all runs that are named, new ones in the order of the batch.
fn number<T: ImportTables>(
    tables: &mut T,
    parts: &[RunParts],
    names: &Names<'_>,
    known: &[Option<KnownRun>],
) -> Result<Vec<RunId>, T::Error> {
    let mut ids: Vec<Option<RunId>> = known.iter().map(|run| run.map(|run| run.id)).collect();
    let new = ids.iter().filter(|id| id.is_none()).count();
    let mut fresh = tables.next_run_ids(new)?.into_iter();
    for RunParts { run, .. } in parts {
        let id = &mut ids[names.of_run(run)];
        if id.is_none() {
            *id = fresh.next();
        }
    }
    // Whoever is named is known or in the batch, so none is left without.
    Ok(ids.into_iter().map(|id| id.unwrap_or(RunId(0))).collect())
}

fn new_runs<'a, T: ImportTables>(
    tables: &mut T,
    parts: &'a [RunParts],
    names: &Names<'a>,
    (known, ids): (&[Option<KnownRun>], &[RunId]),
) -> Result<Vec<NewRun<'a>>, T::Error> {
    let unknown = parts
        .iter()
        .filter(|parts| known[names.of_run(&parts.run)].is_none());
    let mut new: Vec<NewRun<'_>> = unknown
        .map(|RunParts { run, .. }| NewRun {
            id: ids[names.of_run(run)],
            parent: None,
            run,
        })
        .collect();
    let parents = new.iter().filter_map(|new| new.run.parent.as_ref());
    let wanted: Vec<_> = parents
        .map(|parent| (ids[names.of_parent(parent)], &*parent.record))
        .collect();
    let found = tables.find_records(&wanted)?;
    let children = new.iter_mut().filter(|new| new.run.parent.is_some());
    for (child, parent) in children.zip(found) {
        child.parent = parent;
    }
    Ok(new)
}

/// The rows of one kind, each with its run's id.
fn rows<'a, R>(
    parts: &'a [RunParts],
    of: impl Fn(&'a RunParts) -> &'a Vec<R>,
    id_of: impl Fn(&RunCopy) -> RunId,
) -> Vec<(RunId, &'a R)> {
    let each = |parts: &'a RunParts| {
        let id = id_of(&parts.run);
        of(parts).iter().map(move |row| (id, row))
    };
    parts.iter().flat_map(each).collect()
}
