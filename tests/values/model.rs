//! What must become of a value, told without the engine.

use crate::kinds::{Shaped, read_as};

/// The most bytes of JSON that a value may have here.
pub(crate) const VALUE_BYTES_MAX: usize = 64 << 10;

/// The most bytes of JSON that an entry of the context may have.
pub(crate) const ENTRY_BYTES_MAX: usize = 16 << 10;

/// What a place does with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It reads back like this.
    Kept(String),
    /// It is refused by name.
    Refused,
}

/// A value as a test tells it: floats differ by their sign, too, and NaN is itself.
pub(crate) fn told(value: &Shaped) -> String {
    format!("{value:?}")
}

/// The fate of a value where so many bytes have room, read back on this thread.
pub(crate) fn fate(value: &Shaped, bytes_max: usize) -> Fate {
    let read = |text: &str| serde_json::from_str(text);
    fate_by(value, bytes_max, read)
}

/// As [`fate`], where the value stands within an object. That reads one level less.
pub(crate) fn fate_within(value: &Shaped, bytes_max: usize) -> Fate {
    let read = |text: &str| serde_json::from_str(&format!("[{text}]")).map(|(read,)| read);
    fate_by(value, bytes_max, read)
}

fn fate_by(
    value: &Shaped,
    bytes_max: usize,
    read: impl FnOnce(&str) -> serde_json::Result<Shaped>,
) -> Fate {
    let Ok(text) = serde_json::to_string(value) else {
        return Fate::Refused;
    };
    read_as(value.kind());
    let Ok(read) = read(&text) else {
        return Fate::Refused;
    };
    let (read, meant) = (told(&read), told(value));
    let is_kept = read == meant || value.kind().is_documented_as_lossy();
    match is_kept && text.len() <= bytes_max {
        true => Fate::Kept(read),
        false => Fate::Refused,
    }
}

/// As an argument.
pub(crate) fn fate_of_argument(value: &Shaped) -> Fate {
    let around = format!("{{\"kind\":\"{:?}\",\"value\":}}", value.kind());
    fate_within(value, VALUE_BYTES_MAX - around.len())
}

/// As an entry of the context.
pub(crate) fn fate_of_entry(value: &Shaped) -> Fate {
    fate_within(value, ENTRY_BYTES_MAX)
}

/// As a token. One that is `null` would stand for the place where there is none.
pub(crate) fn fate_of_token(value: &Shaped) -> Fate {
    match serde_json::to_string(value).as_deref() {
        Ok("null") => Fate::Refused,
        _ => fate_within(value, VALUE_BYTES_MAX - "{\"token\":,\"n\":1}".len()),
    }
}

/// Whether only its type tells that it does not read back.
pub(crate) fn is_unreadable(value: &Shaped) -> bool {
    read_as(value.kind());
    let text = serde_json::to_string(value);
    text.is_ok_and(|text| serde_json::from_str::<Shaped>(&text).is_err())
}
