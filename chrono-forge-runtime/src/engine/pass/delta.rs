//! What an attempt wrote to the context, as it is stored with its record.
//!
//! Entries are an object of their values. Where one of them is `null`, or one was removed, that
//! object stands in an array in front of the names that were removed: `[{"kept":null},["gone"]]`.
//! Earlier builds wrote an object alone, in which a removal was `null`; such records are read as
//! they were meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ledger::Delta;
use crate::record::Json;
use crate::record::entries::object;

/// A delta as it is stored; `None` if nothing was written.
pub(super) fn to_json(delta: &Delta) -> Option<Json> {
    if delta.is_empty() {
        return None;
    }
    let written = delta
        .iter()
        .filter_map(|(key, value)| Some((&**key, value.as_deref()?)));
    let is_null = |(_, value): (&str, &str)| value.trim() == "null";
    let entries = object(written.clone());
    let removed: Vec<&str> = delta
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| &**key)
        .collect();
    if removed.is_empty() && !written.clone().any(is_null) {
        return Some(entries);
    }
    let removed = serde_json::Value::from(removed);
    Some(format!("[{entries},{removed}]").into())
}

/// Reads a stored delta; values stay text.
pub(super) fn of_text(text: Option<&str>) -> Result<Delta, String> {
    let Some(text) = text else {
        return Ok(Delta::new());
    };
    let json = |raw: Box<RawValue>| Json::from(raw.get());
    if !text.trim_start().starts_with('[') {
        let entries: BTreeMap<String, Option<Box<RawValue>>> = read(text)?;
        let entry = |(key, raw): (String, Option<Box<RawValue>>)| (key, raw.map(json));
        return Ok(entries.into_iter().map(entry).collect());
    }
    let (entries, removed): (BTreeMap<String, Box<RawValue>>, Vec<String>) = read(text)?;
    let entries = entries.into_iter().map(|(key, raw)| (key, Some(json(raw))));
    Ok(entries
        .chain(removed.into_iter().map(|key| (key, None)))
        .collect())
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(entries: &[(&str, Option<&str>)]) -> Delta {
        let owned =
            |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(Json::from));
        entries.iter().map(owned).collect()
    }

    #[test]
    fn a_delta_reads_back_as_it_was_written() {
        for entries in [
            &[][..],
            &[("a", Some("1"))],
            &[("a", Some("null"))],
            &[("a", None)],
            &[
                ("a", None),
                ("b", Some("null")),
                ("\"", Some("{\"x\":null}")),
            ],
        ] {
            let written = delta(entries);
            let text = to_json(&written);
            assert_eq!(of_text(text.as_deref()).unwrap(), written, "{text:?}");
        }
        let plain = to_json(&delta(&[("a", Some("1")), ("b", Some("[null]"))]));
        assert_eq!(plain.as_deref(), Some("{\"a\":1,\"b\":[null]}"));
    }

    #[test]
    fn null_in_an_object_alone_was_a_removal() {
        let read = of_text(Some("{\"a\":null,\"b\":2}")).unwrap();
        assert_eq!(read, delta(&[("a", None), ("b", Some("2"))]));
    }

    #[test]
    fn what_is_no_delta_is_an_error() {
        for text in ["", "7", "[{}]", "[1,2]", "[{\"a\":1},[2]]"] {
            assert!(of_text(Some(text)).is_err(), "{text}");
        }
    }
}
