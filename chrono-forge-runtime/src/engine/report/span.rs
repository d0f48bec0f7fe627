//! The span that user code runs in: what it logs itself can be told apart by run, step and attempt.

use tracing::Span;

use crate::engine::pass::{OpId, Pass, Place};
use crate::telemetry::TARGET;

/// The span of an attempt that is about to begin: of a step, a condition, a tick, or the block of a
/// branch. Where nobody listens it is none, and nothing is asked or made for it.
#[must_use]
pub fn attempt(pass: &Pass, id: OpId, place: &Place) -> Span {
    tracing::info_span!(
        target: TARGET,
        "step",
        workflow = &*pass.run.workflow,
        key = pass.run.key,
        step = place.key,
        attempt = pass.attempt_under_way(id),
    )
}
