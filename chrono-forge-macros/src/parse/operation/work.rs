//! Bodies: what an operation does, once its key and options are known.

use super::Report;
use super::key;
use crate::diagnostics;
use crate::model::Attempt;
use crate::model::Children;
use crate::model::Handle;
use crate::model::Kind;
use crate::model::Repetition;
use crate::model::Work;
use proc_macro2::Ident;
use syn::Expr;
use syn::ExprClosure;
use syn::Lit;
use syn::Stmt;

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
        (Kind::Repeat, Some(closure)) => repetition(name, closure, options, report),
        (_, Some(body)) => attempt(body, &Words::body(kind), report).map(Work::Attempt),
        (_, None) => {
            report.error(name.span(), diagnostics::body_missing(kind));
            None
        }
    }
}

/// What is said about a body that is not in order.
struct Words {
    awaited: String,
    closure: String,
}

impl Words {
    fn body(kind: Kind) -> Self {
        Self {
            awaited: diagnostics::awaited_body(kind),
            closure: diagnostics::closure_body(kind),
        }
    }

    fn until() -> Self {
        Self {
            awaited: diagnostics::awaited_until(),
            closure: diagnostics::closure_until(),
        }
    }
}

/// The body of `step!` and of the conditions.
fn attempt(body: Expr, words: &Words, report: &mut Report<'_>) -> Option<Attempt> {
    match body {
        Expr::Block(block) if block.attrs.is_empty() && block.label.is_none() => {
            Some(Attempt::Block(block.block))
        }
        Expr::Await(awaited) => {
            report.error(awaited.await_token.span, words.awaited.clone());
            None
        }
        Expr::Closure(closure) => {
            report.error_spanned(&closure, words.closure.clone());
            None
        }
        other => Some(Attempt::Future(other)),
    }
}

/// The closure of `repeat!` and its `until`.
fn repetition(
    name: &Ident,
    closure: Expr,
    options: &mut Vec<(Ident, Expr)>,
    report: &mut Report<'_>,
) -> Option<Work> {
    let until = options.iter().position(|(option, _)| option == "until");
    let until = match until {
        Some(place) => attempt(options.remove(place).1, &Words::until(), report),
        None => {
            report.error(name.span(), diagnostics::until_missing());
            None
        }
    };
    let Expr::Closure(closure) = closure else {
        report.error_spanned(&closure, diagnostics::repeat_not_a_closure());
        return None;
    };
    if let Some(message) = unfit(&closure, &TICK) {
        report.error_spanned(&closure, message);
        return None;
    }
    let tick = closure.inputs.into_iter().next()?;
    let body = without_braces(*closure.body);
    let task = attempt(body, &Words::body(report.kind), report)?;
    Some(Work::Repetition(Box::new(Repetition {
        until: until?,
        tick,
        task,
    })))
}

/// The formatter puts braces around the body of a closure when the line is long, so braces around
/// nothing but a call mean what the call means. `{ Ok(v) }` stays a block.
fn without_braces(body: Expr) -> Expr {
    let Expr::Block(block) = &body else {
        return body;
    };
    let plain = block.attrs.is_empty() && block.label.is_none();
    match block.block.stmts.as_slice() {
        [Stmt::Expr(call, None)] if plain && is_future(call) => call.clone(),
        _ => body,
    }
}

fn is_future(expression: &Expr) -> bool {
    match expression {
        Expr::MethodCall(_) | Expr::Async(_) => true,
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident != "Ok" && last.ident != "Err"),
            _ => true,
        },
        _ => false,
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
    if let Some(message) = unfit(&closure, &ITEM) {
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

/// What is said about a closure that is not in order.
struct Closure {
    arguments: fn() -> String,
    modifiers: fn() -> String,
    return_type: fn() -> String,
}

const ITEM: Closure = Closure {
    arguments: diagnostics::children_closure_arguments,
    modifiers: diagnostics::children_closure_modifiers,
    return_type: diagnostics::children_closure_return_type,
};

const TICK: Closure = Closure {
    arguments: diagnostics::repeat_closure_arguments,
    modifiers: diagnostics::repeat_closure_modifiers,
    return_type: diagnostics::repeat_closure_return_type,
};

/// The closure is not called as one: its pattern and body move into generated code.
fn unfit(closure: &ExprClosure, words: &Closure) -> Option<String> {
    if closure.inputs.len() != 1 {
        return Some((words.arguments)());
    }
    if closure.capture.is_some() || closure.asyncness.is_some() {
        return Some((words.modifiers)());
    }
    matches!(closure.output, syn::ReturnType::Type(..)).then(words.return_type)
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
