//! Serving what one workflow needs, where others of the binary take states that are not there.

use chrono_forge::prelude::*;
use chrono_forge::{Builder, Error};
use chrono_forge_tests::scenario::{World, scenario};

/// Nobody here has one.
struct Mailer;

/// Some have one.
struct Ledger(u32);

#[workflow]
async fn serving_mail(_mailer: State<Mailer>) -> Result<u32> {
    Ok(1)
}

#[workflow(queue = "numbers")]
async fn serving_grandchild(ledger: State<Ledger>, n: u32) -> Result<u32> {
    Ok(n * ledger.0)
}

#[workflow]
async fn serving_child(n: u32) -> Result<u32> {
    let more = branch!("more", automerge = true, {
        spawn!("n", serving_grandchild(n))
    });
    Ok(more.await?.output().await?)
}

#[workflow]
async fn serving_sum() -> Result<u32> {
    let all = branch!("all", automerge = true, {
        spawn_each!("n", 1..=3_u32, |n| serving_child(n))
    });
    Ok(all.await?.fold(0, |sum, n| sum + n).await?)
}

#[workflow(retry = RetryPolicy::none())]
async fn serving_letters() -> Result<u32> {
    let all = branch!("all", automerge = true, { spawn!("mail", serving_mail()) });
    Ok(all.await?.output().await?)
}

/// Of the whole binary, as a test of a crate has it.
fn builder(world: &World) -> Builder {
    Forge::builder(&world.url())
}

#[scenario]
async fn a_workflow_is_served_with_its_children_and_their_queues(world: &World) {
    let builder = builder(world).state(Ledger(10)).serving::<serving_sum>();
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", serving_sum()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 60);
}

#[scenario]
async fn a_state_that_is_not_there_is_told_with_both_remedies(world: &World) {
    let all = builder(world).open().await.unwrap_err();
    let asked = builder(world).serving::<serving_mail>().open().await;
    for refused in [all, asked.unwrap_err()] {
        assert!(matches!(refused, Error::MissingState { .. }), "{refused}");
        // What `unwrap` shows.
        let shown = format!("{refused:?}");
        for remedy in [".state(", ".serving::<", ".workflows(["] {
            assert!(shown.contains(remedy), "{shown}");
        }
    }
}

#[scenario]
async fn what_was_left_out_is_told_where_it_is_started_or_spawned(world: &World) {
    let builder = builder(world).serving::<serving_letters>();
    let forge = builder.open().await.unwrap();
    let refused = forge.start("k", serving_mail()).await.unwrap_err();
    let told = matches!(
        &refused,
        Error::MissingState { workflow, state } if *workflow == serving_mail::NAME && state.contains("Mailer")
    );
    assert!(told, "{refused}");
    let run = forge.start("k", serving_letters()).await.unwrap();
    let failed = run.result().await.unwrap_err();
    assert_eq!(failed.state(), Some(RunState::Failed));
    let text = failed.to_string();
    assert!(
        text.contains("Mailer") && text.contains(".state("),
        "{text}"
    );
    // Where it is named what others do, they are started and spawned for others.
    let named = Forge::builder(&world.url()).workflows([serving_letters::NAME]);
    let named = named.open().await.unwrap();
    named.start("other", serving_mail()).await.unwrap();
}
