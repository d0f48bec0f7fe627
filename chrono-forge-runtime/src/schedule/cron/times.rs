//! Times of day that a pattern names.

use croner::CronPattern;

/// The seconds of a day that match: every combination of the hours, minutes and seconds, in order. Each
/// list ascends.
#[derive(Clone, Debug)]
pub(super) struct Times {
    hours: Vec<u16>,
    minutes: Vec<u16>,
    seconds: Vec<u16>,
}

impl Times {
    pub(super) fn new(pattern: &CronPattern) -> Self {
        Self {
            hours: pattern.hours.values(),
            minutes: pattern.minutes.values(),
            seconds: pattern.seconds.values(),
        }
    }

    /// How many there are; 0 if a list is empty.
    pub(super) fn count(&self) -> usize {
        self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    /// How many lie before that second of the day.
    pub(super) fn count_before(&self, second: u32) -> usize {
        let (hours, in_hour) = rank(&self.hours, second / 3_600);
        let (minutes, in_minute) = rank(&self.minutes, second / 60 % 60);
        let (seconds, _) = rank(&self.seconds, second % 60);
        let minutes = minutes * self.seconds.len() + if in_minute { seconds } else { 0 };
        hours * self.minutes.len() * self.seconds.len() + if in_hour { minutes } else { 0 }
    }

    /// The second of the day that has `index` before it; `None` if the day has no more of them.
    pub(super) fn at(&self, index: usize) -> Option<u32> {
        let in_minute = self.seconds.len();
        let in_hour = self.minutes.len() * in_minute;
        let hour = u32::from(*self.hours.get(index.checked_div(in_hour)?)?);
        let minute = u32::from(*self.minutes.get(index % in_hour / in_minute)?);
        let second = u32::from(*self.seconds.get(index % in_minute)?);
        Some(hour * 3_600 + minute * 60 + second)
    }
}

/// How many of the values are less than `value`, and whether it is one of them.
fn rank(values: &[u16], value: u32) -> (usize, bool) {
    let less = values.partition_point(|it| u32::from(*it) < value);
    let is_one = values.get(less).is_some_and(|it| u32::from(*it) == value);
    (less, is_one)
}
