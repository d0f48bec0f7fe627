//! Values that cannot be stored, or are too large.

use std::collections::BTreeMap;

use chrono_forge::prelude::*;
use chrono_forge::{ContextError, Error};
use chrono_forge_tests::scenario::{Probe, World, scenario};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{breaks_a_rule, healthy, serves_on};

/// Encodes as text, decodes as a number.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OneWay {
    #[serde(serialize_with = "as_text")]
    n: u32,
}

fn as_text<S: serde::Serializer>(n: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&n.to_string())
}

#[workflow]
async fn unstorable(probe: State<Probe>, what: String) -> Result<f64> {
    probe.note("body");
    match what.as_str() {
        "nan" => {
            step!("nan", {
                probe.note("step");
                Ok(f64::NAN)
            })
            .await?;
        }
        "some none" => {
            step!("some", { Ok(Some(None::<u32>)) }).await?;
        }
        "some unit" => {
            branch!("grp", automerge = true, { Some(()) }).await?;
        }
        "map" => {
            step!("map", { Ok(BTreeMap::from([((1, 2), 3)])) }).await?;
        }
        "one way" => {
            step!("one-way", { Ok(OneWay { n: 1 }) }).await?;
        }
        "block" => {
            branch!("grp", automerge = true, { f64::NAN }).await?;
        }
        "child" => {
            branch!("grp", automerge = true, {
                spawn!("x", takes(OneWay { n: 1 }));
            })
            .await?;
        }
        "children" => {
            branch!("grp", automerge = true, {
                spawn_each!("x", [1], |n| takes(OneWay { n }));
            })
            .await?;
        }
        "output" => return Ok(f64::NAN),
        _ => {}
    }
    Ok(1.0)
}

#[workflow]
async fn takes(value: OneWay) -> Result<u32> {
    Ok(value.n)
}

#[scenario]
async fn a_value_that_does_not_read_back_fails_the_run_at_once(world: &World) {
    let forge = world.forge([unstorable::NAME, healthy::NAME]).await;
    let cases = [
        (
            "nan",
            "step!(\"nan\"): a value of type `f64` cannot be stored",
        ),
        (
            "some none",
            "`Some` is around a value that JSON writes as `null`",
        ),
        ("some unit", "branch!(\"grp\")"),
        ("map", "cannot be stored"),
        ("one way", "OneWay"),
        ("block", "branch!(\"grp\")"),
        ("child", "spawn!(\"x\") of takes"),
        ("children", "spawn!(\"x\") of takes"),
        ("output", "the output of `unstorable`"),
    ];
    for (n, (what, text)) in cases.into_iter().enumerate() {
        forge.start(what, unstorable(what.into())).await.unwrap();
        breaks_a_rule(world, &forge, what, text).await;
        assert_eq!(world.probe.count("body"), n + 1, "never retried");
    }
    assert_eq!(world.probe.count("step"), 1);
}

/// `null` fits its first variant.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Measured {
    Missing,
    Value(f64),
}

/// So many arrays within each other.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[workflow]
async fn bad_entries(cx: Context) -> Result<()> {
    let refused = [
        cx.set("nan", &f64::NAN),
        cx.set("list", &[1.0, f64::INFINITY]),
        cx.set_all([("untagged", Measured::Value(f64::NAN))]),
        cx.set("deep", &nested(127)),
        cx.update("one way", |_: Option<OneWay>| OneWay { n: 1 })
            .map(|_| ()),
    ];
    for refused in refused {
        let is_named = matches!(refused, Err(ContextError::Unstorable { .. }));
        anyhow::ensure!(is_named, "{refused:?}");
    }
    Ok(cx.set("as deep as it may be", &nested(126))?)
}

#[scenario]
async fn an_entry_that_cannot_read_back_is_refused_when_it_is_written(world: &World) {
    let forge = world.forge([bad_entries::NAME]).await;
    let run = forge.start("k", bad_entries()).await.unwrap();
    run.result().await.unwrap();
    let context = run.context().await.unwrap();
    assert_eq!(context.as_object().unwrap().len(), 1);
}

#[workflow]
async fn deep_token(probe: State<Probe>, levels: usize) -> Result<usize> {
    let children = branch!("b", automerge = true, {
        let fetch = async |token: Option<Value>| {
            probe.note("page");
            let next = token.is_none().then(|| nested(levels));
            Ok((vec![1.0], next))
        };
        spawn_each!("c", pages(fetch), |n| measures(Measured::Value(n)))
    })
    .await?;
    Ok(children.len())
}

#[workflow]
async fn measures(value: Measured) -> Result<Measured> {
    Ok(value)
}

#[scenario]
async fn a_token_that_its_cursor_cannot_hold_is_refused_before_a_child_is_dispatched(
    world: &World,
) {
    let names = [deep_token::NAME, measures::NAME, healthy::NAME];
    let forge = world.forge(names).await;
    let fits = forge.start("fits", deep_token(126)).await.unwrap();
    assert_eq!(fits.result().await.unwrap(), 2);
    forge.start("k", deep_token(127)).await.unwrap();
    breaks_a_rule(world, &forge, "k", "nests deeper than 127 levels").await;
    assert!(world.rows().children("k").is_empty());
}

#[workflow]
async fn optional(value: Option<Option<u32>>) -> Result<bool> {
    Ok(value.is_some())
}

#[workflow]
async fn sized(what: String, bytes: usize, _padding: String) -> Result<String> {
    let text = "x".repeat(bytes);
    match what.as_str() {
        "step" => {
            step!("large", { Ok(text.clone()) }).await?;
        }
        "child" => {
            branch!("grp", automerge = true, {
                spawn!("x", sized(String::new(), 0, text.clone()));
            })
            .await?;
        }
        "block" => {
            branch!("grp", automerge = true, { text.clone() }).await?;
        }
        "output" => return Ok(text),
        _ => {}
    }
    Ok(String::new())
}

#[scenario]
async fn a_value_over_the_limit_fails_the_run_and_names_limit_and_remedy(world: &World) {
    let builder = world
        .builder([sized::NAME, healthy::NAME])
        .payload_bytes_max(10_000);
    let forge = builder.open().await.unwrap();
    for what in ["step", "child", "block", "output"] {
        let fits = format!("{what} fits");
        forge
            .start(&fits, sized(what.into(), 9_000, String::new()))
            .await
            .unwrap();
        assert_eq!(world.settle(&fits).await.state, 2, "{what}");
        forge
            .start(what, sized(what.into(), 10_000, String::new()))
            .await
            .unwrap();
        breaks_a_rule(world, &forge, what, "exceed the limit of 10000 bytes").await;
    }
}

#[scenario]
async fn bad_arguments_are_a_typed_error_of_start_and_nothing_is_written(world: &World) {
    let builder = world.builder([
        sized::NAME,
        takes::NAME,
        optional::NAME,
        measures::NAME,
        healthy::NAME,
    ]);
    let forge = builder.payload_bytes_max(10_000).open().await.unwrap();
    let error = forge.start("k", takes(OneWay { n: 1 })).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Arguments {
                workflow: "takes",
                ..
            }
        ),
        "{error}"
    );
    let unmeasured = measures(Measured::Value(f64::NAN));
    let error = forge.start("k", unmeasured).await.unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
    let error = forge.start("k", optional(Some(None))).await.unwrap_err();
    assert!(error.to_string().contains("`Some` is around"), "{error}");
    let large = sized(String::new(), 0, "x".repeat(10_000));
    let error = forge.start("k", large).await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 10_000, .. }),
        "{error}"
    );
    assert!(world.rows().find("k").is_none());
    serves_on(&forge, "args").await;
}
