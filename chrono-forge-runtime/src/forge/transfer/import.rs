//! Reading an export into the database: looked through first, written then.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Seek, SeekFrom};

use super::Imported;
use crate::archive::{Batch, Batches, Line, Reader, Totals};
use crate::engine::liveness;
use crate::error::ImportError;
use crate::forge::Forge;
use crate::record::{BRANCH, BranchName, RunCopy, RunId, RunMark};
use crate::store::transfer::{CopyName, ImportNote, ImportedRuns};
use crate::store::{Store, StoreResult};

/// Runs that are looked up at once.
const LOOK_RUNS: usize = 500;
const LOOK_BYTES: usize = 1 << 20;

pub(super) async fn perform<R: BufRead + Seek + Send>(
    forge: &Forge,
    mut file: R,
) -> Result<Imported, ImportError> {
    let begin = file.stream_position();
    let begin = begin.map_err(|error| ImportError::Read { line: 1, error })?;
    let reader = Reader::open(&mut file)?;
    let import = Import {
        forge,
        id: reader.header().id.clone(),
    };
    let id = import.id.clone();
    let note = forge
        .host()
        .read(move |store| store.import_note(&id))
        .await?;
    if note != ImportNote::Finished {
        import.check_note(note)?;
        import.check_workers().await?;
    }
    let totals = import.look_through(reader, note).await?;
    if note == ImportNote::Finished || import.begin().await? == ImportNote::Finished {
        return Ok(Imported {
            skipped: totals.runs,
            ..Imported::default()
        });
    }
    let again = file.seek(SeekFrom::Start(begin));
    again.map_err(|error| ImportError::Read { line: 1, error })?;
    let mut imported = import.write(Batches::new(Reader::open(&mut file)?)).await?;
    import.finish().await?;
    imported.skipped = totals.runs.saturating_sub(imported.runs);
    Ok(imported)
}

/// The import of one file.
struct Import<'a> {
    forge: &'a Forge,
    id: String,
}

impl Import<'_> {
    fn check_note(&self, note: ImportNote) -> Result<(), ImportError> {
        match note {
            ImportNote::Other(started_at) => Err(ImportError::OtherUnfinished { started_at }),
            _ => Ok(()),
        }
    }

    async fn check_workers(&self) -> Result<(), ImportError> {
        let host = self.forge.host();
        let workers = host.read_for_user(liveness::alive).await?;
        match workers.is_empty() {
            true => Ok(()),
            false => Err(ImportError::WorkersAlive { workers }),
        }
    }

    /// Reads the whole file and writes nothing. A run that exists must be the one of the file, to the last
    /// column, unless this file put it there: who was exported, went on and was exported again would lose
    /// what it did in between.
    async fn look_through<R: BufRead>(
        &self,
        mut reader: Reader<R>,
        note: ImportNote,
    ) -> Result<Totals, ImportError> {
        let mut runs = Vec::new();
        let mut bytes = 0;
        let mut known = Known::default();
        let stores_nul = self.forge.host().store.capabilities().stores_nul;
        let mut of_run = (String::new(), String::new());
        while let Some(line) = reader.next_line()? {
            if !stores_nul {
                check_nul(&line, reader.line(), &mut of_run)?;
            }
            let Line::Run(run) = line else { continue };
            if note != ImportNote::New {
                continue;
            }
            bytes += run.bytes();
            runs.push((reader.line(), *run));
            if runs.len() >= LOOK_RUNS || bytes >= LOOK_BYTES {
                known = self.compare(std::mem::take(&mut runs), known).await?;
                bytes = 0;
            }
        }
        self.compare(runs, known).await?;
        Ok(reader.found())
    }

    async fn compare(
        &self,
        runs: Vec<(u64, RunCopy)>,
        mut known: Known,
    ) -> Result<Known, ImportError> {
        if runs.is_empty() {
            return Ok(known);
        }
        let compared = self.forge.host().read_for_user(move |store| {
            let conflict = known.compare(store, runs)?;
            Ok((conflict, known))
        });
        let (conflict, known) = compared.await?;
        match conflict {
            None => Ok(known),
            Some((line, run)) => Err(conflict_at(line, run)),
        }
    }

    /// Notes that the import is under way, and only then looks for workers once more: one that begins now
    /// sees the note.
    async fn begin(&self) -> Result<ImportNote, ImportError> {
        let (host, id) = (self.forge.host(), self.id.clone());
        let clock = std::sync::Arc::clone(&host.clock);
        let note = host.committer().call("import", move |writer| {
            writer.begin_import(&id, clock.now())
        });
        let note = note.await?;
        self.check_note(note)?;
        self.stop_silent_workers().await?;
        let checked = self.check_workers().await;
        if checked.is_err() && note == ImportNote::New {
            let id = self.id.clone();
            let abandon = host
                .committer()
                .call("import", move |writer| writer.abandon_import(&id));
            abandon.await?;
        }
        checked.map(|()| note)
    }

    /// A worker that is silent for longer than its lease may only be frozen. Declared dead, it does not go on with
    /// what is half imported, and does not begin anew before the import is finished.
    async fn stop_silent_workers(&self) -> StoreResult<()> {
        let host = self.forge.host();
        let workers = host.read_for_user(liveness::silent).await?;
        let limits = host.config.crashes;
        for worker in workers {
            let now = host.real_now();
            let declare = host.committer().call("import", move |writer| {
                writer.declare_dead(worker.id, Some(worker.heartbeat_at), limits, now)
            });
            declare.await?;
        }
        Ok(())
    }

    async fn write<R: BufRead>(&self, mut batches: Batches<R>) -> Result<Imported, ImportError> {
        let mut imported = Imported::default();
        // Parents that children of later batches may name, by what they are called in the file. It
        // grows by a few words a run that has branches.
        let mut parents: HashMap<RunMark, RunId> = HashMap::new();
        while let Some(batch) = batches.next_batch()? {
            let Batch {
                mut runs, lines, ..
            } = batch;
            for parts in &mut runs {
                let branch = parts.run.parent.as_ref();
                parts.parent = branch.and_then(|branch| parents.get(&branch.mark()).copied());
            }
            let host = self.forge.host();
            let clock = std::sync::Arc::clone(&host.clock);
            let written = host.committer().call("import", move |writer| {
                let written = writer.import_runs(&runs, clock.now())?;
                Ok((written, std::mem::take(&mut runs)))
            });
            let (written, mut runs) = written.await?;
            match written {
                ImportedRuns::Written {
                    runs: inserted,
                    records,
                    errors,
                    ids,
                } => {
                    let have_children = runs.iter().zip(ids).filter(|(parts, _)| {
                        let records = &parts.records;
                        records.iter().any(|record| record.name.starts_with(BRANCH))
                    });
                    parents.extend(have_children.map(|(parts, id)| (parts.run.mark(), id)));
                    imported.runs += inserted;
                    imported.records += records;
                    imported.errors += errors;
                }
                ImportedRuns::Conflict { place } => {
                    return Err(conflict_at(lines[place], runs.swap_remove(place).run));
                }
                ImportedRuns::ParentMissing { place } => {
                    let RunCopy { workflow, key, .. } = runs.swap_remove(place).run;
                    let line = lines[place];
                    return Err(ImportError::ParentMissing {
                        line,
                        workflow,
                        key,
                    });
                }
            }
        }
        Ok(imported)
    }

    async fn finish(&self) -> Result<(), ImportError> {
        let (host, id) = (self.forge.host(), self.id.clone());
        let clock = std::sync::Arc::clone(&host.clock);
        let finish = host.committer().call("import", move |writer| {
            writer.finish_import(&id, clock.now())
        });
        Ok(finish.await?)
    }
}

