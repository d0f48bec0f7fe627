//! Values on their way into a statement, and instants on their way in and out.

use std::sync::Arc;

use diesel::data_types::PgTimestamp;
use jiff::Timestamp;

use crate::record::Due;
use crate::store::shared::arrivals::Now;
use crate::store::shared::end;

/// Microseconds from 1970, where our instants begin, to 2000, where PostgreSQL's do.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// PostgreSQL's calendar begins in 4714 BC, ours in 9999 BC: what is due before anything can happen stays so.
const MICROS_MIN: i64 = -211_813_488_000_000_000;

/// One bound value, or one column of a batch; text is borrowed from the plan that carries it.
///
/// Whole numbers are `bigint` and instants `timestamptz`; a narrower column is cast to in the statement.
pub(super) enum Bind<'a> {
    Null,
    Int(i64),
    Bool(bool),
    Text(&'a str),
    Owned(String),
    Instant(PgTimestamp),
    Ints(Vec<Option<i64>>),
    Bools(Vec<bool>),
    Texts(Vec<Option<&'a str>>),
    OwnedTexts(Vec<Option<String>>),
    Instants(Vec<Option<PgTimestamp>>),
}

impl From<i64> for Bind<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Bind<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Bind<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Timestamp> for Bind<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Instant(stored(value))
    }
}

impl From<Now> for Bind<'_> {
    fn from(value: Now) -> Self {
        value.at.into()
    }
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Bind<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a Arc<str>> for Bind<'a> {
    fn from(value: &'a Arc<str>) -> Self {
        Self::Text(value)
    }
}

impl From<String> for Bind<'_> {
    fn from(value: String) -> Self {
        Self::Owned(value)
    }
}

/// For text and whole numbers. An instant that may be missing is an [`Bind::Instants`] of one, or two
/// statements: a null needs its type.
impl<'a, T: Into<Bind<'a>>> From<Option<T>> for Bind<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column of whole numbers.
pub(super) fn ints<'a>(values: impl IntoIterator<Item = i64>) -> Bind<'a> {
    Bind::Ints(values.into_iter().map(Some).collect())
}

/// A column of texts.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Bind<'a> {
    Bind::Texts(values.into_iter().map(Some).collect())
}

/// A column of names.
pub(super) fn names(values: &[String]) -> Bind<'_> {
    texts(values.iter().map(String::as_str))
}

/// A column of instants.
pub(super) fn instants<'a>(values: impl IntoIterator<Item = Timestamp>) -> Bind<'a> {
    Bind::Instants(values.into_iter().map(|at| Some(stored(at))).collect())
}

/// A column of whole numbers, some of which are missing.
pub(super) fn opt_ints<'a>(values: impl IntoIterator<Item = Option<i64>>) -> Bind<'a> {
    Bind::Ints(values.into_iter().collect())
}

/// A column of truths.
pub(super) fn bools<'a>(values: impl IntoIterator<Item = bool>) -> Bind<'a> {
    Bind::Bools(values.into_iter().collect())
}

/// A column of texts, some of which are missing.
pub(super) fn opt_texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> Bind<'a> {
    Bind::Texts(values.into_iter().collect())
}

/// A column of what errors and panics say, some of which is missing. It may say anything, and PostgreSQL cannot
/// store the null character: a replacement stands for it.
pub(super) fn messages<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> Bind<'a> {
    let values: Vec<Option<&str>> = values.into_iter().collect();
    if values.iter().flatten().any(|text| text.contains('\0')) {
        let storable = |text: &str| text.replace('\0', "\u{fffd}");
        return Bind::OwnedTexts(values.into_iter().map(|text| text.map(storable)).collect());
    }
    Bind::Texts(values)
}

/// A column of instants, some of which are missing.
pub(super) fn opt_instants<'a>(values: impl IntoIterator<Item = Option<Timestamp>>) -> Bind<'a> {
    Bind::Instants(values.into_iter().map(|at| at.map(stored)).collect())
}

/// A column of deadlines, some of which are missing.
pub(super) fn deadlines<'a>(values: impl IntoIterator<Item = Option<Timestamp>>) -> Bind<'a> {
    Bind::Instants(values.into_iter().map(|at| at.map(deadline)).collect())
}

/// A column of instants in microseconds, some of which are missing.
pub(super) fn micros<'a>(values: impl IntoIterator<Item = Option<i64>>) -> Bind<'a> {
    Bind::Instants(values.into_iter().map(|at| at.map(in_range)).collect())
}

/// An instant as it is stored: rounded down to whole microseconds.
pub(super) fn stored(at: Timestamp) -> PgTimestamp {
    in_range(at.as_microsecond())
}

/// When a run is due, in microseconds from 1970, as it is stored.
pub(super) fn due<'a>(micros: i64) -> Bind<'a> {
    Bind::Instant(in_range(micros))
}

/// When a run is due, of a stored value.
pub(super) fn due_of(stored: PgTimestamp) -> Due {
    Due::of_micros(stored.0.saturating_add(EPOCH_MICROS))
}

/// Microseconds from 1970 as they are stored.
fn in_range(micros: i64) -> PgTimestamp {
    PgTimestamp(micros.saturating_sub(EPOCH_MICROS).max(MICROS_MIN))
}

/// A deadline as it is stored, rounded up: nothing may become due before its instant.
pub(super) fn deadline(at: Timestamp) -> PgTimestamp {
    in_range(end::deadline(at))
}

/// The instant of a stored value. What no clock can have written (`infinity`, too) reads as the nearest
/// instant.
pub(super) fn instant(stored: PgTimestamp) -> Timestamp {
    let nearest = if stored.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    let micros = stored.0.saturating_add(EPOCH_MICROS);
    Timestamp::from_microsecond(micros).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_round_up_and_instants_down() {
        let at = Timestamp::from_nanosecond(1_000_001).unwrap();
        assert_eq!(deadline(at).0 + EPOCH_MICROS, 1_001);
        assert_eq!(stored(at).0 + EPOCH_MICROS, 1_000);
        assert_eq!(instant(deadline(at)).as_microsecond(), 1_001);
        let early = Timestamp::from_nanosecond(-1_500).unwrap();
        assert_eq!(deadline(early).0 + EPOCH_MICROS, -1);
    }

    #[test]
    fn what_no_clock_wrote_reads_as_the_end_of_time() {
        assert_eq!(instant(PgTimestamp(i64::MAX)), Timestamp::MAX);
        assert_eq!(instant(PgTimestamp(i64::MIN)), Timestamp::MIN);
        assert_eq!(instant(PgTimestamp(0)).as_second(), 946_684_800);
    }
}
