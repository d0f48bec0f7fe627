//! The messages about `repeat!` alone.

use crate::model::Kind;

// The grammar.

pub(crate) fn repeat_not_a_closure() -> String {
    format!(
        "the last argument of `repeat!` is a closure written in place: `{}`",
        Kind::Repeat.example()
    )
}

pub(crate) fn repeat_closure_arguments() -> String {
    "this closure takes one argument, the instant that the tick was scheduled for; where it does \
     not matter write `|_| ..`"
        .to_owned()
}

pub(crate) fn repeat_closure_modifiers() -> String {
    "write this closure without `async` and `move`: it runs once for each tick, so it borrows, and \
     its body may be a call, a block that ends in `Ok(())`, or `async { .. }`"
        .to_owned()
}

pub(crate) fn repeat_closure_return_type() -> String {
    "leave out the return type: the body of the closure is a call, a block that ends in `Ok(())`, \
     or `async { .. }`"
        .to_owned()
}

pub(crate) fn repeat_option_without_name() -> String {
    format!(
        "only the key and the closure stand without a name; say what this is, as in `{}`",
        Kind::Repeat.example()
    )
}

pub(crate) fn until_missing() -> String {
    "`repeat!` needs the condition that ends it: `until = is_paid(&order)`; for one that never \
     ends, `until = { Ok(false) }`"
        .to_owned()
}

pub(crate) fn awaited_until() -> String {
    "`repeat!` awaits `until` itself; remove this `.await`".to_owned()
}

pub(crate) fn closure_until() -> String {
    "`until` is not a closure; write the condition itself, as in `until = is_paid(&order)`"
        .to_owned()
}
