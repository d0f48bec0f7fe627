//! Writing an export: one thread reads the database, the caller writes the file, a few pages in between.

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::parts::{ErrorRow, Rows};
use super::{Export, Exported};
use crate::archive::{self, Header, LineRef, Totals};
use crate::engine::liveness;
use crate::error::{Error, ExportError};
use crate::record::{RecordCopy, RunId};
use crate::store::Store;

/// Bytes of one piece of the file.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces between the thread and the caller.
const PIECES: usize = 2;

/// The most runs of a page.
const RUNS: u32 = 500;

pub(super) async fn perform<W: Write + Send + ?Sized>(
    export: Export<'_, W>,
) -> Result<Exported, ExportError> {
    let host = export.forge.host();
    let (file, mut pieces) = mpsc::channel(PIECES);
    let source = Source {
        store: Arc::clone(&host.store),
        is_while_running: export.is_while_running,
        now: host.clock.now(),
    };
    // It ends when nobody takes its pieces any more.
    let reading = tokio::task::spawn_blocking(move || source.write(file));
    while let Some(piece) = pieces.recv().await {
        export.file.write_all(&piece)?;
    }
    let totals = reading.await.map_err(|_| Error::Closed)??;
    export.file.flush()?;
    Ok(Exported {
        runs: totals.runs,
        records: totals.records,
        errors: totals.errors,
    })
}

/// The database that is exported.
struct Source {
    store: Arc<dyn Store>,
    is_while_running: bool,
    now: Timestamp,
}

impl Source {
    fn write(&self, file: mpsc::Sender<Vec<u8>>) -> Result<Totals, ExportError> {
        self.check_workers()?;
        let mut snapshot = self.store.snapshot()?;
        let mut pieces = Pieces::new(file);
        archive::write(&mut pieces.text, &Header::new(self.now)).map_err(std::io::Error::from)?;
        let mut after = RunId(0);
        loop {
            let runs = snapshot.runs(after, RUNS)?;
            let (Some((first, _)), Some((last, _))) = (runs.first(), runs.last()) else {
                break;
            };
            let mut records: Rows<RecordCopy> = Rows::between(*first, *last);
            let mut errors: Rows<ErrorRow> = Rows::between(*first, *last);
            after = *last;
            for (id, run) in runs {
                pieces.push(&LineRef::Run(&run.released(self.now)))?;
                while let Some(record) = records.next_of(id, snapshot.as_mut())? {
                    pieces.push(&LineRef::Record(&record))?;
                }
                while let Some((_, error)) = errors.next_of(id, snapshot.as_mut())? {
                    pieces.push(&LineRef::Error(&error))?;
                }
            }
        }
        // One that began meanwhile executes what the file holds.
        self.check_workers()?;
        let totals = pieces.totals;
        pieces.push(&LineRef::End(&totals))?;
        pieces.flush()?;
        Ok(totals)
    }

    fn check_workers(&self) -> Result<(), ExportError> {
        if self.is_while_running {
            return Ok(());
        }
        let workers = liveness::alive(self.store.as_ref())?;
        match workers.is_empty() {
            true => Ok(()),
            false => Err(ExportError::WorkersAlive { workers }),
        }
    }
}

/// The file, on its way to who writes it.
struct Pieces {
    file: mpsc::Sender<Vec<u8>>,
    text: Vec<u8>,
    totals: Totals,
}

impl Pieces {
    fn new(file: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            file,
            text: Vec::new(),
            totals: Totals::default(),
        }
    }

    fn push(&mut self, line: &LineRef<'_>) -> Result<(), ExportError> {
        archive::write(&mut self.text, line).map_err(std::io::Error::from)?;
        self.totals.count(line);
        match self.text.len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        let piece = std::mem::take(&mut self.text);
        // Whoever stopped taking them has an error of their own to tell.
        let sent = self.file.blocking_send(piece);
        sent.map_err(|_| ExportError::Forge(Error::Closed))
    }
}
