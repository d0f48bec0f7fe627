//! A child belongs to its parent run: what other runs call theirs is of no concern.

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunState};
use chrono_forge_tests::scenario::{COMPLETED, Probe, RunRow, World, scenario};

#[workflow]
async fn stamp(probe: State<Probe>, text: String) -> Result<String> {
    step!("stamp", {
        probe.note(&text);
        Ok(())
    })
    .await?;
    Ok(text)
}

/// With children of its own: what is below two namesakes are namesakes, too.
#[workflow]
async fn letter(text: String) -> Result<Vec<String>> {
    let pages = branch!("pages", automerge = true, {
        spawn_each!("page", 1..=2_u32, |page| stamp(format!("{text} {page}")))
    })
    .await?;
    Ok(pages.collect().await?)
}

#[workflow]
async fn order() -> Result<Vec<String>> {
    let letter = branch!("notify", automerge = true, {
        spawn!("mail", letter("order".into()))
    })
    .await?;
    Ok(letter.output().await?)
}

#[workflow]
async fn refund() -> Result<Vec<String>> {
    let letter = branch!("notify", automerge = true, {
        spawn!("mail", letter("refund".into()))
    })
    .await?;
    Ok(letter.output().await?)
}

#[scenario]
async fn two_workflows_with_one_run_key_have_children_of_one_name(world: &World) {
    let forge = world
        .forge([order::NAME, refund::NAME, letter::NAME, stamp::NAME])
        .await;
    let orders = forge.start("4711", order()).await.unwrap();
    assert_eq!(orders.result().await.unwrap(), ["order 1", "order 2"]);
    let refunds = forge.start("4711", refund()).await.unwrap();
    assert_eq!(refunds.result().await.unwrap(), ["refund 1", "refund 2"]);
    for text in ["order 1", "order 2", "refund 1", "refund 2"] {
        assert_eq!(world.probe.count(text), 1, "{text}");
    }
    let children = "SELECT count(*) FROM chrono_forge_workflows
        WHERE workflow = 'letter' AND key = '4711$notify$mail' AND state = 2";
    assert_eq!(world.rows().number(children), 2);
}

#[scenario]
async fn namesakes_that_are_started_together_all_complete(world: &World) {
    let forge = world
        .forge([order::NAME, refund::NAME, letter::NAME, stamp::NAME])
        .await;
    let mut orders = Vec::new();
    let mut refunds = Vec::new();
    for n in 0..20 {
        let key = format!("k{n}");
        orders.push(forge.start(&key, order()).await.unwrap());
        refunds.push(forge.start(&key, refund()).await.unwrap());
    }
    for (order, refund) in orders.iter().zip(&refunds) {
        assert_eq!(order.result().await.unwrap(), ["order 1", "order 2"]);
        assert_eq!(refund.result().await.unwrap(), ["refund 1", "refund 2"]);
    }
    let is_done = |run: RunRow| run.state == COMPLETED;
    assert!(world.rows().runs().into_iter().all(is_done));
}

