//! Random values of all shapes under one type, whose text is that of the shape alone.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::shapes::*;

thread_local! {
    /// The shape that is read next on this thread.
    static READ_AS: Cell<Option<Kind>> = const { Cell::new(None) };
}

/// From here on values are read as of this kind on this thread.
pub(crate) fn read_as(kind: Kind) {
    READ_AS.set(Some(kind));
}

/// The future, which reads values of this kind whenever it is polled.
pub(crate) fn reading<F: Future>(kind: Kind, future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        read_as(kind);
        future.as_mut().poll(cx)
    })
}

/// What stands before a value in JSON and tells how it is read.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ReadAs(pub(crate) Kind);

impl<'de> Deserialize<'de> for ReadAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = Kind::deserialize(deserializer)?;
        read_as(kind);
        Ok(Self(kind))
    }
}

/// Values of a case, at most.
const VALUES_MAX: usize = 60;

macro_rules! kinds {
    ($($kind:ident($type:ty) = $values:expr,)*) => {
        /// A shape.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum Kind { $($kind,)* }

        /// A value of some shape.
        #[derive(Clone, Debug)]
        pub(crate) enum Shaped { $($kind($type),)* }

        impl Shaped {
            pub(crate) fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }
        }

        impl Serialize for Shaped {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$kind(value) => value.serialize(serializer),)* }
            }
        }

        impl<'de> Deserialize<'de> for Shaped {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match READ_AS.get().expect("a kind was said on this thread") {
                    $(Kind::$kind => <$type>::deserialize(deserializer).map(Self::$kind),)*
                }
            }
        }

        /// Values of all kinds.
        pub(crate) fn some() -> impl Strategy<Value = Vec<Shaped>> {
            let any = proptest::strategy::Union::new([
                $($values.prop_map(Shaped::$kind).boxed(),)*
            ]);
            vec(any, 1..=VALUES_MAX)
        }
    };
}

kinds! {
    Nothing(()) = Just(()),
    Truth(bool) = any::<bool>(),
    Small(i8) = any::<i8>(),
    Signed(i64) = edges(any::<i64>(), &[i64::MIN, i64::MAX, 0, 1 << 53, (1 << 53) + 1]),
    Unsigned(u64) = edges(any::<u64>(), &[u64::MAX, (1 << 63) + 1, (1 << 53) + 1]),
    WideSigned(i128) = wide_signed(),
    WideUnsigned(u128) = wide(),
    Single(f32) = singles(),
    Float(f64) = floats(),
    Symbol(char) = characters(),
    Text(String) = texts(),
    Long(String) = long_texts(),
    Maybe(Option<u32>) = option::of(any::<u32>()),
    MaybeMaybe(Option<Option<u32>>) = option::of(option::of(any::<u32>())),
    Thrice(Option<Option<Option<bool>>>) = option::of(option::of(option::of(any::<bool>()))),
    MaybeNothing(Option<()>) = option::of(Just(())),
    MaybeFloat(Option<f64>) = option::of(floats()),
    MaybeNewtype(Option<Newtype<Option<u8>>>) = option::of(option::of(any::<u8>()).prop_map(Newtype)),
    MaybeUnit(Option<Unit>) = option::of(Just(Unit)),
    Options(Vec<Option<Option<u8>>>) = vec(option::of(option::weighted(0.8, any::<u8>())), 0..4),
    Octets(Vec<u8>) = vec(any::<u8>(), 0..40),
    Binary(Bytes) = vec(any::<u8>(), 0..40).prop_map(Bytes),
    Floats(Vec<f64>) = vec(finite(), 0..60),
    NotAllFinite(Vec<f64>) = vec(floats(), 0..4),
    Array([i64; 3]) = any::<[i64; 3]>(),
    NoArray([u8; 0]) = Just([]),
    Empties(Vec<Vec<()>>) = vec(vec(Just(()), 0..3), 0..3),
    Tupled((i64, Option<f32>, String)) = (any::<i64>(), option::of(singles()), texts()),
    ByText(BTreeMap<String, f64>) = btree_map(texts(), finite(), 0..30),
    ByNumber(BTreeMap<i64, Option<String>>) = btree_map(any::<i64>(), option::of(texts()), 0..4),
    ByWide(BTreeMap<u128, ()>) = btree_map(wide(), Just(()), 0..4),
    BySymbol(BTreeMap<char, i128>) = btree_map(characters(), wide_signed(), 0..4),
    ByTruth(BTreeMap<bool, Plain>) = btree_map(any::<bool>(), plain(), 0..3),
    ByPlain(BTreeMap<Plain, u8>) = btree_map(plain(), any::<u8>(), 0..3),
    ByMaybe(BTreeMap<Option<String>, u8>) = btree_map(option::weighted(0.8, texts()), any::<u8>(), 0..3),
    ByPair(BTreeMap<(u8, u8), u8>) = btree_map(any::<(u8, u8)>(), any::<u8>(), 0..2),
    ByNested(BTreeMap<String, BTreeMap<String, Vec<()>>>)
        = btree_map(texts(), btree_map(texts(), vec(Just(()), 0..2), 0..3), 0..3),
    AUnit(Unit) = Just(Unit),
    ANewtype(Newtype<Newtype<f64>>) = floats().prop_map(Newtype).prop_map(Newtype),
    ATransparent(Transparent<Option<Option<u8>>>)
        = option::of(option::of(any::<u8>())).prop_map(|inner| Transparent { inner }),
    ATuple(Tuple) = (any::<u64>(), wide_signed(), option::weighted(0.2, Just(())))
        .prop_map(|(a, b, c)| Tuple(a, b, c)),
    NoTuple(EmptyTuple) = Just(EmptyTuple()),
    NoFields(EmptyNamed) = Just(EmptyNamed {}),
    Fields(Named) = named(),
    APlain(Plain) = plain(),
    AnExternal(External) = external(),
    AnInternal(Internal) = internal(),
    AnAdjacent(Adjacent) = adjacent(),
    AnUntagged(Untagged) = untagged(),
    AMeasured(Measured) = prop_oneof![Just(Measured::Missing), floats().prop_map(Measured::Value)],
    MaybeMeasured(Option<Measured>)
        = option::of(prop_oneof![Just(Measured::Missing), floats().prop_map(Measured::Value)]),
    AnAmbiguous(Ambiguous) = ambiguous(),
    ASkipping(Skipping) = any::<(u8, u8)>().prop_map(|(kept, skipped)| Skipping { kept, skipped }),
    AFlat(Flat) = flat(),
    AFlatOption(FlatOption) = option::of(option::of(any::<u8>()))
        .prop_map(|part| FlatOption { part: part.map(|of_part| Part { of_part }) }),
    Deep(Chain) = edges(1..140_usize, &[124, 125, 126, 127, 128, 129]).prop_map(Chain::of),
    Json(Value) = json(),
    MaybeJson(Option<Value>) = option::of(json()),
    Raw(Box<RawValue>) = raw(),
    MaybeRaw(Option<Box<RawValue>>) = option::of(raw()),
    Outcome(Result<u8, String>) = prop_oneof![any::<u8>().prop_map(Ok), texts().prop_map(Err)],
    Span(Duration) = any::<Duration>(),
    Address(IpAddr) = any::<IpAddr>(),
}

