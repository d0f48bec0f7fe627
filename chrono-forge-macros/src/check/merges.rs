//! Rules on joining branches, as far as names are literal and nobody else can have opened or joined
//! one: a part that was given the context might.

use super::keys;
use super::walk;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Function;
use crate::model::Handle;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Operation;
use crate::model::OperationId;
use crate::model::Role;
use crate::model::Work;
use syn::Expr;
use syn::ExprMethodCall;
use syn::ExprPath;
use syn::Ident;
use syn::Item;
use syn::Macro;
use syn::Pat;
use syn::Stmt;
use syn::visit;
use syn::visit::Visit;

/// Applies both rules, if they can be judged here.
pub(super) fn check_merges(function: &Function, diagnostics: &mut Diagnostics) {
    if !gives_context_away(function) {
        check_unknown_branch(&function.body, diagnostics);
        check_never_merged(&function.body, diagnostics);
    }
}

/// A merge of a name that no branch has.
fn check_unknown_branch(body: &Body, diagnostics: &mut Diagnostics) {
    let mut opened = Vec::new();
    for operation in understood(body).filter(|operation| operation.kind == Kind::Branch) {
        match &operation.key {
            Some(Key::Literal(name)) => opened.push(name.value()),
            _ => return,
        }
    }
    // A branch that was not understood may well have the name.
    if body.operations.iter().any(Option::is_none) {
        return;
    }
    for (id, operation) in body.operations.iter().enumerate() {
        for name in operation.iter().flat_map(merged_names) {
            if let Key::Literal(literal) = name
                && !keys::is_blank(literal)
                && !opened.contains(&literal.value())
            {
                let message = diagnostics::unknown_branch(&literal.value());
                diagnostics.at(id, literal.span(), message);
            }
        }
    }
}

/// A branch whose handle is thrown away and whose name is not merged.
fn check_never_merged(body: &Body, diagnostics: &mut Diagnostics) {
    let mut merged = Vec::new();
    for name in understood(body).flat_map(merged_names) {
        match name {
            Key::Literal(literal) => merged.push(literal.value()),
            _ => return,
        }
    }
    let mut discarded = Discarded {
        body,
        found: Vec::new(),
    };
    if let Some(syntax) = &body.syntax {
        discarded.visit_block(syntax);
    }
    for id in discarded.found {
        let Some(Some(operation)) = body.operations.get(id) else {
            continue;
        };
        if let (
            Work::Branch {
                automerge: false, ..
            },
            Some(Key::Literal(name)),
        ) = (&operation.work, &operation.key)
            && !keys::is_blank(name)
            && !merged.contains(&name.value())
        {
            let message = diagnostics::never_merged(&name.value());
            diagnostics.at(id, name.span(), message);
        }
    }
}

fn understood(body: &Body) -> impl Iterator<Item = &Operation> {
    body.operations.iter().flatten()
}

fn merged_names(operation: &Operation) -> impl Iterator<Item = &Key> {
    let handles = match &operation.work {
        Work::Handles(handles) => handles.as_slice(),
        _ => &[],
    };
    handles.iter().filter_map(|handle| match handle {
        Handle::Named(name) => Some(name),
        Handle::Value(_) => None,
    })
}

/// Finds operations whose value goes nowhere.
struct Discarded<'a> {
    body: &'a Body,
    found: Vec<OperationId>,
}

impl<'ast> Visit<'ast> for Discarded<'_> {
    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let value = match statement {
            Stmt::Expr(expression, Some(_)) => Some(expression),
            Stmt::Local(local) if matches!(local.pat, Pat::Wild(_)) => {
                local.init.as_ref().map(|init| &*init.expr)
            }
            _ => None,
        };
        self.found.extend(value.and_then(outcome));
        visit::visit_stmt(self, statement);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let Some(id) = walk::operation_id(call) else {
            return walk::foreign(self, call);
        };
        // A branch within another body is an error already.
        if let Some(Some(operation)) = self.body.operations.get(id) {
            walk::arguments(self, operation);
        }
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}

/// The operation behind `.await`, `?` and what only reshapes its error.
fn outcome(expression: &Expr) -> Option<OperationId> {
    match expression {
        Expr::Await(awaited) => outcome(&awaited.base),
        Expr::Try(tried) => outcome(&tried.expr),
        Expr::MethodCall(call) => {
            let reshapes = ["unwrap", "expect", "context", "with_context", "map_err"];
            let name = &call.method;
            let reshapes = reshapes.iter().any(|known| name == known);
            reshapes.then(|| outcome(&call.receiver)).flatten()
        }
        other => walk::operation_of(other),
    }
}

/// Whether the context reaches other code, which could open and join branches with it.
fn gives_context_away(function: &Function) -> bool {
    let contexts = function.parameters.iter();
    let Some(context) = contexts
        .into_iter()
        .find(|p| matches!(p.role, Role::Context))
    else {
        return false;
    };
    let mut uses = ContextUses {
        body: &function.body,
        name: &context.name,
        given_away: false,
    };
    if let Some(syntax) = &function.body.syntax {
        uses.visit_block(syntax);
    }
    uses.given_away
}

struct ContextUses<'a> {
    body: &'a Body,
    name: &'a Ident,
    given_away: bool,
}

impl<'ast> Visit<'ast> for ContextUses<'_> {
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        self.given_away |= path.path.is_ident(self.name);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let own_method = match &*call.receiver {
            Expr::Path(path) => path.path.is_ident(self.name) && call.method != "clone",
            _ => false,
        };
        if own_method {
            call.args
                .iter()
                .for_each(|argument| self.visit_expr(argument));
        } else {
            visit::visit_expr_method_call(self, call);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let Some(id) = walk::operation_id(call) else {
            return walk::foreign(self, call);
        };
        if let Some(Some(operation)) = self.body.operations.get(id) {
            walk::arguments(self, operation);
            walk::deferred(self, operation);
        }
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}
