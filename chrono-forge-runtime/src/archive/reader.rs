//! Reading an export line by line, and refusing what is none.

use std::io::{BufRead, Read};

use super::lines::{Header, Line, LineRef, MARK, Mark, Totals, VERSION};
use crate::error::ImportError;

/// The longest header. Files of other kinds may be one endless line.
const HEADER_BYTES_MAX: u64 = 4 << 10;

/// An export that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    /// The number of the line read last.
    line: u64,
    text: Vec<u8>,
    found: Totals,
    /// The closing line was read.
    is_over: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`ImportError::NotAnExport`], [`ImportError::Newer`], or what the source answers.
    pub fn open(mut source: R) -> Result<Self, ImportError> {
        let mut text = Vec::new();
        let read = source
            .by_ref()
            .take(HEADER_BYTES_MAX)
            .read_until(b'\n', &mut text);
        read.map_err(|error| ImportError::Read { line: 1, error })?;
        let mark: Mark = serde_json::from_slice(&text).map_err(|_| ImportError::NotAnExport)?;
        if mark.chrono_forge != MARK {
            return Err(ImportError::NotAnExport);
        }
        if mark.version > VERSION {
            return Err(ImportError::Newer {
                version: mark.version,
                known: VERSION,
            });
        }
        let header = serde_json::from_slice(&text).map_err(|error| bad(1, error))?;
        Ok(Self {
            source,
            header,
            line: 1,
            text,
            found: Totals::default(),
            is_over: false,
        })
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the line that was read last.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Lines read so far.
    #[must_use]
    pub fn found(&self) -> Totals {
        self.found
    }

    /// The next run, record or error; `None` once the closing line was read and agrees with what was found.
    ///
    /// # Errors
    /// [`ImportError::Torn`], [`ImportError::Line`], [`ImportError::Miscounted`], or what the source answers.
    pub fn next_line(&mut self) -> Result<Option<Line>, ImportError> {
        if self.is_over {
            return Ok(None);
        }
        let line = self.read_line()?;
        match &line {
            Line::Run(run) => self.accept(run.problem(), &LineRef::Run(run))?,
            Line::Record(record) => {
                self.check_run()?;
                self.accept(record.problem(), &LineRef::Record(record))?;
            }
            Line::Error(error) => {
                self.check_run()?;
                self.accept(error.problem(), &LineRef::Error(error))?;
            }
            Line::End(told) => {
                self.close(*told)?;
                return Ok(None);
            }
        }
        Ok(Some(line))
    }

    fn read_line(&mut self) -> Result<Line, ImportError> {
        self.text.clear();
        let line = self.line + 1;
        let read = self.source.read_until(b'\n', &mut self.text);
        read.map_err(|error| ImportError::Read { line, error })?;
        if self.text.last() != Some(&b'\n') {
            return Err(ImportError::Torn { line: self.line });
        }
        self.line = line;
        serde_json::from_slice(&self.text).map_err(|error| bad(line, error))
    }

    fn accept(
        &mut self,
        problem: Option<&'static str>,
        line: &LineRef<'_>,
    ) -> Result<(), ImportError> {
        if let Some(problem) = problem {
            return Err(bad(self.line, problem));
        }
        self.found.count(line);
        Ok(())
    }

    fn check_run(&self) -> Result<(), ImportError> {
        if self.found.runs == 0 {
            return Err(bad(self.line, "there is no run above it"));
        }
        Ok(())
    }

    fn close(&mut self, told: Totals) -> Result<(), ImportError> {
        if told != self.found {
            return Err(ImportError::Miscounted {
                told,
                found: self.found,
            });
        }
        self.is_over = true;
        let rest = self.source.fill_buf();
        let line = self.line + 1;
        match rest {
            Ok([]) => Ok(()),
            Ok(_) => Err(bad(line, "something follows the closing line")),
            Err(error) => Err(ImportError::Read { line, error }),
        }
    }
}

fn bad(line: u64, problem: impl ToString) -> ImportError {
    ImportError::Line {
        line,
        problem: problem.to_string(),
    }
}
