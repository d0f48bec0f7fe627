//! What can be told about an interval from the way it is written: `hours(2)`, `Duration::ZERO`.

use syn::Expr;
use syn::ExprCall;
use syn::Ident;
use syn::Lit;
use syn::Path;
use syn::UnOp;

const NANOSECOND: u128 = 1;
const MICROSECOND: u128 = 1_000;
const MILLISECOND: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

/// Functions that make a duration of so many units: ours, and those of `Duration`.
const DURATIONS: [(&str, u128); 14] = [
    ("secs", SECOND),
    ("minutes", MINUTE),
    ("hours", HOUR),
    ("days", DAY),
    ("from_nanos", NANOSECOND),
    ("from_micros", MICROSECOND),
    ("from_millis", MILLISECOND),
    ("from_secs", SECOND),
    ("from_secs_f32", SECOND),
    ("from_secs_f64", SECOND),
    ("from_mins", MINUTE),
    ("from_hours", HOUR),
    ("from_days", DAY),
    ("from_weeks", 7 * DAY),
];

/// Functions that make a span of the calendar.
const SPANS: [&str; 2] = ["months", "calendar_days"];

/// Whether this is surely less than a millisecond: zero, next to nothing, or backwards.
pub(super) fn is_too_short(every: &Expr) -> bool {
    if let Some(path) = bare_path(every) {
        return is_of_duration(path, "ZERO") || is_of_duration(path, "NANOSECOND");
    }
    let Some((name, call)) = call(every) else {
        return false;
    };
    let arguments: Option<Vec<Number>> = call.args.iter().map(number).collect();
    match arguments.as_deref() {
        Some([one]) => match (unit(name), one) {
            (Some(unit), one) => one.nanoseconds(unit) < MILLISECOND,
            (None, one) => is_span(name) && one.nanoseconds(DAY) == 0,
        },
        Some([seconds, nanoseconds]) if name == "new" => {
            let total = seconds.nanoseconds(SECOND) + nanoseconds.nanoseconds(NANOSECOND);
            is_constructor(call) && total < MILLISECOND
        }
        _ => false,
    }
}

/// Whether this is surely a duration, which is no matter of the calendar.
pub(super) fn is_duration(every: &Expr) -> bool {
    call(every)
        .is_some_and(|(name, call)| unit(name).is_some() || (name == "new" && is_constructor(call)))
}

/// A number as it was written.
enum Number {
    Whole(u128),
    Fraction(f64),
    Negative,
}

impl Number {
    /// Nothing, where the number is negative.
    fn nanoseconds(&self, unit: u128) -> u128 {
        match self {
            Self::Whole(count) => count.saturating_mul(unit),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "compared with a millisecond, so a nanosecond more or less is no matter"
            )]
            Self::Fraction(count) => (count * unit as f64) as u128,
            Self::Negative => 0,
        }
    }
}

fn number(expression: &Expr) -> Option<Number> {
    match bare(expression) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(whole) => whole.base10_parse().ok().map(Number::Whole),
            Lit::Float(fraction) => fraction.base10_parse().ok().map(Number::Fraction),
            _ => None,
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            number(&unary.expr).map(|_| Number::Negative)
        }
        _ => None,
    }
}

fn call(expression: &Expr) -> Option<(&Ident, &ExprCall)> {
    let Expr::Call(call) = bare(expression) else {
        return None;
    };
    let name = &bare_path(&call.func)?.segments.last()?.ident;
    Some((name, call))
}

fn unit(name: &Ident) -> Option<u128> {
    let mut known = DURATIONS.iter();
    known.find_map(|(known, unit)| (name == known).then_some(*unit))
}

fn is_span(name: &Ident) -> bool {
    SPANS.iter().any(|known| name == known)
}

/// `Duration::new`.
fn is_constructor(call: &ExprCall) -> bool {
    bare_path(&call.func).is_some_and(|path| is_of_duration(path, "new"))
}

/// `Duration::<name>`, under any path.
fn is_of_duration(path: &Path, name: &str) -> bool {
    let mut segments = path.segments.iter().rev().map(|segment| &segment.ident);
    segments.next().is_some_and(|last| last == name)
        && segments.next().is_some_and(|owner| owner == "Duration")
}

fn bare_path(expression: &Expr) -> Option<&Path> {
    match bare(expression) {
        Expr::Path(path) if path.qself.is_none() => Some(&path.path),
        _ => None,
    }
}

fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Group(group) => bare(&group.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        other => other,
    }
}
