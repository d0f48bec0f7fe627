//! Waiting for a server that is not up yet, as one that is started together with those who need it.

use std::time::{Duration, Instant};

use super::connection::Session;
use super::location::PostgresOptions;
use crate::store::StoreResult;
use crate::telemetry::{TARGET, Trouble};

/// The first pause between two tries; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connects, again for so long while that may still succeed, and says what it waits for. What
/// somebody has to correct is told at once. Whose caller is gone tries no more.
pub(super) fn connect(session: &mut Session, options: &PostgresOptions) -> StoreResult<()> {
    let timeout = options.open_timeout;
    let begun = Instant::now();
    let mut pause = PAUSE_MIN;
    let mut trouble = Trouble::default();
    loop {
        let mut error = match session.connect() {
            Ok(_) => {
                trouble.end("the database is up");
                return Ok(());
            }
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        let left = timeout.saturating_sub(begun.elapsed());
        if options.caller.is_gone() {
            return Err(error);
        }
        if left.is_zero() {
            if !timeout.is_zero() {
                error.message +=
                    &format!(" (after {timeout:?}, see `open_timeout` of the builder)");
            }
            return Err(error);
        }
        if trouble.is_worth_telling() {
            tracing::warn!(target: TARGET, %error, ?timeout, "the database is not up, and open waits for it");
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
