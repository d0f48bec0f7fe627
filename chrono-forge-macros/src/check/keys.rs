//! Rules on what a key says.

use super::nesting::operation;
use super::site::Site;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Handle;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Operation;
use crate::model::Work;
use proc_macro2::Span;
use syn::LitStr;

/// The longest key of a record and of a child, in bytes; the runtime's `record/keys.rs` says the same
/// of keys that are no literals.
const RECORD_BYTES_MAX: usize = 64 << 10;
const CHILD_BYTES_MAX: usize = 8 << 10;

/// What nobody could find again: the runtime would refuse it when it is reached.
pub(super) fn check_content(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    let kind = operation.kind;
    let bytes_max = match kind {
        Kind::Spawn | Kind::SpawnEach => CHILD_BYTES_MAX,
        _ => RECORD_BYTES_MAX,
    };
    for literal in literals(operation) {
        let text = literal.value();
        let message = if text.is_empty() {
            diagnostics::empty_key(kind)
        } else if is_blank(literal) {
            diagnostics::blank_key(kind)
        } else if text.contains('\0') {
            diagnostics::nul_in_key()
        } else if bytes_at_least(&text) > bytes_max {
            diagnostics::long_key(bytes_at_least(&text), bytes_max)
        } else {
            continue;
        };
        diagnostics.at(site.id, literal.span(), message);
    }
}

/// Stored keys are joined with `$`, and names of a merge with `,`.
pub(super) fn check_characters(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    let names_branch = matches!(operation.kind, Kind::Branch | Kind::Merge);
    for literal in literals(operation) {
        let text = literal.value();
        if text.contains('$') {
            diagnostics.at(site.id, literal.span(), diagnostics::dollar_in_key());
        }
        if names_branch && text.contains(',') {
            diagnostics.at(site.id, literal.span(), diagnostics::comma_in_branch_name());
        }
    }
}

/// There are no arguments for `{}` or `{0}` to refer to.
pub(super) fn check_captures(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    for literal in literals(operation) {
        if has_unnamed_capture(&literal.value()) {
            diagnostics.at(site.id, literal.span(), diagnostics::unnamed_capture());
        }
    }
}

/// Every round of a loop would reach the same record.
pub(super) fn check_constant_key_in_loop(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = operation(site, body) else {
        return;
    };
    let repeated = match operation.kind {
        // The names of spawns are unique within their branch only. Outside of one the part's caller
        // decides, so there the part's own loop is all that counts.
        Kind::Spawn | Kind::SpawnEach => site.place.repeated_in_branch && !site.place.children,
        _ => site.place.repeated,
    };
    if !repeated || site.place.attempt.is_some() {
        return;
    }
    if let Some((text, span)) = operation.key.as_ref().and_then(constant) {
        let message = diagnostics::constant_key_in_loop(operation.kind, &text);
        diagnostics.at(site.id, span, message);
    }
}

/// A key that is the same whenever it is reached. One that is blank is wrong in any case, and not
/// because it comes again.
pub(super) fn constant(key: &Key) -> Option<(String, Span)> {
    match key {
        Key::Literal(literal) if is_blank(literal) => None,
        Key::Literal(literal) => Some((literal.value(), literal.span())),
        Key::Default { text, span } => Some((text.clone(), *span)),
        Key::Format(_) | Key::Value(_) => None,
    }
}

/// Whether there is nothing to read in it.
pub(super) fn is_blank(literal: &LitStr) -> bool {
    literal.value().trim().is_empty()
}

/// The bytes of a key without what it captures.
fn bytes_at_least(text: &str) -> usize {
    let mut bytes = 0;
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(brace);
        bytes += before.len();
        rest = match after.find('}') {
            _ if after.starts_with("{{") || after.starts_with("}}") => {
                bytes += 1;
                &after[2..]
            }
            Some(end) => &after[end + 1..],
            None => "",
        };
    }
    bytes + rest.len()
}

fn literals(operation: &Operation) -> Vec<&LitStr> {
    let handles = match &operation.work {
        Work::Handles(handles) => handles.as_slice(),
        _ => &[],
    };
    let named = handles.iter().filter_map(|handle| match handle {
        Handle::Named(key) => Some(key),
        Handle::Value(_) => None,
    });
    let literal = |key| match key {
        &Key::Literal(ref literal) | &Key::Format(ref literal) => Some(literal),
        &Key::Value(_) | &Key::Default { .. } => None,
    };
    operation
        .key
        .iter()
        .chain(named)
        .filter_map(literal)
        .collect()
}

fn has_unnamed_capture(text: &str) -> bool {
    let text = text.replace("{{", "").replace("}}", "");
    text.split('{').skip(1).any(|rest| {
        let name = rest.split(['}', ':']).next().unwrap_or_default();
        let name = name.trim();
        name.is_empty() || name.starts_with(|first: char| !first.is_alphabetic() && first != '_')
    })
}
