//! Calls of the runtime surface with bad input, or at a bad time.

use chrono_forge::prelude::*;
use chrono_forge::{Error, RetryFilter, RunError, RunState};
use chrono_forge_tests::scenario::{Probe, World, scenario};

use super::{healthy, serves_on};

#[scenario]
async fn a_key_that_start_cannot_use_is_refused_with_the_remedy(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let long = "k".repeat(513);
    for (key, text) in [
        ("", "is empty"),
        (" \t", "is blank"),
        ("a\0b", "null character"),
        ("a$b", "contains `$`"),
        (&long, "longer than 512"),
    ] {
        let error = forge.start(key, healthy()).await.unwrap_err();
        assert!(matches!(error, Error::BadKey { .. }), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    forge
        .start(&"k".repeat(512), healthy())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    serves_on(&forge, "keys").await;
    assert_eq!(world.rows().runs().len(), 2);
}

/// Whoever is asked, what cannot be a key is told in the same words.
#[scenario]
async fn a_call_by_a_name_with_a_null_character_is_refused_with_the_remedy(world: &World) {
    let forge = world.forge([ends_badly::NAME]).await;
    let run = forge.start("k", ends_badly(true)).await.unwrap();
    world.settle("k").await;
    let key = "k\0";
    let refused = [
        ("start", forge.start(key, ends_badly(true)).await.map(drop)),
        ("get", forge.get::<ends_badly>(key).await.map(drop)),
        ("wake", forge.wake::<ends_badly>(key).await),
        ("retry", forge.retry::<ends_badly>(key).await.map(drop)),
        ("unlock", forge.unlock::<ends_badly>(key).await),
        ("reset", forge.reset_crashes::<ends_badly>(key).await),
    ];
    for (call, told) in refused {
        let error = told.unwrap_err();
        assert!(
            matches!(&error, Error::BadKey { key: told, .. } if told == key),
            "{call}: {error:?}"
        );
        let told = error.to_string();
        assert!(
            told.contains("null character") && told.contains("use another character"),
            "{call}: {told}"
        );
    }
    for (branch, spawn) in [("b\0", "x"), ("b", "x\0")] {
        let told = run.child::<ends_badly>(branch, spawn).await.map(drop);
        let error = told.unwrap_err();
        assert!(
            matches!(error, RunError::Forge(Error::BadKey { .. })),
            "{branch:?} {spawn:?}: {error:?}"
        );
    }
    let named = forge.retry::<ends_badly>("k").records(["gives\0up"]);
    let error = named.await.unwrap_err();
    assert!(matches!(error, Error::NoSuchRecord { .. }), "{error:?}");
    let filter = RetryFilter::new().stalled_by("step$\0");
    assert_eq!(forge.retry_all(filter).await.unwrap(), 0);
    assert_eq!(world.rows().runs().len(), 1);
}

/// Older releases took such a key where the database did.
#[scenario(sqlite_only = "a server never stored one")]
async fn a_run_that_has_a_null_character_in_its_key_is_found_by_it(world: &World) {
    let forge = world.forge([ends_badly::NAME]).await;
    forge.start("k", ends_badly(true)).await.unwrap();
    world.settle("k").await;
    let edit = "UPDATE chrono_forge_workflows SET key = 'k' || char(0)";
    world.rows().edit(edit, &[]);
    let run = forge.get::<ends_badly>("k\0").await.unwrap().unwrap();
    forge.wake::<ends_badly>("k\0").await.unwrap();
    let retried = forge.retry::<ends_badly>("k\0").await.unwrap();
    assert_eq!(retried.records, ["step$gives-up"]);
    assert!(matches!(run.result().await, Err(RunError::Stalled { .. })));
}

#[scenario]
async fn waking_a_run_that_is_not_there_is_refused_and_a_settled_one_is_left_alone(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let error = forge.wake::<healthy>("nobody").await.unwrap_err();
    assert!(matches!(&error, Error::NotFound { workflow: "healthy", key } if key == "nobody"));
    forge
        .start("k", healthy())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    forge.wake::<healthy>("k").await.unwrap();
    world.quiet().await;
    let row = world.rows().run("k");
    assert_eq!(
        (row.state, row.lock_epoch, row.wake_requested),
        (2, 1, false)
    );
}

async fn give_up() -> Result<()> {
    anyhow::bail!("no")
}

#[workflow(retry = RetryPolicy::none())]
async fn ends_badly(stall: bool) -> Result<()> {
    if stall {
        step!("gives-up", give_up()).await?;
    }
    anyhow::bail!("bad end")
}

#[scenario]
async fn the_result_of_a_run_that_did_not_complete_is_a_typed_error_at_once(world: &World) {
    let forge = world.forge([ends_badly::NAME, healthy::NAME]).await;
    let failed = forge.start("failed", ends_badly(false)).await.unwrap();
    let error = failed.result().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Failed { message, .. } if message == "bad end"),
        "{error}"
    );
    assert_eq!(error.state(), Some(RunState::Failed));
    let stalled = forge.start("stalled", ends_badly(true)).await.unwrap();
    let error = stalled.result().await.unwrap_err();
    assert!(matches!(&error, RunError::Stalled { step, .. } if step == "step$gives-up"));
    // Asked again, and by a handle that has never seen it run.
    let again = forge.get::<ends_badly>("stalled").await.unwrap().unwrap();
    assert_eq!(
        again.result().await.unwrap_err().to_string(),
        error.to_string()
    );
    let canceled = forge.start("canceled", ends_badly(true)).await.unwrap();
    world.settle("canceled").await;
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET state = 5 WHERE key = 'canceled'",
        &[],
    );
    let error = forge
        .get::<ends_badly>("canceled")
        .await
        .unwrap()
        .unwrap()
        .result()
        .await;
    assert!(matches!(error, Err(RunError::Canceled { .. })));
    drop(canceled);
    serves_on(&forge, "ends").await;
}

#[workflow]
async fn endless(probe: State<Probe>) -> Result<()> {
    probe.note("begun");
    continue_if!("never", async { Ok::<_, anyhow::Error>(false) }).await?;
    Ok(())
}

#[scenario]
async fn every_call_after_a_shutdown_says_so_and_nobody_waits_for_ever(world: &World) {
    let forge = world.forge([endless::NAME, healthy::NAME]).await;
    let run = forge.start("k", endless()).await.unwrap();
    let done = forge.start("done", healthy()).await.unwrap();
    done.result().await.unwrap();
    world.parked("k").await;
    let (waited, ()) = tokio::join!(run.result(), async {
        tokio::task::yield_now().await;
        forge.shutdown().await;
    });
    assert!(
        matches!(waited, Err(RunError::Forge(Error::Closed))),
        "{waited:?}"
    );
    assert!(matches!(
        run.result().await,
        Err(RunError::Forge(Error::Closed))
    ));
    assert!(matches!(
        forge.start("x", healthy()).await,
        Err(Error::Closed)
    ));
    assert!(matches!(
        forge.wake::<endless>("k").await,
        Err(Error::Closed)
    ));
    assert_eq!(done.result().await.unwrap(), 1, "what is known stays known");
    forge.shutdown().await;
}
