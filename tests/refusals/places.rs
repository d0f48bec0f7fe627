//! Operations where they may not stand.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, Slot, World, scenario};

use super::{breaks_a_rule, healthy};

#[workflow(part)]
async fn part_wait(cx: &Context) -> Result<()> {
    let _ = cx;
    wait!("inner", secs(1)).await;
    Ok(())
}

#[workflow(part)]
async fn part_step(cx: &Context) -> Result<()> {
    let _ = cx;
    step!("inner", { Ok(()) }).await?;
    Ok(())
}

#[workflow(part)]
async fn part_branch(cx: &Context) -> Result<()> {
    let _ = cx;
    branch!("inner", automerge = true, {}).await?;
    Ok(())
}

#[workflow]
async fn nests(cx: Context, how: String) -> Result<()> {
    match how.as_str() {
        "wait in block" => branch!("b", automerge = true, { part_wait(&cx).await? }).await?,
        "branch in block" => branch!("b", automerge = true, { part_branch(&cx).await? }).await?,
        "step in step" => step!("outer", part_step(&cx)).await?,
        "wait in condition" => {
            wait_until!("outer", async {
                part_wait(&cx).await?;
                Ok::<_, anyhow::Error>(true)
            })
            .await?;
        }
        _ => {}
    }
    Ok(())
}

#[scenario]
async fn operations_nested_through_a_part_are_refused(world: &World) {
    let forge = world.forge([nests::NAME, healthy::NAME]).await;
    let cases = [
        ("wait in block", "cannot stand inside a branch block"),
        ("branch in block", "cannot stand inside a branch block"),
        ("step in step", "cannot stand inside a step body"),
        ("wait in condition", "cannot stand inside a step body"),
    ];
    for (how, text) in cases {
        forge.start(how, nests(how.into())).await.unwrap();
        breaks_a_rule(world, &forge, how, text).await;
    }
}

#[workflow]
async fn merges(what: String) -> Result<()> {
    match what.as_str() {
        "unmerged" => {
            let _one = branch!("one", {
                spawn!("x", healthy());
            })
            .await?;
            let _two = branch!("two", {
                spawn!("x", healthy());
            })
            .await?;
            branch!("merged", automerge = true, {}).await?;
        }
        "dollar" => {
            let name = "a$b";
            merge!("{name}").await?;
        }
        name => merge!("{name}").await?,
    }
    Ok(())
}

#[scenario]
async fn a_branch_that_is_never_merged_and_a_merge_of_no_branch_fail_the_run(world: &World) {
    let forge = world.forge([merges::NAME, healthy::NAME]).await;
    for (what, text) in [
        (
            "unmerged",
            "branch `one`, `two` was opened but never merged",
        ),
        (
            "nobody",
            "merge of `nobody`: no branch of that name was opened",
        ),
        ("dollar", "contains `$`"),
    ] {
        forge.start(what, merges(what.into())).await.unwrap();
        breaks_a_rule(world, &forge, what, text).await;
    }
}

#[workflow]
async fn awaits_a_run(slot: State<Slot>, probe: State<Probe>, in_step: bool) -> Result<u32> {
    let forge = slot.get();
    let run = forge.start("inner", healthy()).await?;
    let result = if in_step {
        step!("result", { Ok(run.result().await?) }).await?
    } else {
        run.result().await?
    };
    probe.note("unreachable");
    Ok(result)
}

#[scenario]
async fn awaiting_another_run_s_result_in_a_body_fails_the_run(world: &World) {
    let slot = Slot::default();
    let builder = world
        .builder([awaits_a_run::NAME, healthy::NAME])
        .state(slot.clone());
    let forge = builder.open().await.unwrap();
    slot.put(forge.clone());
    for (key, in_step) in [("body", false), ("step", true)] {
        forge.start(key, awaits_a_run(in_step)).await.unwrap();
        let text = "the result of run `inner` was awaited inside a workflow";
        breaks_a_rule(world, &forge, key, text).await;
    }
    assert_eq!(world.probe.count("unreachable"), 0);
    slot.clear();
}

#[workflow]
async fn batches(of: u64) -> Result<()> {
    branch!("b", automerge = true, {
        spawn_each!("n", of = of, 0..3, |_i| healthy());
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_batch_of_none_or_too_many_fails_the_run(world: &World) {
    let forge = world.forge([batches::NAME, healthy::NAME]).await;
    for (key, of) in [("none", 0), ("many", 10_001)] {
        forge.start(key, batches(of)).await.unwrap();
        breaks_a_rule(world, &forge, key, "is not between 1 and 10000").await;
    }
}

#[workflow(part)]
async fn part_spawn(cx: &Context) -> Result<()> {
    let _ = cx;
    let _child = spawn!("x", healthy());
    Ok(())
}

#[workflow]
async fn spawns(cx: Context, how: String) -> Result<()> {
    match how.as_str() {
        "block" => branch!("b", automerge = true, { part_spawn(&cx).await? }).await?,
        "step" => step!("s", part_spawn(&cx)).await?,
        _ => part_spawn(&cx).await?,
    }
    Ok(())
}

#[scenario]
async fn a_part_that_spawns_belongs_into_a_branch_block(world: &World) {
    let forge = world.forge([spawns::NAME, healthy::NAME]).await;
    for how in ["body", "step"] {
        forge.start(how, spawns(how.into())).await.unwrap();
        let text = "spawn `x` stands outside a branch block";
        breaks_a_rule(world, &forge, how, text).await;
        assert!(world.rows().children(how).is_empty());
    }
    let run = forge.start("block", spawns("block".into())).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.rows().children("block").len(), 1);
}
