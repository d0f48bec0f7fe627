//! A body that does not run on a replay must not change what is outside of it.
//!
//! The borrow checker refuses most such changes too, but in terms of closures that the user never
//! wrote.

use super::walk;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Operation;
use crate::model::OperationId;
use crate::model::Work;
use std::collections::BTreeSet;
use syn::BinOp;
use syn::Expr;
use syn::ExprAssign;
use syn::ExprBinary;
use syn::ExprReference;
use syn::Ident;
use syn::Item;
use syn::Macro;
use syn::PatIdent;
use syn::UnOp;
use syn::visit;
use syn::visit::Visit;

/// Reports assignments to, and mutable borrows of, variables declared outside of a deferred body.
pub(super) fn check_outer_changes(body: &Body, diagnostics: &mut Diagnostics) {
    for (id, operation) in body.operations.iter().enumerate() {
        let Some(operation) = operation else {
            continue;
        };
        if matches!(
            operation.work,
            Work::Attempt(_) | Work::Repetition(_) | Work::Branch { .. } | Work::Children(_)
        ) {
            check_body(id, operation, body, diagnostics);
        }
    }
}

fn check_body(id: OperationId, operation: &Operation, body: &Body, diagnostics: &mut Diagnostics) {
    let mut declared = Declared {
        body,
        names: BTreeSet::new(),
    };
    walk::deferred(&mut declared, operation);
    let mut changes = Changes {
        body,
        declared: declared.names,
        found: Vec::new(),
    };
    walk::deferred(&mut changes, operation);
    for name in changes.found {
        let message = diagnostics::outer_change(&name.to_string(), operation.kind);
        diagnostics.at(id, name.span(), message);
    }
}

/// All names bound anywhere in a body. Scopes are ignored: a name that is bound in one of them and
/// changed in another is in doubt, and doubt is left to the compiler.
struct Declared<'a> {
    body: &'a Body,
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Declared<'_> {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.names.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit_through(self, self.body, call);
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}

struct Changes<'a> {
    body: &'a Body,
    declared: BTreeSet<String>,
    found: Vec<Ident>,
}

impl Changes<'_> {
    fn change(&mut self, target: &Expr) {
        if let Expr::Tuple(tuple) = target {
            tuple.elems.iter().for_each(|element| self.change(element));
            return;
        }
        let Some(name) = root(target) else {
            return;
        };
        let text = name.to_string();
        // A constant or a static is no variable of this function.
        let is_variable = !text.starts_with(char::is_uppercase);
        if is_variable && !self.declared.contains(&text) {
            self.found.push(name.clone());
        }
    }
}

impl<'ast> Visit<'ast> for Changes<'_> {
    fn visit_expr_assign(&mut self, assign: &'ast ExprAssign) {
        self.change(&assign.left);
        visit::visit_expr_assign(self, assign);
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        if is_assignment(&binary.op) {
            self.change(&binary.left);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_reference(&mut self, reference: &'ast ExprReference) {
        if reference.mutability.is_some() {
            self.change(&reference.expr);
        }
        visit::visit_expr_reference(self, reference);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit_through(self, self.body, call);
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}

/// Visits the arguments of a macro, but not the deferred body of an operation: that one is checked by
/// itself.
fn visit_through<V>(visitor: &mut V, body: &Body, call: &Macro)
where
    V: for<'ast> Visit<'ast>,
{
    let Some(id) = walk::operation_id(call) else {
        return walk::foreign(visitor, call);
    };
    if let Some(Some(operation)) = body.operations.get(id) {
        walk::arguments(visitor, operation);
    }
}

/// The variable at the root of `x`, `x.y`, `x[i]` and `*x`.
fn root(expression: &Expr) -> Option<&Ident> {
    match expression {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
        Expr::Field(field) => root(&field.base),
        Expr::Index(index) => root(&index.expr),
        Expr::Paren(paren) => root(&paren.expr),
        Expr::Group(group) => root(&group.expr),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Deref(_)) => root(&unary.expr),
        _ => None,
    }
}

fn is_assignment(operator: &BinOp) -> bool {
    matches!(
        operator,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}
