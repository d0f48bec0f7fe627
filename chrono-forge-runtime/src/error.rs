//! Every error a user can meet. Each says what happened and what to do about it.

mod backup;
mod definition;
mod forge;
mod keyset;
mod outcome;
mod store;
mod transfer;

pub use backup::BackupError;
pub use definition::DefinitionError;
pub use forge::{ContextError, Error, RunError};
pub use keyset::KeysetError;
pub use outcome::{BranchError, JoinError, RecordedFailure, StepError};
#[cfg(feature = "postgres")]
pub(crate) use store::OUTCOME_UNKNOWN;
pub(crate) use store::STAYS_LOCKED;
pub use store::{StoreError, StoreErrorKind};
pub use transfer::{ExportError, ImportError};
