//! The entries of a context, as commits write them and as operators see them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Json;

/// Entries by key; `None` for one that is removed.
pub type Entries = BTreeMap<String, Option<Json>>;

/// The whole context: these entries, and those of the base that they do not replace. Values stay as
/// they are written.
pub fn whole(base: &str, entries: Entries) -> serde_json::Result<Json> {
    if entries.is_empty() {
        return Ok(base.into());
    }
    let before: BTreeMap<String, Box<RawValue>> = serde_json::from_str(base)?;
    let json = |raw: Box<RawValue>| Some(Json::from(raw.get()));
    let mut all: Entries = before
        .into_iter()
        .map(|(key, raw)| (key, json(raw)))
        .collect();
    all.extend(entries);
    let kept = all.iter();
    let kept = kept.filter_map(|(key, value)| Some((&**key, value.as_deref()?)));
    Ok(object(kept))
}

/// A JSON object of values that are JSON text already.
pub fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Json {
    let mut text = String::from("{");
    for (key, value) in entries {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(key).to_string());
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_before_those_of_the_base_and_values_stay_as_written() {
        let base = r#"{"a":1.50,"b":{"y":1,"x":2},"c":3}"#;
        let entries = Entries::from([
            ("a".to_owned(), Some("1e2".into())),
            ("c".to_owned(), None),
            ("d".to_owned(), Some("null".into())),
        ]);
        let expected = r#"{"a":1e2,"b":{"y":1,"x":2},"d":null}"#;
        assert_eq!(&*whole(base, entries).unwrap(), expected);
        assert_eq!(&*whole(base, Entries::new()).unwrap(), base);
        let removed = Entries::from([("c".to_owned(), None)]);
        assert_eq!(&*whole("{}", removed).unwrap(), "{}");
    }
}
