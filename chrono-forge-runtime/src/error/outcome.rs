//! Failures that are values: recorded once, the same on every replay.

use std::fmt;

/// A step (or a condition) gave up. The value is recorded, so every replay sees the same.
///
/// Return it, by `?` or wrapped, and the run stalls at this step; catch it and the body goes on:
/// that is how compensation is written.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepError {
    /// The step's key.
    pub key: String,
    /// Failed attempts, the last one included.
    pub attempts: u32,
    /// The class of the last error: its type's name, or `panic`, or `timeout`.
    pub class: String,
    /// The last error with its causes.
    pub message: String,
    /// Whether the last attempt (or a condition's deadline) ran out of time.
    pub is_timeout: bool,
    cause: RecordedFailure,
}

/// The recorded cause behind a [`StepError`] or [`BranchError`].
///
/// It stands in the chain of sources in its own right, so that a wrapper that is transparent
/// (and so skips the `StepError` itself) still shows that the failure was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFailure {
    message: String,
}

impl fmt::Display for RecordedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RecordedFailure {}

impl RecordedFailure {
    /// Whether an error carries a recorded failure anywhere in its chain.
    #[must_use]
    pub fn is_in(error: &anyhow::Error) -> bool {
        error
            .chain()
            .any(|cause| cause.is::<Self>() || cause.is::<StepError>() || cause.is::<BranchError>())
    }
}

impl StepError {
    /// The error of a step that gave up.
    #[must_use]
    pub fn new(
        key: String,
        attempts: u32,
        class: String,
        message: String,
        is_timeout: bool,
    ) -> Self {
        let cause = RecordedFailure {
            message: message.clone(),
        };
        Self {
            key,
            attempts,
            class,
            message,
            is_timeout,
            cause,
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.attempts == 1 {
            "attempt"
        } else {
            "attempts"
        };
        write!(
            f,
            "`{}` gave up after {} {times} ({})",
            self.key, self.attempts, self.class
        )
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A branch block gave up before it was sealed. Recorded like a step's failure.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchError {
    /// The branch's name.
    pub name: String,
    /// Failed attempts, the last one included.
    pub attempts: u32,
    /// The class of the last error.
    pub class: String,
    /// The last error with its causes.
    pub message: String,
    cause: RecordedFailure,
}

impl BranchError {
    /// The error of a branch block that gave up.
    #[must_use]
    pub fn new(name: String, attempts: u32, class: String, message: String) -> Self {
        let cause = RecordedFailure {
            message: message.clone(),
        };
        Self {
            name,
            attempts,
            class,
            message,
            cause,
        }
    }
}

impl fmt::Display for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "branch `{}` could not be dispatched ({})",
            self.name, self.class
        )
    }
}

impl std::error::Error for BranchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A child has no result. A join waits until every child is completed, so only a handle that is read
/// without its branch being merged can meet it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A child is not completed.
    #[error("child `{key}` did not complete")]
    Child {
        /// The child's key.
        key: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StepError {
        StepError::new(
            "charge".into(),
            3,
            "std::io::Error".into(),
            "declined".into(),
            false,
        )
    }

    #[derive(Debug, thiserror::Error)]
    enum Shop {
        #[error(transparent)]
        Step(#[from] StepError),
        #[error("wrapped")]
        Wrapped(#[source] StepError),
    }

    #[test]
    fn a_recorded_failure_is_found_under_any_wrapping() {
        let plain = anyhow::Error::new(sample());
        let context = anyhow::Error::new(sample()).context("while shipping");
        let transparent = anyhow::Error::new(Shop::from(sample()));
        let wrapped = anyhow::Error::new(Shop::Wrapped(sample()));
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(sample());
        for error in [
            plain,
            context,
            transparent,
            wrapped,
            anyhow::Error::from_boxed(boxed),
        ] {
            assert!(RecordedFailure::is_in(&error), "{error:#}");
        }
        assert!(
            !RecordedFailure::is_in(&anyhow::anyhow!("{}", sample())),
            "a string is another error"
        );
    }

    #[test]
    fn the_whole_chain_reads_as_a_sentence() {
        let text = format!("{:#}", anyhow::Error::new(sample()));
        assert_eq!(
            text,
            "`charge` gave up after 3 attempts (std::io::Error): declined"
        );
    }
}
