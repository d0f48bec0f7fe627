//! The run's context: what is written, when it becomes durable, what a replay sees.

use chrono_forge::prelude::*;
use chrono_forge::{ContextError, StepError};
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, World, scenario};
use serde_json::json;

#[workflow]
async fn methods(cx: Context) -> Result<(String, bool, bool, u32)> {
    cx.set("hash", &json!({"a": 1, "b": [1.5, null, true, "hi"]}))?;
    let first = cx.set_once("once", "first")?;
    let second = cx.set_once("once", "second")?;
    cx.set_all([("x", 1), ("y", 2)])?;
    cx.set_all_once([("x", 9), ("z", 3)])?;
    let sum = cx.update("x", |x: Option<u32>| x.unwrap_or(0) + 10)?;
    assert!(cx.remove("y") && !cx.remove("y") && !cx.contains("y"));
    let missing = cx.fetch("missing", "default".to_owned())?;
    let mut read: Vec<u32> = cx.get("list")?.unwrap_or_default();
    read.push(1);
    assert_eq!(
        cx.get::<Vec<u32>>("list")?,
        None,
        "values are returned by value"
    );
    Ok((missing, first, second, sum))
}

#[scenario]
async fn entries_are_written_read_updated_and_removed(world: &World) {
    let forge = world.forge([methods::NAME]).await;
    let run = forge.start("k", methods()).await.unwrap();
    let given = run.result().await.unwrap();
    assert_eq!(given, ("default".to_owned(), true, false, 11));
    let hash = json!({"a": 1, "b": [1.5, null, true, "hi"]});
    let expected = json!({"hash": hash, "once": "first", "x": 11, "z": 3});
    assert_eq!(run.context().await.unwrap(), expected);
}

#[workflow]
async fn limits(cx: Context) -> Result<()> {
    let large = "x".repeat(16 << 10);
    assert!(matches!(
        cx.set("large", &large),
        Err(ContextError::TooLarge { .. })
    ));
    cx.set("fits", &"x".repeat((16 << 10) - 2))?;
    cx.set("kept", "old")?;
    let all = cx.set_all([("kept", "new"), ("large", large.as_str())]);
    assert!(all.is_err(), "all or none");
    cx.set_all_once([("kept", large.as_str()), ("other", "set")])?;
    let again = cx.set_all_once([("new", "set"), ("large", large.as_str())]);
    assert!(again.is_err(), "all or none");
    let unstorable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(
        cx.set("map", &unstorable),
        Err(ContextError::Unstorable { .. })
    ));
    assert!(matches!(
        cx.get::<u32>("kept"),
        Err(ContextError::Undecodable { .. })
    ));
    Ok(())
}

#[scenario]
async fn a_refused_entry_is_a_value_and_writes_nothing(world: &World) {
    let forge = world.forge([limits::NAME]).await;
    let run = forge.start("k", limits()).await.unwrap();
    run.result().await.unwrap();
    let context = run.context().await.unwrap();
    let keys: Vec<_> = context.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["fits", "kept", "other"]);
    assert_eq!(context["kept"], "old");
}

