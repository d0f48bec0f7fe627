//! `step!`: keys, values, bodies.

use std::collections::BTreeMap;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use serde::{Deserialize, Serialize};

async fn charge(cents: u64) -> Result<u64> {
    Ok(cents)
}

struct Till;

impl Till {
    async fn count(&self, cents: u64) -> Result<u64> {
        Ok(cents)
    }
}

#[workflow]
async fn keys(who: String) -> Result<u64> {
    let till = Till;
    let mut sum = step!(charge(1)).await?;
    sum += step!(till.count(2)).await?;
    for i in 0..2 {
        sum += step!("item-{i}", { Ok(i) }).await?;
    }
    sum += step!("for-{who}", charge(4)).await?;
    let computed = format!("computed-{}", who.len());
    sum += step!(computed, async { Ok::<_, std::io::Error>(8) }).await?;
    Ok(sum)
}

#[scenario]
async fn a_key_is_the_function_s_name_or_what_is_written_with_its_captures(world: &World) {
    let forge = world.forge([keys::NAME]).await;
    let run = forge.start("k", keys("ada".into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 16);
    let names: Vec<_> = world.rows().order("k");
    assert_eq!(
        names,
        [
            "step$charge",
            "step$count",
            "step$item-0",
            "step$item-1",
            "step$for-ada",
            "step$computed-3"
        ]
    );
}

#[derive(Debug, Serialize, Deserialize)]
struct Lossy {
    kept: u32,
    #[serde(skip)]
    lost: u32,
}

/// Its text tells no variant: it reads as the first that fits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Narrow(u32),
    Wide(u64),
}

#[workflow]
async fn decoded(probe: State<Probe>) -> Result<u32> {
    let value = step!("lossy", { Ok(Lossy { kept: 1, lost: 1 }) }).await?;
    probe.note(format!("kept {} lost {}", value.kept, value.lost));
    let second = step!("untagged", { Ok(Untagged::Wide(7)) }).await?;
    probe.note(format!("{second:?}"));
    wait!("pause", secs(1)).await;
    Ok(value.lost)
}

#[scenario]
async fn the_first_pass_gets_the_decoded_value_as_every_replay_does(world: &World) {
    let forge = world.forge([decoded::NAME]).await;
    forge.start("k", decoded()).await.unwrap();
    world.settle("k").await;
    let said = ["kept 1 lost 0", "Narrow(7)"];
    assert_eq!(world.probe.log(), [said, said].concat());
}

#[workflow]
async fn wide() -> Result<(u128, f32, BTreeMap<String, Vec<u8>>)> {
    let n = step!("u128", { Ok(u128::MAX) }).await?;
    let f = step!("f32", { Ok(0.1_f32) }).await?;
    let map = step!("map", {
        Ok(BTreeMap::from([("a$b\"\u{0}é".to_owned(), vec![0, 255])]))
    });
    Ok((n, f, map.await?))
}

#[scenario]
async fn wide_integers_single_floats_and_odd_text_survive(world: &World) {
    let forge = world.forge([wide::NAME]).await;
    let run = forge.start("k", wide()).await.unwrap();
    let (n, f, map) = run.result().await.unwrap();
    assert_eq!((n, f.to_bits()), (u128::MAX, 0.1_f32.to_bits()));
    assert_eq!(map["a$b\"\u{0}é"], [0, 255]);
}

#[workflow]
async fn large(bytes: usize) -> Result<usize> {
    let text = step!("text", { Ok("x".repeat(bytes)) }).await?;
    let small = step!("small", { Ok("y".to_owned()) }).await?;
    wait!("pause", secs(1)).await;
    Ok(text.len() + small.len())
}

#[scenario]
async fn a_large_result_is_read_back_when_it_is_delivered(world: &World) {
    let forge = world.forge([large::NAME]).await;
    let run = forge.start("k", large(2_000_000)).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 2_000_001);
}

#[workflow]
async fn business(amount: u32) -> Result<Result<String, String>> {
    let outcome: Result<String, String> = step!("charge", {
        Ok(if amount > 10 {
            Err("declined".to_owned())
        } else {
            Ok("charged".to_owned())
        })
    })
    .await?;
    Ok(outcome)
}

#[scenario]
async fn an_outcome_that_is_business_is_a_value_without_error_rows(world: &World) {
    let forge = world.forge([business::NAME]).await;
    let run = forge.start("k", business(11)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), Err("declined".to_owned()));
    assert!(world.rows().errors("k").is_empty());
}

#[workflow]
async fn in_a_vec() -> Result<u32> {
    let numbers = [0, 1, 2, 3, 4];
    let mut steps: Vec<chrono_forge::Step<'_, u32>> = Vec::new();
    for i in &numbers {
        steps.push(step!("n{i}", { Ok(*i) }));
    }
    let mut sum = 0;
    for one in steps {
        sum += one.await?;
    }
    Ok(sum)
}

#[scenario]
async fn operations_are_values_that_fit_in_a_vector(world: &World) {
    let forge = world.forge([in_a_vec::NAME]).await;
    let run = forge.start("k", in_a_vec()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
}
