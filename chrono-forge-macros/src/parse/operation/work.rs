//! Bodies: what an operation does, once its key and options are known.

use super::Report;
use super::key;
use crate::diagnostics;
use crate::model::Children;
use crate::model::Handle;
use crate::model::Kind;
use crate::model::Work;
use proc_macro2::Ident;
use syn::Expr;
use syn::ExprClosure;
use syn::Lit;

/// Reads the body by the macro's kind. Takes those options that are part of it.
pub(super) fn work(
    name: &Ident,
    positional: Vec<Expr>,
    options: &mut Vec<(Ident, Expr)>,
    report: &mut Report<'_>,
) -> Option<Work> {
    let kind = report.kind;
    if kind == Kind::Merge {
        return handles(name, positional, report);
    }
    let mut positional = positional.into_iter();
    match (kind, positional.next()) {
        (Kind::Wait, None) => options.pop().map(|(_, instant)| Work::Instant(instant)),
        (Kind::Wait, Some(duration)) => Some(Work::Duration(duration)),
        (Kind::Branch, Some(block)) => branch(block, options, report),
        (Kind::Spawn, Some(child)) => Some(Work::Child(child)),
        (Kind::SpawnEach, Some(source)) => children(source, positional.next()?, report),
        (_, Some(body)) => attempt(body, report),
        (_, None) => {
            report.error(name.span(), diagnostics::body_missing(kind));
            None
        }
    }
}

/// The body of `step!` and of the conditions.
fn attempt(body: Expr, report: &mut Report<'_>) -> Option<Work> {
    match body {
        Expr::Block(block) if block.attrs.is_empty() && block.label.is_none() => {
            Some(Work::Block(block.block))
        }
        Expr::Await(awaited) => {
            let message = diagnostics::awaited_body(report.kind);
            report.error(awaited.await_token.span, message);
            None
        }
        Expr::Closure(closure) => {
            report.error_spanned(&closure, diagnostics::closure_body(report.kind));
            None
        }
        other => Some(Work::Future(other)),
    }
}

fn branch(body: Expr, options: &mut Vec<(Ident, Expr)>, report: &mut Report<'_>) -> Option<Work> {
    let place = options.iter().position(|(name, _)| name == "automerge");
    let automerge = match place.map(|place| options.remove(place)) {
        None => false,
        Some((_, value)) => match literal_bool(&value) {
            Some(automerge) => automerge,
            None => {
                report.error_spanned(&value, diagnostics::automerge_not_literal());
                return None;
            }
        },
    };
    match body {
        Expr::Block(block) if block.attrs.is_empty() && block.label.is_none() => {
            Some(Work::Branch {
                block: block.block,
                automerge,
            })
        }
        other => {
            report.error_spanned(&other, diagnostics::branch_not_a_block());
            None
        }
    }
}

fn children(source: Expr, closure: Expr, report: &mut Report<'_>) -> Option<Work> {
    let Expr::Closure(closure) = closure else {
        report.error_spanned(&closure, diagnostics::children_not_a_closure());
        return None;
    };
    if let Some(message) = unfit(&closure) {
        report.error_spanned(&closure, message);
        return None;
    }
    let item = closure.inputs.into_iter().next()?;
    Some(Work::Children(Box::new(Children {
        source,
        item,
        child: *closure.body,
    })))
}

/// The closure is not called as one: its pattern and body move into generated code.
fn unfit(closure: &ExprClosure) -> Option<String> {
    if closure.inputs.len() != 1 {
        return Some(diagnostics::children_closure_arguments());
    }
    if closure.capture.is_some() || closure.asyncness.is_some() {
        return Some(diagnostics::children_closure_modifiers());
    }
    matches!(closure.output, syn::ReturnType::Type(..))
        .then(diagnostics::children_closure_return_type)
}

fn handles(name: &Ident, positional: Vec<Expr>, report: &mut Report<'_>) -> Option<Work> {
    if positional.is_empty() {
        report.error(name.span(), diagnostics::merge_of_nothing());
        return None;
    }
    let handle = |expression: Expr| match key::is_text(&expression) {
        true => Handle::Named(key::key(expression)),
        false => Handle::Value(expression),
    };
    Some(Work::Handles(positional.into_iter().map(handle).collect()))
}

fn literal_bool(expression: &Expr) -> Option<bool> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Bool(value) => Some(value.value),
            _ => None,
        },
        _ => None,
    }
}
