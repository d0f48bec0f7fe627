//! Waiting for a turn at the schema without keeping others from theirs.

use std::time::{Duration, Instant};

use super::super::connection::Session;
use super::holders::{self, Holder};
use crate::error::StoreError;
use crate::store::StoreResult;
use crate::telemetry::{TARGET, Trouble};

/// How long somebody else may keep the schema from being changed before that is an error.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long nothing is tried while those who are in the way are known to be there.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether they still are.
const LOOK: Duration = Duration::from_millis(200);

/// Does `work` on the schema, again for as long as a lock of somebody else's is in the way. Each
/// try waits for a lock only briefly, because all that comes behind it has to wait, too, heartbeats
/// among them; and between two tries it waits until whoever was in the way is gone. It ends as well
/// once its own caller is gone: a schema is changed for somebody, or not at all.
pub(super) fn in_turn<T>(
    session: &mut Session,
    what: &str,
    mut work: impl FnMut(&mut Session) -> StoreResult<T>,
) -> StoreResult<T> {
    let begun = Instant::now();
    let mut trouble = Trouble::default();
    loop {
        let mut error = match work(session) {
            Err(error) if error.is_locked() => error,
            done => {
                trouble.end("the schema is no longer in use by others");
                return done;
            }
        };
        let found = holders::find(session).unwrap_or_default();
        if session.caller().is_gone() {
            return Err(error);
        }
        if begun.elapsed() >= WAIT_MAX {
            error.message = refusal(&error, what, &found);
            return Err(error);
        }
        if trouble.is_worth_telling() {
            let holders = holders::listed(&found);
            tracing::warn!(target: TARGET, holders, "the schema waits {what} until those who use it are done; meanwhile others work on");
        }
        until_free(session);
    }
}

/// Waits until nobody who has been at it for longer is there.
fn until_free(session: &mut Session) {
    let begun = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        let is_free = holders::find(session).is_ok_and(|found| found.is_empty());
        if is_free || session.caller().is_gone() || begun.elapsed() >= PAUSE_MAX {
            return;
        }
    }
}

fn refusal(error: &StoreError, what: &str, found: &[Holder]) -> String {
    format!(
        "the schema waited {what} for {} minutes, and {} keep it from that ({}): end those transactions, and open it again",
        WAIT_MAX.as_secs() / 60,
        holders::listed(found),
        error.message
    )
}
