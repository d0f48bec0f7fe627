//! File names without loss: as text in the database, as `sha256sum` writes them in the manifest.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `%` itself, so that the text reads back; the rest of ASCII stays legible.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// A path as its bytes, ordered by them. A name need not be UTF-8 and JSON must be, so it is stored
/// percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(Vec<u8>);

impl Name {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn of(path: &(impl AsRef<OsStr> + ?Sized)) -> Self {
        Self(path.as_ref().as_encoded_bytes().to_vec())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_os(&self) -> OsString {
        os_string(&self.0)
    }

    /// As it is stored: ASCII on one line, without loss.
    pub(crate) fn encoded(&self) -> String {
        percent_encode(&self.0, ESCAPED).to_string()
    }

    /// For messages: one line, whatever the name contains.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let escape = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        text.chars().map(escape).collect()
    }
}

/// Shows any path on one line.
pub(crate) fn shown(path: &Path) -> String {
    Name::of(path).shown()
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

/// Elsewhere a name that is not Unicode is not found again, and so is reported as unreadable.
#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encoded())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(percent_decode_str(&text).collect()))
    }
}

/// A line of the manifest. A name with a backslash, newline or carriage return is escaped, and the
/// line begins with a backslash to say so.
pub(crate) fn line(sum: &str, name: &Name) -> Vec<u8> {
    let mut line = Vec::with_capacity(sum.len() + name.0.len() + 4);
    if name.0.iter().any(|byte| b"\\\n\r".contains(byte)) {
        line.push(b'\\');
    }
    line.extend_from_slice(sum.as_bytes());
    line.extend_from_slice(b"  ");
    for byte in &name.0 {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_the_database() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [b"%41 ".to_vec(), "größe".into(), all] {
            let name = Name::new(bytes);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
        }
        assert_eq!(
            serde_json::to_string(&Name::of("a b%")).unwrap(),
            r#""a b%25""#
        );
    }

    #[test]
    fn lines_are_escaped_as_sha256sum_does() {
        let escaped = |name: &str| String::from_utf8(line("00", &Name::of(name))).unwrap();
        assert_eq!(escaped("a b"), "00  a b\n");
        assert_eq!(escaped("a\\b"), "\\00  a\\\\b\n");
        assert_eq!(escaped("a\nb\rc"), "\\00  a\\nb\\rc\n");
    }
}