impl Kind {
    /// The guides say that such a value may read back as another one.
    pub(crate) fn is_documented_as_lossy(self) -> bool {
        matches!(
            self,
            Self::AnAmbiguous | Self::ASkipping | Self::AFlatOption
        )
    }
}

/// Any of these values, and often one of those.
fn edges<T: Clone + std::fmt::Debug + 'static, S: Strategy<Value = T> + 'static>(
    any: S,
    those: &[T],
) -> impl Strategy<Value = T> + use<T, S> {
    prop_oneof![any, proptest::sample::select(those.to_vec())]
}

fn wide() -> impl Strategy<Value = u128> {
    edges(any::<u128>(), &[0, u128::MAX, u128::from(u64::MAX) + 1])
}

fn wide_signed() -> impl Strategy<Value = i128> {
    let below = i128::from(i64::MIN) - 1;
    edges(
        any::<i128>(),
        &[0, -1, i128::MIN, i128::MAX, below, 1 << 64],
    )
}

fn finite() -> impl Strategy<Value = f64> {
    let classes = proptest::num::f64::NORMAL
        | proptest::num::f64::SUBNORMAL
        | proptest::num::f64::ZERO
        | proptest::num::f64::POSITIVE
        | proptest::num::f64::NEGATIVE;
    let told = [
        -0.0,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        1e21,
        0.3,
        1e-7,
    ];
    // Of a short fraction a fast parser misreads one in ten.
    prop_oneof![
        classes,
        0.0..1.0_f64,
        edges(any::<i32>().prop_map(f64::from), &told)
    ]
}

fn floats() -> impl Strategy<Value = f64> {
    let infinite = proptest::sample::select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY][..]);
    prop_oneof![8 => finite(), 1 => infinite]
}

fn singles() -> impl Strategy<Value = f32> {
    use proptest::num::f32 as any;
    let classes = any::NORMAL | any::SUBNORMAL | any::ZERO | any::POSITIVE | any::NEGATIVE;
    let told = [0.1, f32::MAX, -0.0, 1e-45, std::f32::consts::PI, f32::NAN];
    prop_oneof![8 => classes, 1 => proptest::sample::select(told.to_vec())]
}

fn characters() -> impl Strategy<Value = char> {
    let told = [
        '\0', '\u{1}', '\u{7f}', '"', '\\', '/', '\u{d7ff}', '\u{e000}', '\u{fffd}', '\u{ffff}',
    ];
    let wide = [
        '\u{10ffff}',
        '😀',
        '\u{2028}',
        '\u{feff}',
        'é',
        '\u{301}',
        '\n',
        '\u{85}',
    ];
    edges(any::<char>(), &[told.as_slice(), wide.as_slice()].concat())
}

fn texts() -> impl Strategy<Value = String> {
    let told = [
        "",
        "null",
        "$serde_json::private::Number",
        "-0",
        "{}",
        "\\u0000",
        "a\0b",
    ];
    let told = told.map(str::to_owned);
    edges(vec(characters(), 0..12).prop_map(String::from_iter), &told)
}

