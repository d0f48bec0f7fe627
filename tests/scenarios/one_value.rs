//! The first pass and every replay see one value, on both databases.

use std::collections::{HashMap, HashSet};

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use serde_json::json;

/// What was noted by one pass, and by the replay after its wait.
async fn said_twice(world: &World, key: &str) -> Vec<String> {
    world.settle(key).await;
    assert_eq!(world.rows().run(key).state, COMPLETED);
    let said = world.probe.log();
    let (first, again) = said.split_at(said.len() / 2);
    assert_eq!(first, again);
    first.to_vec()
}

#[workflow]
async fn nulls(cx: Context, probe: State<Probe>) -> Result<()> {
    step!("write", {
        cx.set("coupon", &None::<String>)?;
        cx.set("unit", &())?;
        cx.set("gone", &1)?;
        Ok(())
    })
    .await?;
    let there = (cx.contains("coupon"), cx.contains("unit"));
    let wrote = cx.set_once("coupon", "late")?;
    let coupon: Option<Option<String>> = cx.get("coupon")?;
    probe.note(format!("{there:?} {wrote} {}", coupon.is_some()));
    step!("remove", {
        cx.set("kept", &None::<u32>)?;
        Ok(cx.remove("gone"))
    })
    .await?;
    probe.note(format!("{} {}", cx.contains("gone"), cx.contains("kept")));
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn an_entry_whose_value_is_null_is_an_entry_and_a_removal_is_none(world: &World) {
    let forge = world.forge([nulls::NAME]).await;
    let run = forge.start("k", nulls()).await.unwrap();
    let said = said_twice(world, "k").await;
    assert_eq!(said, ["(true, true) false true", "false true"]);
    let kept = json!({"coupon": null, "unit": null, "kept": null});
    assert_eq!(run.context().await.unwrap(), kept);
}

#[workflow]
async fn null_of_a_tick(cx: Context, probe: State<Probe>) -> Result<()> {
    repeat!(
        "poll",
        every = secs(60),
        until = { Ok(cx.contains("second")) },
        |_tick| {
            let name = if cx.contains("first") {
                "second"
            } else {
                "first"
            };
            cx.set(name, &None::<u32>)?;
            Ok(())
        }
    )
    .await?;
    probe.note(format!(
        "{} {}",
        cx.contains("first"),
        cx.contains("second")
    ));
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_ticks_set_to_null_is_there_after_the_repeat(world: &World) {
    let forge = world.forge([null_of_a_tick::NAME]).await;
    forge.start("k", null_of_a_tick()).await.unwrap();
    assert_eq!(said_twice(world, "k").await, ["true true"]);
}

#[workflow]
async fn null_of_a_block(cx: Context, probe: State<Probe>) -> Result<()> {
    branch!("b", automerge = true, {
        step!("inside", { Ok(cx.set("inside", &())?) }).await?;
        cx.set("block", &())?;
    })
    .await?;
    probe.note(format!(
        "{} {}",
        cx.contains("inside"),
        cx.contains("block")
    ));
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_a_block_sets_to_null_is_there_after_it(world: &World) {
    let forge = world.forge([null_of_a_block::NAME]).await;
    forge.start("k", null_of_a_block()).await.unwrap();
    assert_eq!(said_twice(world, "k").await, ["true true"]);
}

#[scenario]
async fn a_delta_that_nobody_can_read_is_told_by_its_place(world: &World) {
    let forge = world.forge([nulls::NAME]).await;
    let run = forge.start("k", nulls()).await.unwrap();
    world.parked("k").await;
    let spoil = "UPDATE chrono_forge_execution_logs SET context_delta = '[7]' WHERE step_name = 'step$write'";
    assert_eq!(world.rows().edit(spoil, &[]), 1);
    world.clock.advance(secs(2));
    let error = run.result().await.unwrap_err().to_string();
    assert!(
        error.contains("step!(\"write\")") && error.contains("entries of the context"),
        "{error}"
    );
}

/// Written with 17 digits that a fast parser misreads by one.
const PRICE: f64 = 117.633_311_394_000_17;

#[workflow]
async fn floats(cx: Context, given: f64) -> Result<Vec<bool>> {
    let step = step!("price", { Ok(PRICE) }).await?;
    step!("note", { Ok(cx.set("price", &PRICE)?) }).await?;
    let noted: Option<f64> = cx.get("price")?;
    wait!("pause", secs(1)).await;
    Ok(vec![given == PRICE, step == PRICE, noted == Some(PRICE)])
}

#[scenario]
async fn a_float_is_the_same_number_wherever_it_was_stored(world: &World) {
    let forge = world.forge([floats::NAME]).await;
    let run = forge.start("k", floats(PRICE)).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), [true; 3]);
}

#[workflow]
async fn hashed(map: HashMap<String, u32>, set: HashSet<u32>) -> Result<(usize, usize)> {
    let map = step!("map", { Ok(map.clone()) }).await?;
    let set = step!("set", { Ok(set.clone()) }).await?;
    wait!("pause", secs(1)).await;
    Ok((map.len(), set.len()))
}

#[scenario]
async fn a_value_whose_text_has_no_fixed_order_is_stored_as_any(world: &World) {
    let forge = world.forge([hashed::NAME]).await;
    let map = (0..50).map(|n| (format!("key-{n}"), n)).collect();
    let run = forge.start("k", hashed(map, (0..50).collect())).await;
    world.settle("k").await;
    assert_eq!(run.unwrap().result().await.unwrap(), (50, 50));
}

#[workflow]
async fn loud(probe: State<Probe>, text: String) -> Result<()> {
    let fails = step!("shout", retry = RetryPolicy::none(), {
        Err::<(), _>(anyhow::anyhow!("{}", text.repeat(100_000)))
    });
    let error = fails.await.unwrap_err();
    let cut: String = error.message.chars().take(4).collect();
    probe.note(format!("{cut:?} {}", error.message.len()));
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn the_text_of_an_error_is_final_before_the_body_sees_it(world: &World) {
    let forge = world.forge([loud::NAME]).await;
    forge.start("k", loud("é\0".to_owned())).await.unwrap();
    let said = said_twice(world, "k").await;
    assert_eq!(said, ["\"é\u{fffd}é\u{fffd}\" 65534"]);
    let record = world.rows().record("k", "step$shout");
    let error = world.rows().errors("k").remove(0);
    assert_eq!(record.error_message.unwrap().len(), 65_534);
    assert_eq!(error.message.len(), 65_534);
}

/// Every order of writes to one entry in one attempt, behind an attempt that failed.
#[workflow]
async fn mixed_writes(cx: Context, probe: State<Probe>) -> Result<()> {
    cx.set_all([("kept", 1), ("set", 1), ("gone", 1), ("made", 1)])?;
    step!("write", retry = RetryPolicy::new().jitter(false), {
        if probe.nth("attempt") == 1 {
            assert!(cx.remove("kept") && cx.remove("made"));
            cx.update("lost", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            cx.set("gone", &7)?;
            anyhow::bail!("the first attempt");
        }
        anyhow::ensure!(cx.contains("kept") && !cx.contains("lost"));
        cx.set("set", &10)?;
        cx.update("set", |n: Option<u32>| n.unwrap_or(0) + 1)?;
        cx.update("updated", |n: Option<u32>| n.unwrap_or(0) + 1)?;
        cx.set("updated", &20)?;
        anyhow::ensure!(cx.remove("gone") && !cx.remove("gone"));
        cx.update("made", |n: Option<u32>| n.unwrap_or(0) + 1)?;
        anyhow::ensure!(cx.remove("made"));
        cx.update("made", |n: Option<u32>| n.map_or(5, |_| 0))?;
        cx.set("never", &1)?;
        anyhow::ensure!(cx.remove("never"));
        Ok(())
    })
    .await?;
    let entry = |key: &str| cx.get::<u32>(key);
    for key in ["kept", "set", "updated", "gone", "made", "never", "lost"] {
        probe.note(format!("{key} {:?}", entry(key)?));
    }
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn writes_of_one_attempt_count_in_their_order_and_those_of_a_lost_one_never(world: &World) {
    let forge = world.forge([mixed_writes::NAME]).await;
    let run = forge.start("k", mixed_writes()).await.unwrap();
    world.settle("k").await;
    assert_eq!(world.rows().run("k").state, COMPLETED);
    let said: Vec<String> = world.probe.log();
    let said: Vec<&str> = said
        .iter()
        .map(|it| &**it)
        .filter(|it| it.contains('(') || it.contains("None"))
        .collect();
    let expected = [
        "kept Some(1)",
        "set Some(11)",
        "updated Some(20)",
        "gone None",
        "made Some(5)",
        "never None",
        "lost None",
    ];
    assert_eq!(said, [expected, expected].concat());
    let left = json!({"kept": 1, "set": 11, "updated": 20, "made": 5});
    assert_eq!(run.context().await.unwrap(), left);
}
