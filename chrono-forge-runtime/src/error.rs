//! Every error a user can meet. Each says what happened and what to do about it.

use std::fmt;

mod backup;
mod definition;
mod forge;
mod keyset;
mod outcome;
mod store;
mod transfer;

pub use backup::BackupError;
pub use definition::DefinitionError;
pub(crate) use definition::PARAMETERS;
pub use forge::{ContextError, Error, RunError};
pub use keyset::KeysetError;
pub use outcome::{BranchError, JoinError, RecordedFailure, StepError};
#[cfg(feature = "postgres")]
pub(crate) use store::OUTCOME_UNKNOWN;
pub(crate) use store::STAYS_LOCKED;
pub use store::{StoreError, StoreErrorKind};
pub use transfer::{ExportError, ImportError};

/// Whoever unwraps an error, or returns it from `main`, reads its `Debug`: that is the text, which names the remedy,
/// with causes that it does not tell itself.
macro_rules! debug_is_text {
    ($($error:ty),* $(,)?) => {$(
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tell(self, f)
            }
        }
    )*};
}

debug_is_text!(
    BackupError,
    BranchError,
    ContextError,
    DefinitionError,
    Error,
    ExportError,
    ImportError,
    JoinError,
    KeysetError,
    RunError,
    StepError,
    StoreError,
);

fn tell(error: &dyn std::error::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = error.to_string();
    f.write_str(&text)?;
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            write!(f, "\nCaused by: {next_text}")?;
        }
        cause = next.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_unwraps_an_error_reads_its_text() {
        let error = Error::MissingState {
            workflow: "mail",
            state: "shop::Mailer",
        };
        let text = error.to_string();
        assert!(
            text.contains(".state(") && text.contains(".serving::<"),
            "{text}"
        );
        assert_eq!(format!("{error:?}"), text);
        assert_eq!(format!("{:?}", RunError::from(error)), text);
        let away = StoreError::new("open", StoreErrorKind::Transient, "no room");
        assert_eq!(format!("{:?}", Error::from(away)), "open: no room");
        let step = StepError::new("pay".into(), 3, "Declined".into(), "no card".into(), false);
        // With what caused it, which the text leaves to its source.
        assert_eq!(format!("{step:?}"), format!("{step}\nCaused by: no card"));
    }
}
