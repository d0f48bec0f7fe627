use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::encode;

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
