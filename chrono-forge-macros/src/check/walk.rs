//! How rules get past macros: into operations by their model, into other macros by guessing.

use crate::model::Attempt;
use crate::model::Handle;
use crate::model::Key;
use crate::model::Operation;
use crate::model::OperationId;
use crate::model::Work;
use crate::parse::marker_index;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use quote::ToTokens;
use quote::quote;
use syn::Block;
use syn::Expr;
use syn::ExprMacro;
use syn::Macro;
use syn::Token;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::Visit;

/// The operation that a macro call is the marker of.
pub(super) fn operation_id(call: &Macro) -> Option<OperationId> {
    let tokens: Vec<TokenTree> = call.to_token_stream().into_iter().collect();
    marker_index(&tokens)
}

/// The operation that an expression is, when parentheses are taken off.
pub(super) fn operation_of(expression: &Expr) -> Option<OperationId> {
    match expression {
        Expr::Macro(call) => operation_id(&call.mac),
        Expr::Paren(paren) => operation_of(&paren.expr),
        Expr::Group(group) => operation_of(&group.expr),
        _ => None,
    }
}

/// Visits those expressions of an operation that are evaluated where it stands, in order: the key,
/// the options, the source. The body is the caller's business.
pub(super) fn arguments<V>(visitor: &mut V, operation: &Operation)
where
    V: for<'ast> Visit<'ast>,
{
    if let Some(Key::Value(key)) = &operation.key {
        visitor.visit_expr(key);
    }
    for (_, value) in &operation.options {
        visitor.visit_expr(value);
    }
    match &operation.work {
        Work::Duration(expression) | Work::Instant(expression) | Work::Child(expression) => {
            visitor.visit_expr(expression);
        }
        Work::Children(children) => visitor.visit_expr(&children.source),
        Work::Handles(handles) => {
            for handle in handles {
                if let Handle::Value(expression) = handle {
                    visitor.visit_expr(expression);
                }
            }
        }
        Work::Attempt(_) | Work::Repetition(_) | Work::Branch { .. } => {}
    }
}

/// Visits what an operation runs later, under the engine's control.
pub(super) fn deferred<V>(visitor: &mut V, operation: &Operation)
where
    V: for<'ast> Visit<'ast>,
{
    match &operation.work {
        Work::Attempt(one) => attempt(visitor, one),
        Work::Repetition(repetition) => {
            attempt(visitor, &repetition.until);
            visitor.visit_pat(&repetition.tick);
            attempt(visitor, &repetition.task);
        }
        Work::Branch { block, .. } => visitor.visit_block(block),
        Work::Children(children) => {
            visitor.visit_pat(&children.item);
            visitor.visit_expr(&children.child);
        }
        Work::Duration(_) | Work::Instant(_) | Work::Child(_) | Work::Handles(_) => {}
    }
}

/// Visits the body of a step, or a condition.
pub(super) fn attempt<V>(visitor: &mut V, attempt: &Attempt)
where
    V: for<'ast> Visit<'ast>,
{
    match attempt {
        Attempt::Future(expression) => visitor.visit_expr(expression),
        Attempt::Block(block) => visitor.visit_block(block),
    }
}

/// What another macro's arguments mean, as far as one can tell.
pub(super) enum Guess {
    /// Expressions or statements, evaluated in order.
    Sequence(Vec<Expr>),
    /// Unknown: only the operations in it, in any order or none.
    Unknown(Vec<Expr>),
}

/// Reads the arguments of another macro as expressions or as statements. Nothing is an error here.
pub(super) fn guess(call: &Macro) -> Guess {
    let tokens = &call.tokens;
    let list = Punctuated::<Expr, Token![,]>::parse_terminated;
    if let Ok(list) = list.parse2(tokens.clone()) {
        return Guess::Sequence(list.into_iter().map(named_value).collect());
    }
    let repeat = Punctuated::<Expr, Token![;]>::parse_separated_nonempty;
    if let Ok(list) = repeat.parse2(tokens.clone()) {
        return Guess::Sequence(list.into_iter().collect());
    }
    if let Ok(block) = syn::parse2::<Block>(quote!({ #tokens })) {
        return Guess::Sequence(vec![Expr::Block(syn::ExprBlock {
            attrs: Vec::new(),
            label: None,
            block,
        })]);
    }
    let mut found = Vec::new();
    markers(tokens.clone(), &mut found);
    Guess::Unknown(found)
}

/// Visits another macro's arguments, where their order does not matter.
pub(super) fn foreign<V>(visitor: &mut V, call: &Macro)
where
    V: for<'ast> Visit<'ast>,
{
    let (Guess::Sequence(expressions) | Guess::Unknown(expressions)) = guess(call);
    for expression in &expressions {
        visitor.visit_expr(expression);
    }
}

/// `format!("{x}", x = value)`: a named argument, not an assignment.
fn named_value(expression: Expr) -> Expr {
    match expression {
        Expr::Assign(assign) => *assign.right,
        other => other,
    }
}

fn markers(tokens: TokenStream, found: &mut Vec<Expr>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (place, token) in tokens.iter().enumerate() {
        if marker_index(&tokens[place..]).is_some() {
            let marker: TokenStream = tokens[place..place + 3].iter().cloned().collect();
            if let Ok(call) = syn::parse2::<ExprMacro>(marker) {
                found.push(Expr::Macro(call));
            }
        } else if let TokenTree::Group(group) = token {
            markers(group.stream(), found);
        }
    }
}
