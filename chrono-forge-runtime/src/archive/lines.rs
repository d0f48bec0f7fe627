//! What a line says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{ErrorCopy, RecordCopy, RunCopy};

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 2;

/// What the first line says before anything else.
pub const MARK: &str = "export";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub chrono_forge: String,
    pub version: u32,
    /// Tells this export from every other.
    pub id: String,
    /// In microseconds since 1970.
    pub exported_at: i64,
}

impl Header {
    /// The header of a new export.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            chrono_forge: MARK.to_owned(),
            version: VERSION,
            id: format!("{:032x}", fastrand::u128(..)),
            exported_at: now.as_microsecond(),
        }
    }
}

/// What the first line of every version has.
#[derive(Debug, Deserialize)]
pub(super) struct Mark {
    pub(super) chrono_forge: String,
    pub(super) version: u32,
}

/// A line behind the header.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Run(Box<RunCopy>),
    Record(RecordCopy),
    Error(ErrorCopy),
    End(Totals),
}

/// A line to write.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineRef<'a> {
    Run(&'a RunCopy),
    Record(&'a RecordCopy),
    Error(&'a ErrorCopy),
    End(&'a Totals),
}

/// How many lines of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    pub runs: u64,
    pub records: u64,
    pub errors: u64,
}

impl Totals {
    /// Counts one more line.
    pub fn count(&mut self, line: &LineRef<'_>) {
        match line {
            LineRef::Run(_) => self.runs += 1,
            LineRef::Record(_) => self.records += 1,
            LineRef::Error(_) => self.errors += 1,
            LineRef::End(_) => {}
        }
    }
}

/// Writes a line behind what is there.
pub fn write(out: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.push(b'\n');
    Ok(())
}