#[workflow]
async fn attempts(cx: Context, probe: State<Probe>) -> Result<()> {
    cx.set("body", "said")?;
    step!("write", retry = RetryPolicy::new().jitter(false), {
        let nth = probe.nth("write");
        cx.set(&format!("attempt-{nth}"), &nth)?;
        anyhow::ensure!(
            !cx.contains("attempt-1") || nth == 1,
            "a lost attempt's write is seen"
        );
        anyhow::ensure!(nth > 1, "first attempt");
        Ok(())
    })
    .await?;
    step!("crash", {
        cx.set("crashed", &true)?;
        probe.note("crash");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn an_entry_commits_with_its_step_and_a_lost_attempt_leaves_none(world: &World) {
    let forge = world.forge([attempts::NAME]).await;
    forge.start("k", attempts()).await.unwrap();
    world.parked("k").await;
    assert_eq!(world.rows().run("k").context, json!({"body": "said"}));
    world.clock.advance(secs(1));
    world.noted("crash", 1).await;
    world.until(|| world.rows().order("k").len() == 1).await;
    let row = world.rows().run("k");
    assert_eq!(row.state, RUNNING, "in the middle of a pass");
    assert_eq!(row.context, json!({"body": "said", "attempt-2": 2}));
    let delta = world.rows().record("k", "step$write").context_delta;
    assert_eq!(delta.as_deref(), Some(r#"{"attempt-2":2}"#));
    world.crash(&forge);
    drop(forge);
    assert_eq!(
        world.rows().run("k").context,
        json!({"body": "said", "attempt-2": 2})
    );
    world.probe.set("go", 1);
    let _forge = world.forge([attempts::NAME]).await;
    world.settle("k").await;
    let expected = json!({"body": "said", "attempt-2": 2, "crashed": true});
    assert_eq!(world.rows().run("k").context, expected);
    // The snapshot of the error shows what the attempt had written.
    let snapshot = world.rows().errors("k")[0].context.clone();
    assert_eq!(
        snapshot.as_deref(),
        Some(r#"{"attempt-1":1,"body":"said"}"#)
    );
}

#[workflow]
async fn no_future(cx: Context, probe: State<Probe>) -> Result<()> {
    probe.note(format!("{:?}", cx.get::<u32>("n")?));
    let n = cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
    step!("raise", { Ok(cx.set("n", &(n + 10))?) }).await?;
    probe.note(format!("{:?}", cx.get::<u32>("n")?));
    wait!("pause", secs(1)).await;
    cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 100)?;
    wait!("again", secs(1)).await;
    Ok(())
}

#[scenario]
async fn a_replay_recomputes_the_body_s_writes_and_never_sees_the_future(world: &World) {
    let forge = world.forge([no_future::NAME]).await;
    forge.start("k", no_future()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let pass = ["None", "Some(11)"];
    assert_eq!(world.probe.log(), [pass, pass, pass].concat());
    assert_eq!(world.rows().run("k").context, json!({"n": 111}));
}

#[workflow]
async fn failing(cx: Context) -> Result<String> {
    let gave_up: Result<(), StepError> = step!("fails", retry = RetryPolicy::none(), {
        cx.set("tried", &true)?;
        anyhow::bail!("no")
    })
    .await;
    wait!("pause", secs(1)).await;
    assert!(gave_up.is_err());
    Ok(format!("{:?}", cx.get::<bool>("tried")?))
}

#[scenario]
async fn a_step_that_gives_up_commits_what_its_last_attempt_wrote(world: &World) {
    let forge = world.forge([failing::NAME]).await;
    let run = forge.start("k", failing()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "Some(true)");
}

#[workflow]
async fn hoards(cx: Context) -> Result<(usize, usize)> {
    let fill = |until: &str| {
        (0..).find(|n| {
            let full = cx.set(&format!("{until}-{n}"), &"x".repeat(10_000));
            matches!(full, Err(ContextError::Full { limit: 100_000, bytes }) if bytes > 100_000)
        })
    };
    let in_step = step!("fill", { Ok(fill("step").unwrap()) }).await?;
    assert!(fill("body") == Some(0), "the body sees what the step wrote");
    // What takes the place of another entry needs no room beside it.
    step!("again", { Ok(cx.set("step-0", &"y".repeat(10_000))?) }).await?;
    assert!(cx.remove("step-0") && cx.remove("step-1"));
    Ok((in_step, fill("body").unwrap()))
}

#[scenario]
async fn all_entries_together_have_a_bound(world: &World) {
    let builder = world.builder([hoards::NAME]).context_bytes_max(100_000);
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", hoards()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), (9, 2));
    let context = run.context().await.unwrap().to_string();
    assert!(context.len() <= 100_000, "{}", context.len());
}

/// Each reads the entry before the other has written it.
async fn counts(cx: &Context, probe: &Probe, name: &str) -> Result<()> {
    tokio::task::yield_now().await;
    probe.note(name);
    cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
    cx.set(name, &true)?;
    tokio::task::yield_now().await;
    Ok(())
}

#[workflow]
async fn beside(cx: Context, probe: State<Probe>, tries: u32) -> Result<(bool, bool, u32)> {
    let policy = RetryPolicy::new().max_attempts(tries).jitter(false);
    let (a, b) = tokio::join!(
        step!("a", retry = policy.clone(), counts(&cx, &probe, "a")),
        step!("b", retry = policy.clone(), counts(&cx, &probe, "b")),
    );
    wait!("pause", secs(1)).await;
    Ok((a.is_ok(), b.is_ok(), cx.fetch("n", 0)?))
}

#[scenario]
async fn of_two_steps_that_update_one_entry_each_counts(world: &World) {
    let forge = world.forge([beside::NAME]).await;
    let run = forge.start("k", beside(3)).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), (true, true, 2));
    let context = json!({"a": true, "b": true, "n": 2});
    assert_eq!(run.context().await.unwrap(), context);
    let error = world.rows().errors("k").remove(0);
    assert!(error.class.ends_with("ContextError"), "{error:?}");
    assert!(error.message.contains("\"n\" was changed"), "{error:?}");
    assert_eq!(world.probe.log().len(), 3, "one of them began again");
}

#[scenario]
async fn an_update_that_came_too_late_writes_nothing_where_it_is_not_tried_again(world: &World) {
    let forge = world.forge([beside::NAME]).await;
    let run = forge.start("k", beside(1)).await.unwrap();
    world.settle("k").await;
    // Which of them ends first is for `join!` to say.
    let (a, b, n) = run.result().await.unwrap();
    assert_eq!((a ^ b, n), (true, 1));
    let first = if a { "a" } else { "b" };
    assert_eq!(run.context().await.unwrap(), json!({first: true, "n": 1}));
}

#[workflow]
async fn body_and_step(cx: Context) -> Result<u32> {
    let mut counting = Box::pin(step!("count", {
        let n = cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
        wait_a_little().await;
        Ok(n)
    }));
    tokio::select! {
        biased;
        n = &mut counting => { n?; }
        () = wait!("short", std::time::Duration::ZERO) => {
            cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 10)?;
            counting.await?;
        }
    }
    Ok(cx.fetch("n", 0)?)
}

async fn wait_a_little() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[scenario]
async fn what_the_body_updates_beside_a_step_counts_too(world: &World) {
    let forge = world.forge([body_and_step::NAME]).await;
    let run = forge.start("k", body_and_step()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 11);
}

#[workflow]
async fn key_of(cx: Context) -> Result<(String, String)> {
    Ok((cx.key().to_owned(), cx.workflow().to_owned()))
}

#[scenario]
async fn the_handle_knows_its_key_and_its_workflow(world: &World) {
    let forge = world.forge([key_of::NAME]).await;
    let run = forge.start("some key, é", key_of()).await.unwrap();
    let (key, workflow) = run.result().await.unwrap();
    assert_eq!((key.as_str(), workflow.as_str()), ("some key, é", "key_of"));
}

/// Tries keys that no entry may have, beside one that is as long as can be.
#[workflow]
async fn badly_named(cx: Context) -> Result<Vec<String>> {
    let longest = "k".repeat(1_024);
    let told = step!("write", {
        let mut told = Vec::new();
        for key in ["", " \n", "a\0b", &*format!("{longest}k")] {
            let refused = [
                cx.set(key, &1).unwrap_err(),
                cx.set_once(key, &1).unwrap_err(),
                cx.set_all([("beside", 1), (key, 1)]).unwrap_err(),
                cx.update(key, |n: Option<u32>| n.unwrap_or(0)).unwrap_err(),
            ];
            for error in refused {
                anyhow::ensure!(matches!(error, ContextError::BadKey { .. }), "{error}");
                told.push(error.to_string());
            }
        }
        cx.set(&longest, &7)?;
        Ok(told)
    })
    .await?;
    anyhow::ensure!(!cx.contains("beside"), "all or none");
    anyhow::ensure!(cx.fetch(&longest, 0)? == 7, "the longest key");
    Ok(told)
}

#[scenario]
async fn an_entry_has_no_key_that_is_empty_blank_or_too_long(world: &World) {
    let forge = world.forge([badly_named::NAME]).await;
    let run = forge.start("k", badly_named()).await.unwrap();
    let told = run.result().await.unwrap();
    let texts = [
        "is empty",
        "is blank",
        "null character",
        "longer than 1 KiB",
    ];
    for (nth, told) in told.iter().enumerate() {
        assert!(told.contains(texts[nth / 4]) && told.len() < 300, "{told}");
    }
    assert_eq!((told.len(), world.rows().run("k").state), (16, COMPLETED));
}

/// So many entries of so many bytes, a step each.
#[workflow]
async fn fills(cx: Context, entries: u32, bytes: usize) -> Result<()> {
    for n in 0..entries {
        step!("fill-{n}", {
            cx.set(&format!("e{n}"), &"x".repeat(bytes))?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What is written of a context with a step is what the step has written of it.
#[scenario]
async fn a_commit_writes_the_entries_that_have_changed_and_not_the_whole(world: &World) {
    let forge = world.forge([fills::NAME]).await;
    world
        .rows()
        .tally("chrono_forge_context", "length(new.value)");
    let run = forge.start("k", fills(20, 1_000)).await.unwrap();
    run.result().await.unwrap();
    let written = "SELECT sum(noted) FROM tally";
    assert_eq!(world.rows().number(written), 20 * 1_002);
    let of_row = "SELECT max(length(context)) FROM chrono_forge_workflows";
    assert_eq!(world.rows().number(of_row), 2, "`{{}}`");
    let context = run.context().await.unwrap();
    assert_eq!(context.as_object().unwrap().len(), 20);
}

/// Entries from before they had rows of their own, one of which is changed and one removed.
#[workflow]
async fn goes_on(cx: Context) -> Result<()> {
    step!("first", {
        cx.set_all([("kept", 1), ("changed", 1), ("removed", 1)])?;
        Ok(())
    })
    .await?;
    wait!("deploy", hours(1)).await;
    step!("second", {
        cx.set("changed", &2)?;
        cx.remove("removed");
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario]
async fn entries_that_a_row_has_from_before_are_seen_until_they_change(world: &World) {
    let forge = world.forge([goes_on::NAME]).await;
    let run = forge.start("k", goes_on()).await.unwrap();
    world.parked("k").await;
    let all = json!({"changed": 1, "kept": 1, "removed": 1});
    assert_eq!(run.context().await.unwrap(), all);
    // As an older build has left it.
    let into_row = format!("UPDATE chrono_forge_workflows SET context = '{all}'");
    world.rows().edit(&into_row, &[]);
    world.rows().edit("DELETE FROM chrono_forge_context", &[]);
    assert_eq!(run.context().await.unwrap(), all);
    world.clock.advance(std::time::Duration::from_secs(3_600));
    run.result().await.unwrap();
    assert_eq!(
        run.context().await.unwrap(),
        json!({"changed": 2, "kept": 1})
    );
}
