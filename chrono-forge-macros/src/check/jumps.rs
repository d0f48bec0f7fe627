//! A branch block must end in its value: it does not run on a replay, and neither would a jump out
//! of it.

use super::walk;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Kind;
use crate::model::OperationId;
use crate::model::Work;
use proc_macro2::Span;
use syn::ExprAsync;
use syn::ExprBreak;
use syn::ExprClosure;
use syn::ExprContinue;
use syn::ExprForLoop;
use syn::ExprLoop;
use syn::ExprReturn;
use syn::ExprWhile;
use syn::Item;
use syn::Label;
use syn::Lifetime;
use syn::Macro;
use syn::visit;
use syn::visit::Visit;

/// Reports `return`, `break` and `continue` that leave a branch block, and `return` in the closure of a
/// `spawn_each!`, whose body moves into generated code.
pub(super) fn check_jumps(body: &Body, diagnostics: &mut Diagnostics) {
    for (id, operation) in body.operations.iter().enumerate() {
        let Some(operation) = operation else {
            continue;
        };
        let mut jumps = Jumps {
            id,
            kind: operation.kind,
            body,
            loops: 0,
            labels: Vec::new(),
            diagnostics,
        };
        match &operation.work {
            Work::Branch { block, .. } => jumps.visit_block(block),
            Work::Children(children) => jumps.visit_expr(&children.child),
            _ => {}
        }
    }
}

struct Jumps<'a> {
    id: OperationId,
    kind: Kind,
    body: &'a Body,
    /// How many loops of the block are open.
    loops: usize,
    /// The labels of the block that are open.
    labels: Vec<Lifetime>,
    diagnostics: &'a mut Diagnostics,
}

impl Jumps<'_> {
    fn looping(&mut self, label: Option<&Label>, visit: impl FnOnce(&mut Self)) {
        self.loops += 1;
        self.labels.extend(label.map(|label| label.name.clone()));
        visit(self);
        if label.is_some() {
            self.labels.pop();
        }
        self.loops -= 1;
    }

    fn jump(&mut self, span: Span, label: Option<&Lifetime>, word: &str) {
        let stays = match label {
            Some(label) => self.labels.contains(label),
            None => self.loops > 0,
        };
        // Out of a closure the compiler lets nobody jump.
        if !stays && self.kind == Kind::Branch {
            let message = diagnostics::jump_out_of_branch(word);
            self.diagnostics.at(self.id, span, message);
        }
    }
}

impl<'ast> Visit<'ast> for Jumps<'_> {
    fn visit_expr_return(&mut self, expression: &'ast ExprReturn) {
        let span = expression.return_token.span;
        let message = match self.kind {
            Kind::SpawnEach => diagnostics::return_in_children(),
            _ => diagnostics::return_in_branch(),
        };
        self.diagnostics.at(self.id, span, message);
        visit::visit_expr_return(self, expression);
    }

    fn visit_expr_break(&mut self, expression: &'ast ExprBreak) {
        self.jump(
            expression.break_token.span,
            expression.label.as_ref(),
            "break",
        );
        visit::visit_expr_break(self, expression);
    }

    fn visit_expr_continue(&mut self, expression: &'ast ExprContinue) {
        let span = expression.continue_token.span;
        self.jump(span, expression.label.as_ref(), "continue");
    }

    fn visit_expr_loop(&mut self, expression: &'ast ExprLoop) {
        self.looping(expression.label.as_ref(), |jumps| {
            visit::visit_expr_loop(jumps, expression);
        });
    }

    fn visit_expr_while(&mut self, expression: &'ast ExprWhile) {
        self.looping(expression.label.as_ref(), |jumps| {
            visit::visit_expr_while(jumps, expression);
        });
    }

    fn visit_expr_for_loop(&mut self, expression: &'ast ExprForLoop) {
        self.looping(expression.label.as_ref(), |jumps| {
            visit::visit_expr_for_loop(jumps, expression);
        });
    }

    fn visit_expr_block(&mut self, expression: &'ast syn::ExprBlock) {
        let label = expression.label.as_ref().map(|label| label.name.clone());
        let labelled = label.is_some();
        self.labels.extend(label);
        visit::visit_expr_block(self, expression);
        if labelled {
            self.labels.pop();
        }
    }

    /// A jump in a closure or in another future leaves that, not the block.
    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}

    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        let Some(id) = walk::operation_id(call) else {
            return walk::foreign(self, call);
        };
        if let Some(Some(operation)) = self.body.operations.get(id) {
            walk::arguments(self, operation);
        }
    }
}
