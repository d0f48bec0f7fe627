//! What is told of a failure: its class, its causes, its place.

use chrono_forge::DefinitionError;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{FAILED, Probe, STALLED, World, scenario};

use crate::faults::{Delayed, Limited, Offline, play, raise, up_to};

#[workflow(retry = [up_to(1).when("any", |_| true), up_to(1).on::<Offline>().on::<Limited>()])]
async fn classes(probe: State<Probe>, how: String) -> Result<()> {
    match how.as_str() {
        "typed" => step!("call", async { Err::<(), _>(Offline) }).await?,
        "plain" => step!("call", retry = up_to(1), { Err(raise("limited")) }).await?,
        "block" => {
            let block = branch!("call", automerge = true, {
                Err(raise("offline"))?;
            });
            block.await?;
        }
        "condition" => {
            let policies = [up_to(1).on::<Limited>()];
            wait_until!("call", retry = policies, async {
                Err::<bool, _>(raise("delayed"))
            })
            .await?;
        }
        "panic" => drop(step!("call", play(&probe, "panic")).await?),
        "body" => return Err(raise("context")),
        "other body" => return Err(raise("other")),
        script => drop(step!("call", play(&probe, script)).await?),
    }
    Ok(())
}

#[backends]
async fn an_error_whose_type_is_erased_takes_the_name_of_a_type_that_the_policies_name(
    backend: Backend,
) {
    let (limited, offline) = (
        std::any::type_name::<Limited>(),
        std::any::type_name::<Offline>(),
    );
    for (how, class) in [
        ("typed", offline),
        ("limited", limited),
        ("offline", offline),
        ("delayed", limited),
        ("other", "anyhow::Error"),
        ("plain", "anyhow::Error"),
        ("block", offline),
        ("condition", limited),
        ("panic", "panic"),
        ("body", limited),
        ("other body", "anyhow::Error"),
    ] {
        scenario(backend, async |world| {
            let forge = world.forge([classes::NAME]).await;
            forge.start("k", classes(how.to_owned())).await.unwrap();
            let row = world.settle("k").await;
            assert!([STALLED, FAILED].contains(&row.state), "{how}: {row:?}");
            let errors = world.rows().errors("k");
            assert_eq!((errors.len(), &*errors[0].class), (1, class), "{how}");
            if let Some(failed) = world.rows().records("k").pop() {
                assert_eq!(failed.error_class.as_deref(), Some(class), "{how}");
            }
        })
        .await;
    }
}

#[workflow(retry = RetryPolicy::none())]
async fn typed_body() -> Result<(), Delayed> {
    Err(Delayed(Limited))
}

#[scenario]
async fn a_message_tells_the_causes_and_a_typed_body_its_own_class(world: &World) {
    let forge = world.forge([typed_body::NAME]).await;
    forge.start("k", typed_body()).await.unwrap();
    assert_eq!(world.settle("k").await.state, FAILED);
    let error = world.rows().errors("k").remove(0);
    assert_eq!(error.class, std::any::type_name::<Delayed>());
    assert_eq!(error.message, "delayed: limited");
    assert_eq!(error.step_name, None);
}

#[workflow(retry = RetryPolicy::none())]
async fn explodes(how: String) -> Result<()> {
    if how == "step" {
        step!("call", { explode_deep_inside() }).await?;
    }
    explode_deep_inside()
}

#[inline(never)]
fn explode_deep_inside() -> Result<()> {
    panic!("too deep")
}

/// Whatever the environment says about backtraces.
#[scenario]
async fn a_panic_is_told_with_message_place_and_backtrace(world: &World) {
    let forge = world.forge([explodes::NAME]).await;
    for how in ["step", "body"] {
        forge.start(how, explodes(how.to_owned())).await.unwrap();
        world.settle(how).await;
        let error = world.rows().errors(how).remove(0);
        assert!(
            error.message.starts_with("too deep (at ") && error.message.contains("errors.rs:"),
            "{}",
            error.message
        );
        let backtrace = error.backtrace.unwrap();
        assert!(backtrace.contains("explode_deep_inside"), "{backtrace}");
        assert!(backtrace.len() < 20_000, "{}", backtrace.len());
    }
}

/// A message that cannot be told.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("unspeakable")
    }
}

impl std::error::Error for Unspeakable {}

fn picky() -> RetryPolicy {
    RetryPolicy::new().when("picky", |error| {
        error.to_string().parse::<u32>().unwrap() > 0
    })
}

#[workflow(retry = picky())]
async fn undecidable(how: String) -> Result<()> {
    match how.as_str() {
        "step" => step!("call", { Err(raise("limited")) }).await?,
        "body" => return Err(raise("limited")),
        "unspeakable" => return Err(Unspeakable.into()),
        _ => {}
    }
    Ok(())
}

#[scenario]
async fn a_policy_or_a_message_that_panics_is_told_and_the_worker_serves_on(world: &World) {
    let builder = world.builder([undecidable::NAME]).queue("default", 2);
    let forge = builder.open().await.unwrap();
    for (how, state, told) in [
        ("step", STALLED, "limited; asked whether to try again"),
        ("body", FAILED, "limited; asked whether to try again"),
        ("unspeakable", FAILED, "unspeakable (at "),
    ] {
        // More often than there are slots: none may be lost.
        for nth in 0..3 {
            let key = format!("{how} {nth}");
            let invocation = undecidable(how.to_owned());
            forge.start(&key, invocation).await.unwrap();
            assert_eq!(world.settle(&key).await.state, state, "{key}");
            let errors = world.rows().errors(&key);
            assert_eq!(errors.len(), 1, "{key}");
            assert!(errors[0].message.starts_with(told), "{:?}", errors[0]);
        }
    }
}

#[workflow(part)]
async fn nested(cx: &Context) -> Result<()> {
    step!("inner", { Ok(()) }).await?;
    Ok(())
}

#[workflow(retry = [RetryPolicy::new().unlimited().on::<DefinitionError>(), RetryPolicy::new()])]
async fn breaks_a_rule(cx: Context, how: String) -> Result<()> {
    match how.as_str() {
        "key" => step!(format!("{how}$"), { Ok(()) }).await?,
        "nested" => step!("outer", nested(&cx)).await?,
        _ => branch!("unmerged", {}).await.map(drop)?,
    }
    Ok(())
}

/// The original left such runs idle without a trace, and retried the error where a step hid it.
#[scenario]
async fn a_broken_rule_fails_the_run_at_once_whatever_its_policies_say(world: &World) {
    let forge = world.forge([breaks_a_rule::NAME]).await;
    for how in ["key", "nested", "unmerged"] {
        let begun = world.now();
        forge
            .start(how, breaks_a_rule(how.to_owned()))
            .await
            .unwrap();
        let row = world.settle(how).await;
        assert_eq!((row.state, row.attempts), (FAILED, 1), "{how}");
        assert_eq!(world.now(), begun, "{how}: nothing was tried again");
        let errors = world.rows().errors(how);
        assert_eq!(errors.len(), 1, "{how}: {errors:?}");
        assert_eq!(errors[0].class, DefinitionError::CLASS);
    }
}
