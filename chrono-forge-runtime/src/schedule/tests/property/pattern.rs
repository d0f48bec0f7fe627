//! Random cron patterns, and what they match, told from their parts instead of their text.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;

/// One field of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Any,
    /// `*/n`
    Every(i64),
    /// `a-b/n`
    Stepped(i64, i64, i64),
    /// `a-b`
    Range(i64, i64),
    List(Vec<i64>),
}

impl Field {
    /// Any field of values from `min` to `max`.
    fn of(min: i64, max: i64) -> impl Strategy<Value = Self> + Clone {
        let range = (min..=max, min..=max).prop_map(|(a, b)| (a.min(b), a.max(b)));
        prop_oneof![
            Just(Self::Any),
            (2..=(max - min) / 2).prop_map(Self::Every),
            (range.clone(), 2..9_i64).prop_map(|((a, b), n)| Self::Stepped(a, b, n)),
            range.prop_map(|(a, b)| Self::Range(a, b)),
            prop::collection::vec(min..=max, 1..4).prop_map(Self::List),
        ]
    }

    /// One value.
    fn one(min: i64, max: i64) -> impl Strategy<Value = Self> + Clone {
        (min..=max).prop_map(|value| Self::List(vec![value]))
    }

    fn matches(&self, min: i64, value: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Every(step) => (value - min) % step == 0,
            Self::Stepped(a, b, step) => (*a..=*b).contains(&value) && (value - a) % step == 0,
            Self::Range(a, b) => (*a..=*b).contains(&value),
            Self::List(values) => values.contains(&value),
        }
    }

    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    fn names_values(&self) -> bool {
        matches!(self, Self::Range(..) | Self::List(_))
    }

    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::List(values) if values.len() == 1)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "*"),
            Self::Every(step) => write!(f, "*/{step}"),
            Self::Stepped(a, b, step) => write!(f, "{a}-{b}/{step}"),
            Self::Range(a, b) => write!(f, "{a}-{b}"),
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(i64::to_string).collect();
                write!(f, "{}", values.join(","))
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) minute: Field,
    pub(super) hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    /// Whether day and weekday must both match.
    both: bool,
}

impl Pattern {
    /// Patterns of every shape, more often in the small hours, where clocks are changed.
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let small_hours = || prop::collection::vec(0..4_i64, 1..3).prop_map(Field::List);
        let hour = prop_oneof![
            3 => small_hours(),
            1 => Field::one(22, 23),
            1 => Field::of(0, 23),
            1 => Just(Field::Any)
        ];
        let minute = prop_oneof![Field::one(0, 59), Field::of(0, 59)];
        let rarely = |field: BoxedStrategy<Field>| prop_oneof![4 => Just(Field::Any), 1 => field];
        (
            minute,
            hour,
            rarely(Field::of(1, 28).boxed()),
            rarely(Field::of(1, 12).boxed()),
            rarely(Field::of(0, 6).boxed()),
            any::<bool>(),
        )
            .prop_map(|(minute, hour, day, month, weekday, both)| Self {
                minute,
                hour,
                day,
                month,
                weekday,
                both,
            })
    }

    /// The same at that hour, unless it is for any hour.
    pub(super) fn at_hour(self, hour: i64) -> Self {
        if self.hour.is_any() {
            return self;
        }
        let hour = Field::List(vec![hour]);
        Self { hour, ..self }
    }

    /// Whether it matches a time on the wall, in minutes since 1970-01-01T00:00 there.
    pub(super) fn matches(&self, wall: i64) -> bool {
        self.minute.matches(0, wall.rem_euclid(60))
            && self.hour.matches(0, wall.div_euclid(60).rem_euclid(24))
            && self.matches_date(date(1970, 1, 1) + wall.div_euclid(1_440).days())
    }

    fn matches_date(&self, date: Date) -> bool {
        let weekday = i64::from(date.weekday().to_sunday_zero_offset());
        let day = self.day.matches(1, date.day().into());
        let weekday = self.weekday.matches(0, weekday);
        let either = !self.both && !self.day.is_any() && !self.weekday.is_any();
        let is_day = if either {
            day || weekday
        } else {
            day && weekday
        };
        is_day && self.month.matches(1, date.month().into())
    }

    /// Whether each time is due once, whatever is done to the clocks.
    pub(super) fn names_times(&self) -> bool {
        self.minute.names_values() && self.hour.names_values()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = if self.both && !self.weekday.is_any() {
            "+"
        } else {
            ""
        };
        let Self {
            minute,
            hour,
            day,
            month,
            weekday,
            ..
        } = self;
        write!(f, "{minute} {hour} {day} {month} {plus}{weekday}")
    }
}
