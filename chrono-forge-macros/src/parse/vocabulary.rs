//! The words of the vocabulary and their options.

use crate::model::Kind;

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
        "branch" => Word::Operation(Kind::Branch),
        "spawn" => Word::Operation(Kind::Spawn),
        "spawn_each" => Word::Operation(Kind::SpawnEach),
        "merge" => Word::Operation(Kind::Merge),
        "repeat" | "race" | "receive" | "now" | "random" | "uuid" | "patched" => Word::Reserved,
        _ => return None,
    })
}

impl Kind {
    /// The macro's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Step => "step",
            Kind::Wait => "wait",
            Kind::WaitUntil => "wait_until",
            Kind::ContinueIf => "continue_if",
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
            Kind::Branch => "branch!(\"invoices\", { .. })",
            Kind::Spawn => "spawn!(\"invoice\", send_invoice(customer))",
            Kind::SpawnEach => "spawn_each!(\"customer\", customers, |c| send_invoice(c))",
            Kind::Merge => "merge!(invoices)",
        }
    }
}
