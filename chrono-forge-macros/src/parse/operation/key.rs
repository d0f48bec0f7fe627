//! Keys: which argument is one, and what it says.

use super::Report;
use crate::diagnostics;
use crate::model::Attempt;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Work;
use proc_macro2::Ident;
use proc_macro2::Span;
use syn::Expr;
use syn::Lit;
use syn::LitStr;
use syn::ext::IdentExt;

/// Takes the key off the positional arguments. Whoever runs a function may leave it out, `merge!` has
/// none.
pub(super) fn split(
    name: &Ident,
    mut positional: Vec<Expr>,
    options: &[(Ident, Expr)],
    report: &mut Report<'_>,
) -> Option<(Option<Key>, Vec<Expr>)> {
    let kind = report.kind;
    let work = match kind {
        Kind::Merge => return Some((None, positional)),
        Kind::Wait if !options.is_empty() => 0,
        Kind::SpawnEach => 2,
        _ => 1,
    };
    let optional = matches!(
        kind,
        Kind::Step | Kind::WaitUntil | Kind::ContinueIf | Kind::Repeat
    );
    if positional.len() > work + 1 {
        let (surplus, message) = match kind {
            Kind::Wait if work == 0 => (1, diagnostics::duration_and_instant()),
            Kind::Repeat if is_closure(positional.last()) => {
                (1, diagnostics::repeat_option_without_name())
            }
            _ => (work + 1, diagnostics::too_many_arguments(kind)),
        };
        report.error_spanned(&positional[surplus], message);
        return None;
    }
    let lacks_body = positional.len() <= work && positional.first().is_none_or(is_text);
    if positional.is_empty() && !optional {
        report.error(name.span(), diagnostics::key_missing(kind));
        return None;
    }
    if lacks_body && work > 0 {
        report.error(name.span(), diagnostics::body_missing(kind));
        return None;
    }
    if positional.len() == work && optional {
        return Some((None, positional));
    }
    if positional.len() <= work {
        report.error_spanned(&positional[0], diagnostics::key_missing(kind));
        return None;
    }
    let rest = positional.split_off(1);
    let key = positional.pop().map(key);
    Some((key, rest))
}

/// A key as it was written.
pub(super) fn key(expression: Expr) -> Key {
    match text(&expression) {
        Some(literal) if has_braces(literal) => Key::Format(literal.clone()),
        Some(literal) => Key::Literal(literal.clone()),
        None => Key::Value(expression),
    }
}

/// The key of an operation that has none: the name of what it calls.
pub(super) fn default(work: &Work, report: &mut Report<'_>) -> Option<Key> {
    let message = diagnostics::key_not_derivable(report.kind);
    let attempt = match work {
        Work::Attempt(attempt) => Some(attempt),
        Work::Repetition(repetition) => Some(&repetition.task),
        _ => None,
    };
    match attempt {
        Some(Attempt::Future(expression)) => {
            if let Some((text, span)) = called(expression) {
                return Some(Key::Default { text, span });
            }
            report.error_spanned(expression, message);
        }
        Some(Attempt::Block(block)) => report.error(block.brace_token.span.open(), message),
        None => report.error(Span::call_site(), message),
    }
    None
}

fn is_closure(expression: Option<&Expr>) -> bool {
    matches!(expression, Some(Expr::Closure(_)))
}

/// Whether an argument is a string literal, which can only be a key.
pub(super) fn is_text(expression: &Expr) -> bool {
    text(expression).is_some()
}

fn text(expression: &Expr) -> Option<&LitStr> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        Expr::Group(group) => text(&group.expr),
        _ => None,
    }
}

/// `{{` counts too: a literal with any brace is a format string, as it would be in `format!`.
fn has_braces(literal: &LitStr) -> bool {
    literal.value().contains(['{', '}'])
}

fn called(expression: &Expr) -> Option<(String, Span)> {
    match expression {
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
            _ => None,
        },
        Expr::MethodCall(call) => Some(&call.method),
        Expr::Group(group) => return called(&group.expr),
        Expr::Paren(paren) => return called(&paren.expr),
        _ => None,
    }
    .map(|name| (name.unraw().to_string(), name.span()))
}