/// Fails for good unless it may pass; parks first.
#[workflow]
async fn barred(probe: State<Probe>) -> Result<()> {
    continue_if!("open", async { Ok::<_, anyhow::Error>(probe.is("open")) }).await?;
    step!("pass", retry = RetryPolicy::none(), {
        anyhow::ensure!(probe.is("may pass"), "not yet");
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn first_gate() -> Result<()> {
    branch!("gates", automerge = true, {
        spawn_each!("gate", 0..2_u32, |_n| barred())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn second_gate() -> Result<()> {
    branch!("gates", automerge = true, {
        spawn_each!("gate", 0..2_u32, |_n| barred())
    })
    .await?;
    Ok(())
}

const KEY: &str = "k$gates$gate$0";

#[scenario]
async fn a_call_by_a_key_that_several_runs_have_names_their_parents_and_changes_nothing(
    world: &World,
) {
    let forge = world
        .forge([first_gate::NAME, second_gate::NAME, barred::NAME])
        .await;
    let first = forge.start("k", first_gate()).await.unwrap();
    let second = forge.start("k", second_gate()).await.unwrap();
    world.quiet().await;
    let errors = [
        forge.get::<barred>(KEY).await.map(drop).unwrap_err(),
        forge.wake::<barred>(KEY).await.unwrap_err(),
        forge.retry::<barred>(KEY).await.map(drop).unwrap_err(),
        forge.unlock::<barred>(KEY).await.unwrap_err(),
        forge.reset_crashes::<barred>(KEY).await.unwrap_err(),
    ];
    for error in errors {
        let told = error.to_string();
        let Error::AmbiguousKey {
            workflow,
            key,
            runs,
        } = error
        else {
            panic!("{told}");
        };
        assert_eq!((workflow, &*key, runs.len()), ("barred", KEY, 2));
        for (namesake, run) in runs.iter().zip([first.id(), second.id()]) {
            let parent = namesake.parent.as_ref().unwrap();
            assert_eq!(
                (parent.id, &*parent.key, &*parent.branch),
                (run, "k", "gates")
            );
        }
        for text in [
            "`first_gate` \"k\"",
            "`second_gate` \"k\"",
            "run.child",
            "forge.by_id",
        ] {
            assert!(told.contains(text), "{told}");
        }
    }
    world.quiet().await;
    let idle =
        "SELECT count(*) FROM chrono_forge_workflows WHERE workflow = 'barred' AND state = 0";
    assert_eq!(world.rows().number(idle), 4);
}

#[scenario]
async fn a_run_is_named_by_its_parent_or_by_its_id_whatever_others_have_its_key(world: &World) {
    let forge = world
        .forge([first_gate::NAME, second_gate::NAME, barred::NAME])
        .await;
    let first = forge.start("k", first_gate()).await.unwrap();
    let second = forge.start("k", second_gate()).await.unwrap();
    world.quiet().await;
    world.probe.set("open", 1);
    let of_first = first
        .child::<barred>("gates", "gate$0")
        .await
        .unwrap()
        .unwrap();
    let of_second = second
        .child::<barred>("gates", "gate$0")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((of_first.key(), of_second.key()), (KEY, KEY));
    assert_ne!(of_first.id(), of_second.id());
    of_first.wake().await.unwrap();
    let stalled = of_first.result().await.unwrap_err();
    assert_eq!(stalled.state(), Some(RunState::Stalled));
    assert_eq!(of_second.state().await.unwrap(), RunState::Idle);
    // Blocked children come with their ids.
    let blocked = first.blocked_children().await.unwrap();
    assert_eq!((blocked.len(), blocked[0].id), (1, of_first.id()));
    assert_eq!(second.blocked_children().await.unwrap(), []);
    world.probe.set("may pass", 1);
    let by_id = forge.by_id::<barred>(blocked[0].id).await.unwrap().unwrap();
    assert_eq!(by_id.retry().await.unwrap().records, ["step$pass"]);
    of_first.result().await.unwrap();
    assert_eq!(of_second.state().await.unwrap(), RunState::Idle);
    let refused = by_id.unlock().await.unwrap_err();
    assert!(matches!(refused, Error::NotRunning { .. }), "{refused}");
    let refused = by_id.reset_crashes().await.unwrap_err();
    assert!(matches!(refused, Error::Settled { .. }), "{refused}");
    // Not of that workflow, not there, not of that branch.
    assert!(
        forge
            .by_id::<first_gate>(of_first.id())
            .await
            .unwrap()
            .is_none()
    );
    assert!(forge.by_id::<barred>(i64::MAX).await.unwrap().is_none());
    for (branch, spawn) in [("gates", "gate$2"), ("gates", "gate"), ("gate", "gate$0")] {
        let nobody = first.child::<barred>(branch, spawn).await.unwrap();
        assert!(nobody.is_none(), "{branch} {spawn}");
    }
    let nobody = first.child::<first_gate>("gates", "gate$0").await.unwrap();
    assert!(nobody.is_none(), "of another workflow");
}

/// A run that was started has the key of another one's child.
#[scenario]
async fn what_is_started_is_no_child_of_that_key(world: &World) {
    let forge = world
        .forge([first_gate::NAME, second_gate::NAME, barred::NAME])
        .await;
    forge.start("k", first_gate()).await.unwrap();
    world.quiet().await;
    let started = forge.start("other", barred()).await.unwrap();
    let same_key = format!("UPDATE chrono_forge_workflows SET key = '{KEY}' WHERE key = 'other'");
    world.rows().edit(&same_key, &[]);
    let error = forge.get::<barred>(KEY).await.map(drop).unwrap_err();
    let Error::AmbiguousKey { runs, .. } = &error else {
        panic!("{error}");
    };
    let top: Vec<_> = runs.iter().filter(|run| run.parent.is_none()).collect();
    assert_eq!((runs.len(), top[0].id), (2, started.id()));
    assert!(error.to_string().contains("without a parent"), "{error}");
}
