//! Where each operation stands. Collected once, so that most rules are a look at one site.

use super::walk;
use crate::model::Body;
use crate::model::Kind;
use crate::model::OperationId;
use crate::model::Work;
use proc_macro2::Span;
use syn::Expr;
use syn::ExprAwait;
use syn::ExprForLoop;
use syn::ExprLoop;
use syn::ExprTry;
use syn::ExprWhile;
use syn::Item;
use syn::Macro;
use syn::visit;
use syn::visit::Visit;

/// One operation and its surroundings.
pub(super) struct Site {
    pub(super) id: OperationId,
    /// What encloses it.
    pub(super) place: Place,
    /// The `.await` or `?` written directly on it.
    pub(super) suffix: Option<(Span, &'static str)>,
}

/// What encloses an operation.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// The innermost step or condition whose body it is in.
    pub(super) attempt: Option<Kind>,
    /// Whether that is the `until` of a `repeat!`, and not its body.
    pub(super) until: bool,
    /// Whether it is in a branch block.
    pub(super) branch: bool,
    /// Whether it is in the closure of a `spawn_each!`.
    pub(super) children: bool,
    /// Whether it is reached again and again.
    pub(super) repeated: bool,
    /// Whether it is reached again and again within one run of its branch block.
    pub(super) repeated_in_branch: bool,
}

/// All operations that were understood.
pub(super) fn sites(body: &Body) -> Vec<Site> {
    let mut survey = Survey {
        body,
        place: Place::default(),
        suffix: None,
        sites: Vec::new(),
    };
    if let Some(syntax) = &body.syntax {
        survey.visit_block(syntax);
    }
    survey.sites
}

struct Survey<'a> {
    body: &'a Body,
    place: Place,
    /// The suffix of the expression about to be visited.
    suffix: Option<(OperationId, Span, &'static str)>,
    sites: Vec<Site>,
}

impl Survey<'_> {
    fn within(&mut self, place: Place, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.place, place);
        visit(self);
        self.place = outer;
    }

    fn repeated(&self) -> Place {
        Place {
            repeated: true,
            repeated_in_branch: true,
            ..self.place
        }
    }

    fn note_suffix(&mut self, base: &Expr, span: Span, written: &'static str) {
        if let Some(id) = walk::operation_of(base) {
            self.suffix = Some((id, span, written));
        }
    }
}

impl<'ast> Visit<'ast> for Survey<'_> {
    fn visit_macro(&mut self, call: &'ast Macro) {
        let Some(id) = walk::operation_id(call) else {
            return walk::foreign(self, call);
        };
        let Some(operation) = self.body.operations.get(id).and_then(Option::as_ref) else {
            return;
        };
        let suffix = self.suffix.take_if(|(of, ..)| *of == id);
        self.sites.push(Site {
            id,
            place: self.place,
            suffix: suffix.map(|(_, span, written)| (span, written)),
        });
        walk::arguments(self, operation);
        let mut place = self.place;
        match &operation.work {
            Work::Attempt(_) => {
                place.attempt = Some(operation.kind);
                place.until = false;
            }
            Work::Repetition(repetition) => {
                place.attempt = Some(operation.kind);
                place.until = true;
                self.within(place, |survey| walk::attempt(survey, &repetition.until));
                place.until = false;
                return self.within(place, |survey| walk::attempt(survey, &repetition.task));
            }
            Work::Branch { .. } => {
                place.branch = true;
                place.repeated_in_branch = false;
            }
            Work::Children(_) => {
                place.children = true;
                place.repeated = true;
                place.repeated_in_branch = true;
            }
            Work::Duration(_) | Work::Instant(_) | Work::Child(_) | Work::Handles(_) => return,
        }
        self.within(place, |survey| walk::deferred(survey, operation));
    }

    fn visit_expr_await(&mut self, expression: &'ast ExprAwait) {
        self.note_suffix(&expression.base, expression.await_token.span, ".await");
        visit::visit_expr_await(self, expression);
    }

    fn visit_expr_try(&mut self, expression: &'ast ExprTry) {
        self.note_suffix(&expression.expr, expression.question_token.span, "?");
        visit::visit_expr_try(self, expression);
    }

    fn visit_expr_for_loop(&mut self, expression: &'ast ExprForLoop) {
        // The iterator is made once.
        self.visit_expr(&expression.expr);
        let place = self.repeated();
        self.within(place, |survey| survey.visit_block(&expression.body));
    }

    fn visit_expr_while(&mut self, expression: &'ast ExprWhile) {
        let place = self.repeated();
        self.within(place, |survey| visit::visit_expr_while(survey, expression));
    }

    fn visit_expr_loop(&mut self, expression: &'ast ExprLoop) {
        let place = self.repeated();
        self.within(place, |survey| visit::visit_expr_loop(survey, expression));
    }

    /// Nested items are no part of this body.
    fn visit_item(&mut self, _: &'ast Item) {}
}