/// Runs of the file that the database has, as far as it was looked through.
#[derive(Default)]
struct Known(HashMap<RunMark, RunId>);

impl Known {
    /// The first of these runs that exists as another one. Level after level, since a child is
    /// found under its parent only; whose parent does not exist is new.
    fn compare(
        &mut self,
        store: &dyn Store,
        runs: Vec<(u64, RunCopy)>,
    ) -> StoreResult<Option<(u64, RunCopy)>> {
        let marks: HashSet<RunMark> = runs.iter().map(|(_, run)| run.mark()).collect();
        let mut looked: HashSet<RunMark> = HashSet::new();
        let mut open = runs;
        while !open.is_empty() {
            let is_ready = |(_, run): &(u64, RunCopy)| {
                let parent = run.parent.as_ref().map(BranchName::mark);
                parent.is_none_or(|parent| !marks.contains(&parent) || looked.contains(&parent))
            };
            let (level, deeper): (Vec<_>, Vec<_>) = open.into_iter().partition(is_ready);
            if level.is_empty() {
                // None of them stands below its parent, which is refused when they are written.
                return Ok(None);
            }
            if let Some(conflict) = self.compare_level(store, &level)? {
                return Ok(Some(conflict));
            }
            looked.extend(level.iter().map(|(_, run)| run.mark()));
            open = deeper;
        }
        Ok(None)
    }

    fn compare_level(
        &mut self,
        store: &dyn Store,
        level: &[(u64, RunCopy)],
    ) -> StoreResult<Option<(u64, RunCopy)>> {
        let mut names = Vec::with_capacity(level.len());
        let mut named = Vec::with_capacity(level.len());
        for line in level {
            let run = &line.1;
            let parent = match &run.parent {
                None => None,
                Some(branch) => match self.0.get(&branch.mark()) {
                    Some(parent) => Some((*parent, &*branch.record)),
                    None => continue,
                },
            };
            names.push(CopyName {
                workflow: &run.workflow,
                key: &run.key,
                parent,
            });
            named.push(line);
        }
        let ids = store.find(&names)?;
        let found: Vec<RunId> = ids.iter().copied().flatten().collect();
        let copies: HashMap<RunId, RunCopy> = store.copies(&found)?.into_iter().collect();
        for (line, id) in named.into_iter().zip(ids) {
            let Some(copy) = id.and_then(|id| copies.get(&id)) else {
                continue;
            };
            if copy.clone().unnumbered() != line.1.clone().unnumbered() {
                return Ok(Some(line.clone()));
            }
            self.0.extend(id.map(|id| (line.1.mark(), id)));
        }
        Ok(None)
    }
}

/// Refuses a line with a name that the database cannot store. `of_run` is the workflow and the key
/// of the run above.
fn check_nul(line: &Line, number: u64, of_run: &mut (String, String)) -> Result<(), ImportError> {
    let nul = match line {
        Line::Run(run) => {
            *of_run = (run.workflow.clone(), run.key.clone());
            run.nul()
        }
        Line::Record(record) => record.nul(),
        Line::Error(error) => error.nul(),
        Line::End(_) => None,
    };
    let Some(what) = nul else { return Ok(()) };
    let (workflow, key) = std::mem::take(of_run);
    Err(ImportError::Nul {
        line: number,
        workflow,
        key,
        what,
    })
}

fn conflict_at(line: u64, run: RunCopy) -> ImportError {
    let RunCopy { workflow, key, .. } = run;
    ImportError::Conflict {
        line,
        workflow,
        key,
    }
}
