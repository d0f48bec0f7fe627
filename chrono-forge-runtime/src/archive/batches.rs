//! An export in batches: runs with their records and errors, as many as go into one transaction.

use std::io::BufRead;

use super::lines::Line;
use super::reader::Reader;
use crate::error::ImportError;
use crate::record::RunParts;

/// Bounds of a batch. A run whose history is longer comes in several, each with the run itself.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RUNS: usize = 500;

/// Some of an export's runs.
#[derive(Debug, Default)]
pub struct Batch {
    pub runs: Vec<RunParts>,
    /// The line of each run.
    pub lines: Vec<u64>,
    bytes: usize,
}

/// An export that is being read batch by batch.
#[derive(Debug)]
pub struct Batches<R> {
    reader: Reader<R>,
    /// The run that the next line may belong to, and its line: the first of the next batch.
    begun: Option<(RunParts, u64)>,
    /// `begun` stood in the batch before, too.
    is_rest: bool,
}

impl<R: BufRead> Batches<R> {
    /// The batches of what this reader has not read yet.
    pub fn new(reader: Reader<R>) -> Self {
        Self {
            reader,
            begun: None,
            is_rest: false,
        }
    }

    /// The reader.
    #[must_use]
    pub fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::next_line`].
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ImportError> {
        let mut batch = Batch::default();
        if let Some((run, line)) = self.begun.take() {
            batch.push(run, line);
            // Counted before: a large run would leave its own records no room.
            batch.bytes = if self.is_rest { 0 } else { batch.bytes };
        }
        loop {
            let Some(line) = self.reader.next_line()? else {
                let is_empty = batch.is_rest_only(std::mem::take(&mut self.is_rest));
                return Ok((!is_empty).then_some(batch));
            };
            match line {
                Line::Run(run) => {
                    let run = RunParts {
                        run: *run,
                        parent: None,
                        records: Vec::new(),
                        errors: Vec::new(),
                    };
                    let line = self.reader.line();
                    if batch.is_rest_only(std::mem::take(&mut self.is_rest)) {
                        batch = Batch::default();
                    }
                    if batch.is_full() {
                        self.begun = Some((run, line));
                        return Ok(Some(batch));
                    }
                    batch.push(run, line);
                }
                Line::Record(record) => {
                    batch.bytes += record.bytes();
                    if let Some(last) = batch.runs.last_mut() {
                        last.records.push(record);
                    }
                }
                Line::Error(error) => {
                    batch.bytes += error.bytes();
                    if let Some(last) = batch.runs.last_mut() {
                        last.errors.push(error);
                    }
                }
                Line::End(_) => {}
            }
            if batch.bytes >= BATCH_BYTES {
                self.carry_over(&batch);
                return Ok(Some(batch));
            }
        }
    }

    /// More of the last run may follow.
    fn carry_over(&mut self, batch: &Batch) {
        let last = batch.runs.last().zip(batch.lines.last());
        self.begun = last.map(|(parts, line)| {
            let rest = RunParts {
                run: parts.run.clone(),
                parent: None,
                records: Vec::new(),
                errors: Vec::new(),
            };
            (rest, *line)
        });
        self.is_rest = true;
    }
}

impl Batch {
    fn push(&mut self, run: RunParts, line: u64) {
        self.bytes += run.run.bytes();
        self.runs.push(run);
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.runs.len() >= BATCH_RUNS
    }

    /// Whether all it holds is a run that turned out to have no rest.
    fn is_rest_only(&self, is_rest: bool) -> bool {
        match self.runs.as_slice() {
            [] => true,
            [only] => is_rest && only.records.is_empty() && only.errors.is_empty(),
            _ => false,
        }
    }
}
