use std::collections::BTreeMap;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::{decode, encode};

fn refused<T: Serialize>(value: &T) -> String {
    encode(value).unwrap_err()
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Wrapped<T>(T);

#[derive(Serialize)]
enum Shape {
    Dot,
    Of(Option<Option<u32>>),
    Pair(u32, Option<()>),
    Named { inner: Option<Option<u32>> },
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn some_around_what_is_null_is_refused_wherever_it_is() {
    let nothing: Option<Option<u32>> = Some(None);
    let all = [
        refused(&nothing),
        refused(&Some(())),
        refused(&Some(Unit)),
        refused(&Some(Wrapped(Wrapped(None::<u32>)))),
        refused(&Some(Some(None::<u32>))),
        refused(&Some(serde_json::Value::Null)),
        refused(&Some(raw("null"))),
        refused(&[Some(Some(1)), Some(None)]),
        refused(&(1, nothing)),
        refused(&BTreeMap::from([("k", nothing)])),
        refused(&Wrapped(nothing)),
        refused(&Shape::Of(nothing)),
        refused(&Shape::Pair(1, Some(()))),
        refused(&Shape::Named { inner: nothing }),
    ];
    for problem in all {
        assert!(problem.contains("Some(None)"), "{problem}");
    }
}

#[test]
fn a_float_that_is_not_finite_is_refused_wherever_it_is() {
    let all = [
        refused(&f64::NAN),
        refused(&Some(f64::NAN)),
        refused(&Some(f32::INFINITY)),
        refused(&[1.0, f64::NEG_INFINITY]),
        refused(&Wrapped(Wrapped(f32::NAN))),
        refused(&BTreeMap::from([("k", f64::INFINITY)])),
    ];
    for problem in all {
        assert!(problem.contains("have no JSON"), "{problem}");
    }
}

/// Ends no sooner than it is refused.
struct Endless;

impl Serialize for Endless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(1))?;
        seq.serialize_element(self)?;
        seq.end()
    }
}

/// So many levels of one kind around nothing.
struct Levels(usize, usize);

#[derive(Serialize)]
enum Level {
    Newtype(Levels),
    Tuple(Levels, ()),
    Struct { inner: Levels },
}

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(less) = self.1.checked_sub(1) else {
            return serializer.serialize_unit();
        };
        let inner = Self(self.0, less);
        match self.0 {
            0 => [inner].serialize(serializer),
            1 => Wrapped(vec![inner]).serialize(serializer),
            2 => BTreeMap::from([("k", inner)]).serialize(serializer),
            3 => (inner, 1).serialize(serializer),
            4 => Level::Newtype(inner).serialize(serializer),
            5 => Level::Tuple(inner, ()).serialize(serializer),
            6 => Level::Struct { inner }.serialize(serializer),
            7 => Some(vec![inner]).serialize(serializer),
            _ => raw("1").serialize(serializer),
        }
    }
}

#[test]
fn what_nests_too_deeply_to_be_read_is_refused_and_nothing_else() {
    let stack = std::thread::Builder::new().stack_size(512 << 10);
    let endless = stack.spawn(|| refused(&Endless)).unwrap();
    let told = endless.join().unwrap();
    assert!(told.contains("nests deeper than 127 levels"), "{told}");
    for kind in 0..9 {
        for levels in 55..135 {
            let value = Levels(kind, levels);
            let text = serde_json::to_string(&value).unwrap();
            let reads = decode::<serde_json::Value>(&text).is_ok();
            assert_eq!(encode(&value).is_ok(), reads, "{kind} {levels}");
        }
    }
}

#[test]
fn everything_else_is_written_as_serde_json_writes_it() {
    fn same<T: Serialize>(value: &T) {
        let text = serde_json::to_string(value).unwrap();
        assert_eq!(&*encode(value).unwrap(), text);
    }
    same(&None::<Option<u32>>);
    same(&Some(Some(1)));
    same(&());
    same(&Unit);
    same(&Wrapped(Some(Wrapped("text"))));
    same(&(1_u8, -2_i64, u128::MAX, 'c', "s", [1.5, -0.0], true));
    same(&[Shape::Dot, Shape::Of(Some(Some(1))), Shape::Of(None)]);
    same(&[Shape::Pair(1, None), Shape::Named { inner: None }]);
    same(&BTreeMap::from([(7, Some("x"))]));
    same(&raw("{\"a\" : null}"));
    same(&Some(raw("[null]")));
    same(&raw("null"));
    same(&serde_json::json!({"a": null, "b": [null, 1.0]}));
    same(&Some(serde_json::json!({"a": null})));
    same(&std::net::IpAddr::from([127, 0, 0, 1]));
}
