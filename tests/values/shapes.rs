//! Types of every shape that serde knows.

use std::collections::BTreeMap;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unit;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Newtype<T>(pub(crate) T);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Transparent<T> {
    pub(crate) inner: T,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tuple(pub(crate) u64, pub(crate) i128, pub(crate) Option<()>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EmptyTuple();

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EmptyNamed {}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Named {
    pub(crate) a_number: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) may_be_left_out: Option<String>,
    pub(crate) nested: Option<Option<u8>>,
    pub(crate) nothing: (),
    #[serde(default)]
    pub(crate) list: Vec<Option<char>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Plain {
    First,
    #[serde(rename = "null")]
    Null,
    Third,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum External {
    Nothing,
    Nullary(),
    Empty {},
    One(Option<u64>),
    Wide(u128),
    Pair(f64, Option<Option<String>>),
    Fields {
        text: String,
        more: Box<Option<Self>>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Internal {
    Nothing,
    Fields { single: f32, float: f64, wide: i128 },
    Inner(Newtyped),
    Keyed { of: BTreeMap<String, i64> },
    Maybe { value: Option<Option<i8>> },
}

/// What an internal tag can stand in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Newtyped {
    pub(crate) text: String,
    pub(crate) unit: (),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
pub(crate) enum Adjacent {
    Nothing,
    Unit(()),
    One(Option<String>),
    Pair(u64, i128),
    Fields { float: f64 },
}

/// No text fits two of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Nothing,
    Truth(bool),
    Whole(i64),
    Text(String),
    Pair(f64, f64),
    Fields { float: f64 },
    Other { list: Vec<Self> },
}

/// What is not finite has no text, and `null` fits another variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Measured {
    Missing,
    Value(f64),
}

/// Some texts fit two of these: the guide on determinism names this case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ambiguous {
    Small(u8),
    Large(u64),
    Lossy(f32),
    Symbol(char),
    Text(String),
}

/// The guide on determinism names these cases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Skipping {
    pub(crate) kept: u8,
    #[serde(skip)]
    #[expect(dead_code, reason = "tests tell values by their `Debug`")]
    pub(crate) skipped: u8,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flat {
    pub(crate) own: u64,
    #[serde(flatten)]
    pub(crate) inner: Newtyped,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, f64>,
}

/// The guide on determinism names this case: an absent part reads as one whose fields are absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FlatOption {
    #[serde(flatten)]
    pub(crate) part: Option<Part>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) of_part: Option<u8>,
}

/// As deep as it is long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chain(pub(crate) Vec<Self>);

impl Chain {
    pub(crate) fn of(links: usize) -> Self {
        (1..links).fold(Self(Vec::new()), |inner, _| Self(vec![inner]))
    }
}

/// Written by `serialize_bytes`.
#[derive(Clone, Debug)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Octets;
        impl<'de> Visitor<'de> for Octets {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Octets)
    }
}
