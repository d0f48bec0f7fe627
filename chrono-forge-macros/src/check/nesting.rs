//! Rules on where operations may stand.

use super::site::Site;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Kind;
use crate::model::Operation;

/// A recorded step is not run again, so whatever is durable in it would not be reached on a replay.
pub(super) fn check_operation_in_attempt(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    if let (Some(operation), Some(outer)) = (operation(site, body), site.place.attempt) {
        let message = match site.place.until {
            true => diagnostics::operation_in_until(operation.kind),
            false => diagnostics::operation_in_attempt(operation.kind, outer),
        };
        diagnostics.at(site.id, operation.name.span(), message);
    }
}

/// A sealed branch skips its block on a replay; a block that waited would be replayed half-done.
pub(super) fn check_operation_in_branch(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    let waits = matches!(
        operation.kind,
        Kind::Wait | Kind::WaitUntil | Kind::ContinueIf | Kind::Repeat | Kind::Branch | Kind::Merge
    );
    if waits && site.place.branch && site.place.attempt.is_none() {
        let message = diagnostics::operation_in_branch(operation.kind);
        diagnostics.at(site.id, operation.name.span(), message);
    }
}

/// A part may be called from a branch block, a workflow's body never is one.
pub(super) fn check_spawn_outside_branch(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    if is_spawn(operation) && !site.place.branch && site.place.attempt.is_none() {
        let message = diagnostics::spawn_outside_branch(operation.kind);
        diagnostics.at(site.id, operation.name.span(), message);
    }
}

/// The closure says which child to start; the engine starts it.
pub(super) fn check_spawn_in_children(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    if is_spawn(operation) && site.place.children && site.place.attempt.is_none() {
        let message = diagnostics::spawn_in_children(operation.kind);
        diagnostics.at(site.id, operation.name.span(), message);
    }
}

/// The expansion awaits a spawn itself, because its failure is the branch's and never a value.
pub(super) fn check_spawn_suffix(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    if let (true, Some((span, suffix))) = (is_spawn(operation), site.suffix) {
        let message = diagnostics::spawn_suffix(operation.kind, suffix);
        diagnostics.at(site.id, span, message);
    }
}

fn is_spawn(operation: &Operation) -> bool {
    matches!(operation.kind, Kind::Spawn | Kind::SpawnEach)
}

pub(super) fn operation<'a>(site: &Site, body: &'a Body) -> Option<&'a Operation> {
    body.operations.get(site.id).and_then(Option::as_ref)
}
