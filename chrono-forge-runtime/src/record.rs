//! The durable nouns: what a row of each table means, with no I/O and no clock.
//!
//! A **run** is one row of `chrono_forge_workflows`, a **record** one row of
//! `chrono_forge_execution_logs`, a **plan** what one pass wants written.

pub mod audit;
mod belonging;
pub mod copy;
pub mod due;
pub mod entries;
pub mod ids;
pub mod keys;
mod namesake;
mod notes;
pub mod plan;
pub mod priority;
pub mod recovery;
pub mod results;
pub mod run;
mod standstill;
pub mod step;
pub mod unserved;

pub(crate) use audit::eta;
pub use audit::{
    AuditClaim, AuditFinding, BranchCounters, BranchSample, BranchState, ChildCount, Recount,
};
pub use belonging::Belonging;
pub use copy::{BRANCH, BranchName, ErrorCopy, RecordCopy, RunCopy, RunMark, RunParts};
pub use due::Due;
pub use ids::{ClaimId, Epoch, Incarnation, Nonce, RecordId, RunId, WorkerId};
pub use namesake::{Namesake, ParentBranch};
pub use notes::{EndedTick, Notes, PastTicks, RetryCounts, SkippedNotes, TickNotes};
pub use plan::{
    ChildRow, Dispatch, ErrorRow, Fence, Plan, PlanOutcome, Record, RunEnd, Verdict, Withdrawal,
};
pub use priority::{Level, Priority};
pub use recovery::{BlockedChild, BlockedRun, RetryFilter};
pub use results::{ChildFailure, FailurePage, FailurePlace, FailureRest, OutputRow, SpawnPath};
pub use run::{ClaimedRun, RunRow, RunState};
pub use standstill::Standstill;
pub use step::{BODY, BranchRow, PendingRow, RecordRow, RecordState};
pub use unserved::Unserved;

/// JSON text as stored: encoded once, decoded where it is read, never a tree in between.
pub type Json = std::sync::Arc<str>;
