//! Reading an export into the database: looked through first, written then.

use std::collections::HashMap;
use std::io::{BufRead, Seek, SeekFrom};

use super::Imported;
use crate::archive::{Batch, Batches, Line, Reader, Totals};
use crate::engine::liveness;
use crate::error::ImportError;
use crate::forge::Forge;
use crate::record::RunCopy;
use crate::store::transfer::{ImportNote, ImportedRuns};
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
        let workers = host.read(liveness::alive).await?;
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
        while let Some(line) = reader.next_line()? {
            let Line::Run(run) = line else { continue };
            if note != ImportNote::New {
                continue;
            }
            bytes += run.bytes();
            runs.push((reader.line(), run));
            if runs.len() >= LOOK_RUNS || bytes >= LOOK_BYTES {
                self.compare(std::mem::take(&mut runs)).await?;
                bytes = 0;
            }
        }
        self.compare(runs).await?;
        Ok(reader.found())
    }

    async fn compare(&self, runs: Vec<(u64, RunCopy)>) -> Result<(), ImportError> {
        if runs.is_empty() {
            return Ok(());
        }
        let conflict = self
            .forge
            .host()
            .read(move |store| first_conflict(store, runs));
        match conflict.await? {
            None => Ok(()),
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
        let workers = host.read(liveness::silent).await?;
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
        while let Some(Batch { runs, lines, .. }) = batches.next_batch()? {
            let host = self.forge.host();
            let clock = std::sync::Arc::clone(&host.clock);
            let written = host.committer().call("import", move |writer| {
                let written = writer.import_runs(&runs, clock.now())?;
                Ok((written, runs))
            });
            let (written, mut runs) = written.await?;
            match written {
                ImportedRuns::Written {
                    runs,
                    records,
                    errors,
                } => {
                    imported.runs += runs;
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

/// The first of these runs that exists as another one.
fn first_conflict(
    store: &dyn Store,
    runs: Vec<(u64, RunCopy)>,
) -> StoreResult<Option<(u64, RunCopy)>> {
    let names: Vec<(&str, &str)> = runs
        .iter()
        .map(|(_, run)| (&*run.workflow, &*run.key))
        .collect();
    let known = store.copies(&names)?;
    let known: HashMap<(&str, &str), &RunCopy> = known
        .iter()
        .map(|run| ((&*run.workflow, &*run.key), run))
        .collect();
    let is_other = |run: &RunCopy| {
        let known = known.get(&(&*run.workflow, &*run.key));
        known.is_some_and(|known| *known != run)
    };
    let other = runs.iter().find(|(_, run)| is_other(run));
    Ok(other.cloned())
}

fn conflict_at(line: u64, run: RunCopy) -> ImportError {
    let RunCopy { workflow, key, .. } = run;
    ImportError::Conflict {
        line,
        workflow,
        key,
    }
}
