//! Keys that cannot be used.

use std::sync::Arc;

use chrono_forge::prelude::*;
use chrono_forge::testing::Failpoints;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, World, scenario};

use super::{breaks_a_rule, healthy};

#[workflow]
async fn keyed(probe: State<Probe>, key: String, second: String) -> Result<()> {
    let first = step!(key, {
        probe.note("first");
        Ok(())
    })
    .await;
    let again = step!(second, {
        probe.note("second");
        Ok(())
    })
    .await;
    // User code cannot catch it: the operation never completes.
    probe.note("end");
    first.and(again).or(Ok(()))
}

#[scenario]
async fn a_key_that_is_empty_or_too_long_has_a_dollar_or_comes_twice_fails_the_run(world: &World) {
    let forge = world.forge([keyed::NAME, healthy::NAME]).await;
    let cases = [
        ("dollar", "ok", "a$b", "contains `$`"),
        ("empty", "ok", "", "is empty"),
        ("blank", "ok", " \t", "is blank"),
        ("long", "ok", &*"x".repeat(65_537), "longer than 64 KiB"),
        ("twice", "same", "same", "step!(\"same\") was reached twice"),
    ];
    for (key, first, second, text) in cases {
        forge
            .start(key, keyed(first.into(), second.into()))
            .await
            .unwrap();
        breaks_a_rule(world, &forge, key, text).await;
        // What was recorded before stays.
        assert_eq!(world.rows().order(key), [format!("step${first}")]);
        let errors = world.rows().errors(key);
        assert!(errors[0].message.len() < 400, "{:?}", errors[0]);
    }
    assert_eq!(
        (world.probe.count("second"), world.probe.count("end")),
        (0, 0)
    );
}

#[workflow]
async fn other_kinds(what: String, key: String) -> Result<()> {
    match what.as_str() {
        "wait" => wait!(key, secs(1)).await,
        "wait_until" => wait_until!(key, async { Ok::<_, anyhow::Error>(true) }).await?,
        "continue_if" => continue_if!(key, async { Ok::<_, anyhow::Error>(true) }).await?,
        "branch" => branch!(key, automerge = true, {}).await?,
        "spawn" => {
            branch!("b", automerge = true, {
                spawn!(key, healthy());
            })
            .await?;
        }
        "spawn_each" => {
            branch!("b", automerge = true, {
                spawn_each!(key, 0..1, |_i| healthy());
            })
            .await?;
        }
        _ => {
            branch!("b", automerge = true, {
                spawn!(key.clone(), healthy());
                spawn!(key.clone(), healthy());
            })
            .await?;
        }
    }
    Ok(())
}

#[scenario]
async fn every_kind_of_key_is_checked(world: &World) {
    let forge = world.forge([other_kinds::NAME, healthy::NAME]).await;
    let kinds = [
        "wait",
        "wait_until",
        "continue_if",
        "branch",
        "spawn",
        "spawn_each",
    ];
    for kind in kinds {
        let long = match kind {
            "spawn" | "spawn_each" => ("long", &*"x".repeat(70_000), "8192 are the limit"),
            _ => ("long", &*"x".repeat(65_537), "longer than 64 KiB"),
        };
        for (name, key, text) in [
            ("dollar", "a$b", "contains `$`"),
            ("empty", "", "is empty"),
            ("blank", " ", "is blank"),
            long,
        ] {
            let run = format!("{kind}-{name}");
            forge
                .start(&run, other_kinds(kind.into(), key.into()))
                .await
                .unwrap();
            breaks_a_rule(world, &forge, &run, text).await;
        }
    }
    forge
        .start("comma", other_kinds("branch".into(), "a,b".into()))
        .await
        .unwrap();
    breaks_a_rule(world, &forge, "comma", "contains `,`").await;
    forge
        .start("twice", other_kinds("twice".into(), "a".into()))
        .await
        .unwrap();
    breaks_a_rule(world, &forge, "twice", "spawn!(\"a\") was reached twice").await;
}

#[workflow]
async fn refused_in_a_batch() -> Result<()> {
    let _branch = branch!("b", {
        spawn_each!("x", of = 1, 0..5, |_n| healthy());
    })
    .await?;
    wait!("pause", secs(1)).await;
    merge!("b").await?;
    Ok(())
}

/// The database takes every child but this one.
async fn refuse_a_child(world: &World) {
    world.client().await.shutdown().await;
    let (table, when) = ("chrono_forge_workflows", "new.key = 'p$b$x$2'");
    world.rows().refuse(table, when, "no such child");
}

#[scenario]
async fn a_branch_is_not_sealed_without_the_children_that_were_refused(world: &World) {
    refuse_a_child(world).await;
    let builder = world.builder([refused_in_a_batch::NAME, healthy::NAME]);
    // Each write is a commit of its own, so that the refused one is not folded with the seal.
    let forge = builder.commit_batch_max(1).open().await.unwrap();
    forge.start("p", refused_in_a_batch()).await.unwrap();
    breaks_a_rule(world, &forge, "p", "no such child").await;
    assert_ne!(world.rows().record("p", "branch$b").state, 1);
}

