//! Which records a retry re-arms: those at the tail of the history, or those that were named.

use diesel::QueryResult;

use super::arrivals::Now;
use crate::record::keys::short_name;
use crate::record::{Json, RecordId, RecordState, RunId, RunState};
use crate::store::{Rearm, Rearmed};

/// Failed records that a refusal names.
pub(in crate::store) const FAILED_MAX: usize = 20;

/// What a bare key may stand behind.
const KINDS: [&str; 7] = [
    "step",
    "wait",
    "wait_until",
    "continue_if",
    "repeat",
    "branch",
    "merge",
];

/// Records with their row names.
type Listed = Vec<(RecordId, String)>;

/// What names mean.
pub(in crate::store) enum Named {
    Found(Listed),
    /// The first name that does not mean one failed record.
    Missing {
        record: String,
        problem: &'static str,
    },
}

/// How a store reads and re-arms records, over its kind of connection.
pub(in crate::store) struct Records<C> {
    /// Failed records at the tails of these runs.
    pub(in crate::store) of_runs: fn(&mut C, &[RunId]) -> QueryResult<Listed>,
    pub(in crate::store) named: fn(&mut C, RunId, &[String]) -> QueryResult<Named>,
    /// As a refusal names them.
    pub(in crate::store) failed: fn(&mut C, RunId) -> QueryResult<Vec<String>>,
    /// A record of the run that is none of these.
    pub(in crate::store) other_than: fn(&mut C, RunId, &[RecordId]) -> QueryResult<Option<String>>,
    /// Re-arms these runs with these records.
    pub(in crate::store) rearm: fn(&mut C, &[RunId], &[RecordId], Now) -> QueryResult<()>,
    /// The run has these arguments from now on.
    pub(in crate::store) give_args: fn(&mut C, RunId, &Json) -> QueryResult<()>,
}

impl<C> Records<C> {
    /// Re-arms a run that was found in this state, or tells why not; see
    /// [`Writer::retry`](crate::store::Writer::retry).
    pub(in crate::store) fn retry(
        &self,
        conn: &mut C,
        (run, state): (RunId, RunState),
        rearm: &Rearm,
        now: Now,
    ) -> QueryResult<Rearmed> {
        if !matches!(state, RunState::Failed | RunState::Stalled) {
            return Ok(Rearmed::NotRetryable(state));
        }
        let found = match rearm.records.as_deref() {
            None => Named::Found((self.of_runs)(conn, &[run])?),
            Some(names) => (self.named)(conn, run, names)?,
        };
        let records = match found {
            Named::Found(records) => records,
            Named::Missing { record, problem } => {
                let failed = (self.failed)(conn, run)?;
                return Ok(Rearmed::NoSuchRecord {
                    record,
                    problem,
                    failed,
                });
            }
        };
        let (ids, records): (Vec<RecordId>, Vec<String>) = records.into_iter().unzip();
        if let Some(args) = &rearm.args {
            // What is recorded came of the old ones.
            if let Some(record) = (self.other_than)(conn, run, &ids)? {
                return Ok(Rearmed::HasRecorded { record });
            }
            (self.give_args)(conn, run, args)?;
        }
        (self.rearm)(conn, &[run], &ids, now)?;
        Ok(Rearmed::Done { run, records })
    }
}

/// A record that was looked up by name.
pub(in crate::store) struct Found {
    /// What it was looked up for: a run, or the place of a name.
    pub(in crate::store) nth: i64,
    pub(in crate::store) id: i64,
    pub(in crate::store) name: String,
    pub(in crate::store) state: i64,
    /// Zero for a record that the body has not received.
    pub(in crate::store) seq: i64,
}

impl Found {
    pub(in crate::store) fn is(&self, state: RecordState) -> bool {
        self.state == state as i64
    }
}

/// The tails of histories: by run, the place of the last success before what stalled the run, and failures
/// behind it as (run, place, record, name).
#[derive(Default)]
pub(in crate::store) struct Tails {
    pub(in crate::store) successes: Vec<(i64, i64)>,
    failures: Vec<(i64, i64, i64, String)>,
}

impl Tails {
    /// Adds a run: the place of what stalled it, that of its last success before that, leaving repeats aside, and
    /// the rows of its repeats.
    pub(in crate::store) fn add(
        &mut self,
        (run, stalled, success): (i64, i64, i64),
        repeats: &[Found],
    ) {
        let of_run = || repeats.iter().filter(|repeat| repeat.nth == run);
        let successes = of_run().filter(|repeat| repeat.is(RecordState::Completed));
        let success = successes
            .map(|repeat| repeat.seq)
            .filter(|seq| *seq < stalled)
            .fold(success, i64::max);
        self.successes.push((run, success));
        let failures = of_run().filter(|it| it.is(RecordState::Failed) && it.seq > success);
        self.failures
            .extend(failures.map(|it| (run, it.seq, it.id, it.name.clone())));
    }

    /// The failed records, with those that were found behind the successes.
    pub(in crate::store) fn with(
        mut self,
        found: impl IntoIterator<Item = (i64, i64, i64, String)>,
    ) -> Vec<(RecordId, String)> {
        self.failures.extend(found);
        self.failures.sort_unstable();
        let failures = self.failures.into_iter();
        failures
            .map(|(_, _, id, name)| (RecordId(id), name))
            .collect()
    }
}

/// The row names to look up, each with the place of the name that it may mean.
pub(in crate::store) fn candidates(names: &[String]) -> Vec<(i64, String)> {
    let mut candidates = Vec::new();
    for (nth, name) in (0_i64..).zip(names) {
        let full: Vec<String> = match name.contains('$') {
            true => vec![name.clone()],
            false => KINDS.map(|kind| format!("{kind}${name}")).into(),
        };
        // A long name is that of a row from before, or in a digest.
        let short = full.iter().filter_map(|name| short_name(name));
        let short: Vec<String> = short.collect();
        candidates.extend(full.into_iter().chain(short).map(|name| (nth, name)));
    }
    candidates
}

/// The failed records that these names mean, each once.
pub(in crate::store) fn resolve(names: &[String], rows: &[Found]) -> Named {
    let mut found: Vec<(RecordId, String)> = Vec::new();
    for (nth, name) in (0_i64..).zip(names) {
        let mut failed = rows
            .iter()
            .filter(|row| row.nth == nth && row.is(RecordState::Failed));
        let problem = match (failed.next(), failed.next()) {
            _ if is_repetition(name) => "is one repetition; name its `repeat$<key>`",
            (Some(row), None) => {
                if found.iter().all(|(known, _)| known.0 != row.id) {
                    found.push((RecordId(row.id), row.name.clone()));
                }
                continue;
            }
            (Some(_), Some(_)) => "means several failed records; give the whole row name",
            (None, _) if rows.iter().any(|row| row.nth == nth) => "has not failed",
            (None, _) => "does not exist",
        };
        return Named::Missing {
            record: name.clone(),
            problem,
        };
    }
    Named::Found(found)
}

/// `repeat$<key>$<instant>`.
fn is_repetition(name: &str) -> bool {
    name.strip_prefix("repeat$")
        .is_some_and(|rest| rest.contains('$'))
}

/// Failed records as a refusal names them.
pub(in crate::store) fn listed(mut names: Vec<String>, repeats: Vec<Found>) -> Vec<String> {
    let repeats = repeats.into_iter();
    let repeats = repeats.filter(|repeat| repeat.is(RecordState::Failed));
    names.extend(repeats.map(|repeat| repeat.name));
    names.sort_unstable();
    names.truncate(FAILED_MAX);
    names
}
