//! How often a transaction is tried, and after which failure.

use std::time::{Duration, Instant};

use diesel::result::Error;

use super::settings::statement_max;
use super::{Failure, PAUSE_MAX, PAUSE_MIN, Session};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::postgres::{fault, sequences};
use crate::telemetry::TARGET;

/// How often a transaction that lost against another one is run again before the caller hears of
/// it.
const TRIES: u32 = 5;

/// How long a schema that lacks a constraint is taken for one that is being made.
const INCOMPLETE_MAX: Duration = Duration::from_secs(2);

/// What a transaction has come to so far.
struct Trial {
    operation: &'static str,
    /// How long a server that is away is waited for.
    patience: Duration,
    begun: Instant,
    /// When the last try began.
    tried: Instant,
    tries: u32,
}

/// When the next try begins.
enum Next {
    AtOnce,
    AfterAPause(StoreError),
}

impl Session {
    /// Tries until it succeeds, or until a failure is the caller's to know.
    pub(super) fn again(
        &mut self,
        operation: &'static str,
        patience: Duration,
        is_idempotent: bool,
        attempt: &mut dyn FnMut(&mut Self) -> Result<(), Failure>,
    ) -> StoreResult<()> {
        let begun = Instant::now();
        let mut trial = Trial {
            operation,
            patience,
            begun,
            tried: begun,
            tries: 0,
        };
        let mut pause = PAUSE_MIN;
        loop {
            let was_open = self.line.is_some();
            trial.tried = Instant::now();
            let next = match attempt(self) {
                Ok(()) => return Ok(()),
                Err(Failure::Told(error)) => self.told(&mut trial, error)?,
                // An idle connection that was cut meanwhile costs no patience.
                Err(Failure::Lost(_)) if was_open => Next::AtOnce,
                Err(Failure::Unknown(error)) if !is_idempotent => return Err(error),
                Err(Failure::Away(error)) if !error.is_transient() => return Err(error),
                Err(Failure::Lost(error) | Failure::Unknown(error) | Failure::Away(error)) => {
                    if begun.elapsed() >= patience {
                        return Err(error);
                    }
                    Next::AfterAPause(error)
                }
            };
            if let Next::AfterAPause(error) = next {
                tracing::debug!(target: TARGET, %error, "a transaction is run again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// The server has said no.
    fn told(&mut self, trial: &mut Trial, error: Error) -> StoreResult<Next> {
        let (operation, waited) = (trial.operation, trial.begun.elapsed());
        // No value is refused for a time limit, which may be told in any language.
        if fault::is_unknown(&error) && trial.tried.elapsed() >= self.lock_wait {
            let is_slow = trial.tried.elapsed() >= statement_max(&self.source.options);
            return Err(match is_slow {
                true => StoreError::new(operation, StoreErrorKind::Slow, error),
                false => fault::waited(operation, &error),
            });
        }
        // Batches wait less than a call may; and a copy that is put back gets its constraints last.
        let lock_patience = trial.patience.min(self.lock_patience);
        if (fault::is_lock_timeout(&error) && waited < lock_patience)
            || (fault::is_incomplete(&error) && waited < INCOMPLETE_MAX)
        {
            return Ok(Next::AfterAPause(fault::statement(operation, &error)));
        }
        trial.tries += 1;
        if trial.tries <= TRIES && fault::is_of_session(&error) {
            self.disconnect();
            return Ok(Next::AtOnce);
        }
        if trial.tries <= TRIES && sequences::behind(&error).is_some() {
            self.advance(operation, &error)?;
            return Ok(Next::AtOnce);
        }
        let error_told = fault::statement(operation, &error);
        match fault::is_worth_another_try(&error) && trial.tries < TRIES {
            true => Ok(Next::AfterAPause(error_told)),
            false => Err(error_told),
        }
    }

    /// Brings the sequence up to its rows that gave out an id which is taken.
    fn advance(&mut self, operation: &'static str, error: &Error) -> StoreResult<()> {
        let Some(sequence) = sequences::behind(error) else {
            return Ok(());
        };
        let advanced = self.attempt(operation, &mut |conn| sequence.advance(conn));
        advanced.map_err(|failure| match failure {
            Failure::Told(error) => {
                sequence.refusal(operation, &fault::statement(operation, &error))
            }
            Failure::Lost(error) | Failure::Unknown(error) | Failure::Away(error) => error,
        })
    }
}
