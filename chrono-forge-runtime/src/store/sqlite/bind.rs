//! Values on their way into a statement, and instants on their way out.

use std::sync::Arc;

use jiff::Timestamp;

use crate::store::shared::arrivals::Now;

/// One bound value; text is borrowed from the plan that carries it.
pub(super) enum Bind<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Owned(String),
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
        Self::Int(value.into())
    }
}

impl From<Timestamp> for Bind<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.as_microsecond())
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

impl<'a, T: Into<Bind<'a>>> From<Option<T>> for Bind<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A deadline in microseconds, rounded up: nothing may become due before its instant.
pub(super) use crate::store::shared::end::deadline;

/// The instant of a stored value. What no clock can have written reads as the nearest instant.
pub(super) fn instant(micros: i64) -> Timestamp {
    let nearest = if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_microsecond(micros).unwrap_or(nearest)
}

/// These ids as a JSON array, for `json_each`.
pub(super) fn id_list(ids: impl IntoIterator<Item = i64>) -> String {
    let mut list = String::from("[");
    for id in ids {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&id.to_string());
    }
    list.push(']');
    list
}

/// These pairs as a JSON array of arrays, for `json_each`.
pub(super) fn pair_list(pairs: impl IntoIterator<Item = (i64, i64)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(first, second)| format!("[{first},{second}]"))
        .collect();
    format!("[{}]", pairs.join(","))
}

/// These names as a JSON array, for `json_each`.
pub(super) fn name_list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    serde_json::Value::from_iter(names.into_iter().map(String::as_str)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_round_up_and_instants_down() {
        let at = Timestamp::from_nanosecond(1_000_001).unwrap();
        assert_eq!(deadline(at), 1_001);
        assert!(matches!(Bind::from(at), Bind::Int(1_000)));
        assert_eq!(deadline(instant(7)), 7);
        assert_eq!(deadline(Timestamp::from_nanosecond(-1_500).unwrap()), -1);
    }

    #[test]
    fn lists_are_json() {
        assert_eq!(id_list([1, 2]), "[1,2]");
        assert_eq!(id_list([]), "[]");
        assert_eq!(pair_list([(1, 2), (3, 4)]), "[[1,2],[3,4]]");
        assert_eq!(name_list(&["a\"b".to_owned()]), r#"["a\"b"]"#);
    }
}
