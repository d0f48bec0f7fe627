//! One key, one operation: the same constant key must not be reached twice on one path.

use super::keys;
use super::walk;
use super::walk::Guess;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Operation;
use crate::model::OperationId;
use crate::model::Work;
use syn::Arm;
use syn::Block;
use syn::Expr;
use syn::ExprClosure;
use syn::ExprIf;
use syn::ExprMatch;
use syn::Item;
use syn::Local;
use syn::Macro;
use syn::Stmt;
use syn::visit;
use syn::visit::Visit;

/// Follows the body's paths and reports each second use at its token.
pub(super) fn check_duplicate_keys(body: &Body, diagnostics: &mut Diagnostics) {
    let mut path = Path {
        body,
        seen: Vec::new(),
        diagnostics,
    };
    if let Some(syntax) = &body.syntax {
        path.visit_block(syntax);
    }
}

/// A constant key that was used before this point.
#[derive(Clone, PartialEq)]
struct Used {
    kind: Kind,
    text: String,
    by_default: bool,
}

struct Path<'a> {
    body: &'a Body,
    seen: Vec<Used>,
    diagnostics: &'a mut Diagnostics,
}

impl Path<'_> {
    /// Visits ways of which one is taken. Afterwards the keys of every way count that comes out at
    /// the end.
    fn alternatives(&mut self, ways: &[Way<'_>]) {
        let before = self.seen.clone();
        let mut after = before.clone();
        for way in ways {
            self.seen.clone_from(&before);
            match way {
                Way::Block(block) => self.visit_block(block),
                Way::Else(otherwise) => self.visit_expr(otherwise),
                Way::Arm(arm) => self.visit_arm(arm),
                Way::Past => {}
            }
            if !way.leaves() {
                let new = self.seen.drain(..).filter(|used| !after.contains(used));
                let new: Vec<Used> = new.collect();
                after.extend(new);
            }
        }
        self.seen = after;
    }

    /// Visits what may run elsewhere or not at all.
    fn aside(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = self.seen.clone();
        visit(self);
        self.seen = before;
    }

    fn use_key(&mut self, id: OperationId, operation: &Operation) {
        let Some(key) = &operation.key else {
            return;
        };
        let Some((text, span)) = keys::constant(key) else {
            return;
        };
        let space = space(operation.kind);
        let same = |used: &&Used| space == self::space(used.kind) && used.text == text;
        if let Some(first) = self.seen.iter().find(same) {
            let message =
                diagnostics::duplicate_key(operation.kind, &text, first.kind, first.by_default);
            self.diagnostics.at(id, span, message);
            return;
        }
        self.seen.push(Used {
            kind: operation.kind,
            text,
            by_default: matches!(key, Key::Default { .. }),
        });
    }
}

/// Both spawns share the names of their branch.
fn space(kind: Kind) -> Kind {
    match kind {
        Kind::SpawnEach => Kind::Spawn,
        other => other,
    }
}

impl<'ast> Visit<'ast> for Path<'_> {
    fn visit_macro(&mut self, call: &'ast Macro) {
        let Some(id) = walk::operation_id(call) else {
            match walk::guess(call) {
                Guess::Sequence(all) => all.iter().for_each(|one| self.visit_expr(one)),
                Guess::Unknown(all) => {
                    for one in &all {
                        self.aside(|path| path.visit_expr(one));
                    }
                }
            }
            return;
        };
        let Some(operation) = self.body.operations.get(id).and_then(Option::as_ref) else {
            return;
        };
        walk::arguments(self, operation);
        self.use_key(id, operation);
        match operation.work {
            Work::Branch { .. } => {
                let is_spawn = |used: &Used| space(used.kind) == Kind::Spawn;
                let outer: Vec<Used> = self.seen.extract_if(.., |used| is_spawn(used)).collect();
                walk::deferred(self, operation);
                self.seen.retain(|used| !is_spawn(used));
                self.seen.extend(outer);
            }
            // What is durable in there is an error of its own.
            Work::Attempt(_) | Work::Repetition(_) => {}
            _ => walk::deferred(self, operation),
        }
    }

    fn visit_expr_if(&mut self, expression: &'ast ExprIf) {
        self.visit_expr(&expression.cond);
        let otherwise = match &expression.else_branch {
            Some((_, otherwise)) => Way::Else(otherwise),
            None => Way::Past,
        };
        self.alternatives(&[Way::Block(&expression.then_branch), otherwise]);
    }

    fn visit_expr_match(&mut self, expression: &'ast ExprMatch) {
        self.visit_expr(&expression.expr);
        let ways: Vec<Way<'_>> = expression.arms.iter().map(Way::Arm).collect();
        self.alternatives(&ways);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let Some(init) = &local.init {
            self.visit_expr(&init.expr);
            if let Some((_, otherwise)) = &init.diverge {
                self.aside(|path| path.visit_expr(otherwise));
            }
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.aside(|path| visit::visit_expr_closure(path, closure));
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}

/// One of several ways that control can take.
enum Way<'a> {
    Block(&'a Block),
    Else(&'a Expr),
    Arm(&'a Arm),
    /// There is nothing on it.
    Past,
}

impl Way<'_> {
    fn leaves(&self) -> bool {
        match self {
            Self::Block(block) => block_leaves(block),
            Self::Else(otherwise) => leaves(otherwise),
            Self::Arm(arm) => leaves(&arm.body),
            Self::Past => false,
        }
    }
}

/// Whether control surely does not come out at the end, so that what follows is another path.
fn leaves(expression: &Expr) -> bool {
    match expression {
        Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) => true,
        Expr::Block(block) => block_leaves(&block.block),
        Expr::Macro(call) => panics(&call.mac),
        Expr::Try(tried) => is_failure(&tried.expr),
        Expr::If(choice) => {
            block_leaves(&choice.then_branch)
                && choice.else_branch.as_ref().is_some_and(|(_, e)| leaves(e))
        }
        Expr::Match(choice) => {
            !choice.arms.is_empty() && choice.arms.iter().all(|arm| leaves(&arm.body))
        }
        Expr::Paren(paren) => leaves(&paren.expr),
        Expr::Group(group) => leaves(&group.expr),
        _ => false,
    }
}

fn block_leaves(block: &Block) -> bool {
    block.stmts.iter().any(|statement| match statement {
        Stmt::Expr(expression, _) => leaves(expression),
        Stmt::Macro(statement) => panics(&statement.mac),
        Stmt::Local(_) | Stmt::Item(_) => false,
    })
}

/// `Err(..)`, of which `Err(..)?` is a return.
fn is_failure(expression: &Expr) -> bool {
    let Expr::Call(call) = expression else {
        return false;
    };
    matches!(&*call.func, Expr::Path(path) if path.path.is_ident("Err"))
}

fn panics(call: &Macro) -> bool {
    let never = ["panic", "unreachable", "todo", "unimplemented", "bail"];
    let name = call.path.segments.last();
    name.is_some_and(|name| never.iter().any(|never| name.ident == never))
}