/// One key in a block and outside of it, with or without a park between.
#[workflow]
async fn key_of_a_block(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    let policy = RetryPolicy::none();
    let gives_up = how == "given up";
    let opened = branch!("b", retry = policy, {
        let first = token(&cx, &probe).await?;
        anyhow::ensure!(!gives_up, "the block gives up");
        spawn!("x", healthy());
        first
    })
    .await;
    if let Ok(branch) = opened {
        merge!(branch).await?;
    }
    if how != "same pass" {
        wait!("pause", secs(1)).await;
    }
    if how == "another block" {
        branch!("c", automerge = true, { token(&cx, &probe).await? }).await?;
    } else {
        token(&cx, &probe).await?;
    }
    probe.note("end");
    Ok(())
}

#[workflow(part)]
async fn token(cx: &Context, probe: &Probe) -> Result<u32> {
    let _ = cx;
    let token = step!("token", {
        probe.note("token");
        Ok(7_u32)
    });
    Ok(token.await?)
}

#[scenario]
async fn a_key_that_a_block_has_used_is_refused_outside_of_it(world: &World) {
    let forge = world.forge([key_of_a_block::NAME, healthy::NAME]).await;
    for (nth, how) in ["same pass", "later pass", "another block", "given up"]
        .into_iter()
        .enumerate()
    {
        forge.start(how, key_of_a_block(how.into())).await.unwrap();
        breaks_a_rule(world, &forge, how, "step!(\"token\")").await;
        let errors = world.rows().errors(how);
        let message = &errors.last().unwrap().message;
        assert!(message.contains("branch!(\"b\")"), "{how}: {message}");
        assert_eq!(world.probe.count("token"), nth + 1, "{how}");
        // Nor does trying again by hand make anything of it.
        forge.retry::<key_of_a_block>(how).await.unwrap();
        assert_eq!(world.settle(how).await.state, FAILED, "{how}");
        assert_eq!(world.probe.count("token"), nth + 1, "{how}");
    }
    assert_eq!(world.probe.count("end"), 0);
}

#[scenario]
async fn rows_from_before_blocks_were_named_are_found_as_ever(world: &World) {
    let forge = world.forge([key_of_a_block::NAME, healthy::NAME]).await;
    forge
        .start("later pass", key_of_a_block("later pass".into()))
        .await
        .unwrap();
    world.parked("later pass").await;
    world.rows().edit(
        "UPDATE chrono_forge_execution_logs SET metadata = NULL WHERE step_name = 'step$token'",
        &[],
    );
    assert_eq!(world.settle("later pass").await.state, COMPLETED);
    assert_eq!(world.probe.count("token"), 1);
}

/// Everything is dispatched at once, and the seal follows in a write of its own.
#[workflow]
async fn refused_late(failpoints: State<Arc<Failpoints>>) -> Result<usize> {
    let all = branch!("b", {
        failpoints.hold_until("commit.before.apply", 1, "flush");
        let all = spawn_each!("x", 0..5, |_n| healthy());
        failpoints.hold_until("flush", 1, "refusal");
        all
    })
    .await?;
    wait!("pause", secs(1)).await;
    Ok(merge!(all).await?.len())
}

#[scenario]
async fn a_refusal_that_is_heard_between_two_writes_leaves_nothing_but_the_failure(world: &World) {
    refuse_a_child(world).await;
    let builder = world.builder([refused_late::NAME, healthy::NAME]);
    let builder = builder.state(Arc::clone(&world.failpoints));
    let forge = builder.commit_batch_max(1).open().await.unwrap();
    forge.start("p", refused_late()).await.unwrap();
    breaks_a_rule(world, &forge, "p", "no such child").await;
    assert_eq!(world.failpoints.hits("refusal"), 1);
    assert_eq!(world.rows().records("p").len(), 0);
    // Nor does it find a sealed branch without children when it is tried again.
    forge.retry::<refused_late>("p").await.unwrap();
    assert_eq!(world.settle("p").await.state, FAILED);
    assert_eq!(world.rows().records("p").len(), 0);
}

#[scenario]
async fn a_key_that_no_text_of_a_database_can_hold_fails_the_run_once_and_before_any_effect(
    world: &World,
) {
    let names = [other_kinds::NAME, keyed::NAME, healthy::NAME];
    let forge = world.forge(names).await;
    for kind in ["wait", "wait_until", "continue_if", "branch", "spawn"] {
        let run = other_kinds(kind.to_owned(), "a\u{0}b".to_owned());
        forge.start(kind, run).await.unwrap();
        breaks_a_rule(world, &forge, kind, "null character").await;
        assert_eq!(world.rows().errors(kind).len(), 1);
    }
    let run = keyed("a\u{0}b".to_owned(), "ok".to_owned());
    forge.start("step", run).await.unwrap();
    breaks_a_rule(world, &forge, "step", "null character").await;
    assert!(world.probe.log().is_empty(), "{:?}", world.probe.log());
    let started = forge.start("a\u{0}b", healthy()).await;
    let error = started.map(drop).unwrap_err().to_string();
    assert!(error.contains("null character"), "{error}");
}