/// Around the limits of an entry (16 KiB of JSON) and of a value (64 KiB here).
fn long_texts() -> impl Strategy<Value = String> {
    let unit = proptest::sample::select(&["x", "é", "😀", "\0", "\n", "\""][..]);
    let bytes = prop_oneof![Just(16_usize << 10), Just(64 << 10), Just(4 << 10)];
    (unit, bytes, 0..6_usize).prop_map(|(unit, bytes, less)| {
        let written = serde_json::to_string(unit).unwrap().len() - 2;
        unit.repeat((bytes / written).saturating_sub(less))
    })
}

fn plain() -> impl Strategy<Value = Plain> {
    proptest::sample::select(&[Plain::First, Plain::Null, Plain::Third][..])
}

fn named() -> impl Strategy<Value = Named> {
    let nested = option::of(option::weighted(0.8, any::<u8>()));
    let list = vec(option::of(characters()), 0..3);
    let parts = (floats(), option::of(texts()), nested, list);
    parts.prop_map(|(a_number, may_be_left_out, nested, list)| Named {
        a_number,
        may_be_left_out,
        nested,
        nothing: (),
        list,
    })
}

fn external() -> impl Strategy<Value = External> {
    let pair = (floats(), option::of(option::weighted(0.8, texts())));
    let leaf = prop_oneof![
        Just(External::Nothing),
        Just(External::Nullary()),
        Just(External::Empty {}),
        option::of(any::<u64>()).prop_map(External::One),
        wide().prop_map(External::Wide),
        pair.prop_map(|(float, text)| External::Pair(float, text)),
    ];
    leaf.prop_recursive(3, 4, 1, |inner| {
        (texts(), option::of(inner)).prop_map(|(text, more)| External::Fields {
            text,
            more: Box::new(more),
        })
    })
}

fn internal() -> impl Strategy<Value = Internal> {
    let small = any::<i64>().prop_map(i128::from);
    let fields = (
        singles(),
        floats(),
        prop_oneof![3 => small, 1 => wide_signed()],
    );
    prop_oneof![
        Just(Internal::Nothing),
        fields.prop_map(|(single, float, wide)| Internal::Fields {
            single,
            float,
            wide
        }),
        texts().prop_map(|text| Internal::Inner(Newtyped { text, unit: () })),
        btree_map(texts(), any::<i64>(), 0..3).prop_map(|of| Internal::Keyed { of }),
        option::of(option::of(any::<i8>())).prop_map(|value| Internal::Maybe { value }),
    ]
}

fn adjacent() -> impl Strategy<Value = Adjacent> {
    prop_oneof![
        Just(Adjacent::Nothing),
        Just(Adjacent::Unit(())),
        option::of(texts()).prop_map(Adjacent::One),
        (any::<u64>(), wide_signed()).prop_map(|(a, b)| Adjacent::Pair(a, b)),
        floats().prop_map(|float| Adjacent::Fields { float }),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        Just(Untagged::Nothing),
        any::<bool>().prop_map(Untagged::Truth),
        any::<i64>().prop_map(Untagged::Whole),
        texts().prop_map(Untagged::Text),
        (floats(), floats()).prop_map(|(a, b)| Untagged::Pair(a, b)),
        floats().prop_map(|float| Untagged::Fields { float }),
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        vec(inner, 0..3).prop_map(|list| Untagged::Other { list })
    })
}

fn ambiguous() -> impl Strategy<Value = Ambiguous> {
    prop_oneof![
        any::<u8>().prop_map(Ambiguous::Small),
        any::<u64>().prop_map(Ambiguous::Large),
        singles().prop_map(Ambiguous::Lossy),
        characters().prop_map(Ambiguous::Symbol),
        texts().prop_map(Ambiguous::Text),
    ]
}

fn flat() -> impl Strategy<Value = Flat> {
    let rest = btree_map(
        prop_oneof![4 => texts(), 1 => Just("own".to_owned())],
        finite(),
        0..3,
    );
    (any::<u64>(), texts(), rest).prop_map(|(own, text, rest)| Flat {
        own,
        inner: Newtyped { text, unit: () },
        rest,
    })
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        floats().prop_map(Value::from),
        texts().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let entries = btree_map(texts(), inner.clone(), 0..3);
        prop_oneof![
            vec(inner, 0..3).prop_map(Value::Array),
            entries.prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// Text as somebody else wrote it.
fn raw() -> impl Strategy<Value = Box<RawValue>> {
    let told = [
        "null",
        "1E+400",
        "-0",
        "0.10",
        "{\"a\" :  1,\"a\":2}",
        "\"\\ud800\"",
        "[ ]",
        "{\n\t\"a\" :\r\n[1 ,\n2] }",
        "\"\\u0000\"",
        "123456789012345678901234567890.123456789012345678901234567890",
    ];
    let told = proptest::sample::select(told.to_vec()).prop_map(str::to_owned);
    let text = prop_oneof![told, json().prop_map(|value| value.to_string())];
    text.prop_map(|text| RawValue::from_string(text).unwrap())
}
