//! Values in and out of JSON text, with errors that name the type.

mod exact;

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::panics;
use crate::error::DefinitionError;
use crate::record::Json;
use exact::Exact;

thread_local! {
    /// A buffer in which a thread writes the next text, so that only the text itself is allocated.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a thread keeps of its buffer.
const SCRATCH_BYTES: usize = 4 << 10;

/// Encodes a value, unless its text would read back as another one (see `exact`).
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Json, String> {
    // Empty for a value within whose encoding another one is encoded, and on a thread that is
    // ending.
    let mut text = SCRATCH.try_with(Cell::take).unwrap_or_default();
    let written = value.serialize(Exact::new(&mut serde_json::Serializer::new(&mut text)));
    let json = match written {
        Ok(()) => str::from_utf8(&text)
            .map(Json::from)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    text.clear();
    text.shrink_to(SCRATCH_BYTES);
    let _ = SCRATCH.try_with(|scratch| scratch.set(text));
    json
}

/// Levels of arrays and objects within each other that are read.
const DEPTH_MAX: usize = 127;

/// Refuses text that nests too deeply to be read, also where it stands in so many others.
pub fn check_depth(json: &str, within: usize) -> Result<(), String> {
    let limit = DEPTH_MAX - within;
    match depth(json) <= limit {
        true => Ok(()),
        false => Err(too_deep(limit)),
    }
}

fn too_deep(limit: usize) -> String {
    format!("it nests deeper than {limit} levels, which does not read back")
}

/// How many arrays and objects stand within each other, at most.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !is_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Decodes stored text.
pub fn decode<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// Encodes a value, and reads it back to see that it does: what the body receives is what every replay will
/// decode.
pub fn storable<T: Serialize + DeserializeOwned>(
    place: impl Fn() -> String,
    value: &T,
) -> Result<Json, DefinitionError> {
    let (json, decoded) = round_trip(place, value)?;
    // The copy is the engine's alone: if its destructor panicked while that of the value does, the process
    // would end.
    panics::discard(decoded);
    Ok(json)
}

fn round_trip<T: Serialize + DeserializeOwned>(
    place: impl Fn() -> String,
    value: &T,
) -> Result<(Json, T), DefinitionError> {
    let unstorable = |problem| DefinitionError::Unstorable {
        place: place(),
        type_name: std::any::type_name::<T>(),
        problem,
    };
    let json = encode(value).map_err(unstorable)?;
    let decoded = decode(&json).map_err(unstorable)?;
    Ok((json, decoded))
}

/// Decodes a recorded value; code that no longer reads it is a mistake in the definition.
pub fn recall<T: DeserializeOwned>(
    place: impl FnOnce() -> String,
    json: Option<&str>,
) -> Result<T, DefinitionError> {
    // Its attempt is over, so a panic of the reading code is no failure that could be tried again.
    let decoded = panics::catch(|| decode(json.unwrap_or("null")))
        .unwrap_or_else(|panic| Err(format!("reading it panicked: {}", panic.message)));
    decoded.map_err(|problem| DefinitionError::Undecodable {
        place: place(),
        type_name: std::any::type_name::<T>(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn place() -> String {
        "step!(\"x\")".to_owned()
    }

    #[test]
    fn what_does_not_read_back_is_unstorable() {
        assert!(
            round_trip(place, &f64::NAN).is_err(),
            "NaN reads back as null"
        );
        assert!(
            round_trip(place, &BTreeMap::from([((1, 2), 3)])).is_err(),
            "a key must be a string"
        );
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        struct OneWay {
            #[serde(serialize_with = "as_text")]
            n: u32,
        }
        fn as_text<S: serde::Serializer>(n: &u32, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_str(&n.to_string())
        }
        let error = round_trip(place, &OneWay { n: 1 }).unwrap_err().to_string();
        assert!(
            error.contains("OneWay") && error.contains("step!(\"x\")"),
            "{error}"
        );
    }

    #[test]
    fn what_is_too_deep_to_be_read_is_told_by_its_text() {
        assert_eq!(depth(r#"{"a[{":["\"[[",{}],"b":1}"#), 3);
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for levels in 120..135 {
            let reads = decode::<serde_json::Value>(&nested(levels)).is_ok();
            let is_told = check_depth(&nested(levels), 0).is_err();
            assert_eq!(reads, !is_told, "{levels}");
        }
        assert!(check_depth(&nested(DEPTH_MAX), 1).is_err());
    }

    #[test]
    fn wide_integers_and_single_floats_survive() {
        assert_eq!(round_trip(place, &u128::MAX).unwrap().1, u128::MAX);
        assert_eq!(
            round_trip(place, &0.1_f32).unwrap().1.to_bits(),
            0.1_f32.to_bits()
        );
    }

    #[test]
    fn a_float_reads_back_as_it_is() {
        for float in [
            117.633_311_394_000_17,
            9_007_199_254_740_991.0,
            -0.0,
            5e-324,
        ] {
            let read: f64 = round_trip(place, &float).unwrap().1;
            assert_eq!(read.to_bits(), f64::to_bits(float));
        }
    }
}
