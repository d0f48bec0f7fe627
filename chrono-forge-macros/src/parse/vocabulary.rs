//! The words of the vocabulary and their options.

use crate::model::Kind;
use proc_macro2::Ident;
use syn::Expr;

/// The words that `on_error` takes without an import.
pub(crate) const ON_ERROR: [&str; 2] = ["Continue", "Fail"];

/// What a macro name means in a body.
pub(crate) enum Word {
    /// A durable operation.
    Operation(Kind),
    /// A name kept for a later version.
    Reserved,
}

/// Looks a macro name up.
pub(crate) fn word(name: &str) -> Option<Word> {
    Some(match name {
        "step" => Word::Operation(Kind::Step),
        "wait" => Word::Operation(Kind::Wait),
        "wait_until" => Word::Operation(Kind::WaitUntil),
        "continue_if" => Word::Operation(Kind::ContinueIf),
        "repeat" => Word::Operation(Kind::Repeat),
        "branch" => Word::Operation(Kind::Branch),
        "spawn" => Word::Operation(Kind::Spawn),
        "spawn_each" => Word::Operation(Kind::SpawnEach),
        "merge" => Word::Operation(Kind::Merge),
        "race" | "receive" | "now" | "random" | "uuid" | "patched" => Word::Reserved,
        _ => return None,
    })
}

/// The word of `on_error = Continue`; anything else is an expression like any other.
pub(crate) fn on_error_word(value: &Expr) -> Option<&Ident> {
    match value {
        Expr::Path(path) if path.qself.is_none() => {
            let word = path.path.get_ident()?;
            ON_ERROR.iter().any(|known| word == known).then_some(word)
        }
        Expr::Group(group) => on_error_word(&group.expr),
        _ => None,
    }
}

impl Kind {
    /// The macro's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Step => "step",
            Kind::Wait => "wait",
            Kind::WaitUntil => "wait_until",
            Kind::ContinueIf => "continue_if",
            Kind::Repeat => "repeat",
            Kind::Branch => "branch",
            Kind::Spawn => "spawn",
            Kind::SpawnEach => "spawn_each",
            Kind::Merge => "merge",
        }
    }

    /// The options it takes.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Kind::Step => &["retry", "timeout"],
            Kind::Wait => &["until"],
            Kind::WaitUntil => &["every", "timeout", "retry"],
            Kind::ContinueIf => &["timeout"],
            Kind::Repeat => &[
                "every", "cron", "until", "zone", "start_at", "timeout", "on_error", "retry",
            ],
            Kind::Branch => &["automerge", "retry"],
            Kind::SpawnEach => &["of"],
            Kind::Spawn | Kind::Merge => &[],
        }
    }

    /// A use of it that compiles; errors show it as the form to follow.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Kind::Step => "step!(\"charge\", charge(&order))",
            Kind::Wait => "wait!(\"settlement\", hours(48))",
            Kind::WaitUntil => "wait_until!(\"paid\", every = minutes(5), is_paid(&order))",
            Kind::ContinueIf => "continue_if!(\"approved\", is_approved(&order))",
            Kind::Repeat => {
                "repeat!(\"reminder\", every = days(3), until = is_paid(&order), \
                 |tick| remind(&order, tick))"
            }
            Kind::Branch => "branch!(\"invoices\", { .. })",
            Kind::Spawn => "spawn!(\"invoice\", send_invoice(customer))",
            Kind::SpawnEach => "spawn_each!(\"customer\", customers, |c| send_invoice(c))",
            Kind::Merge => "merge!(invoices)",
        }
    }
}
