//! Panics: like an error of that step or body, with message and place.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, STALLED, World, scenario};

#[workflow]
async fn panicking_step(probe: State<Probe>) -> Result<u32> {
    Ok(step!("boom", {
        assert!(probe.nth("boom") == 3, "no {} today", "luck");
        Ok(7_u32)
    })
    .await?)
}

#[scenario]
async fn a_panic_in_a_step_is_an_attempt_with_message_and_place(world: &World) {
    let forge = world.forge([panicking_step::NAME]).await;
    let run = forge.start("k", panicking_step()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 7);
    let errors = world.rows().errors("k");
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].class, "panic");
    let message = &errors[0].message;
    assert!(
        message.contains("no luck today") && message.contains("panics.rs:"),
        "{message}"
    );
}

#[workflow(retry = RetryPolicy::new().max_attempts(2).jitter(false))]
async fn panicking_body(how: String) -> Result<()> {
    match how.as_str() {
        "body" => panic!("body"),
        "unwrap" => {
            let failed = step!("no", retry = RetryPolicy::none(), { anyhow::bail!("no") });
            let (): () = failed.await.unwrap();
        }
        "drop" => {
            let _bomb = Bomb;
            wait!("pause", secs(1)).await;
        }
        "block" => {
            branch!("grp", automerge = true, {
                if how.len() == 5 {
                    panic!("block");
                }
            })
            .await?;
        }
        "condition" => wait_until!("x", panicking_condition()).await?,
        _ => {}
    }
    Ok(())
}

async fn panicking_condition() -> Result<bool> {
    panic!("condition")
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[scenario]
async fn a_panic_anywhere_ends_in_a_state_and_the_worker_serves_on(world: &World) {
    let forge = world.forge([panicking_body::NAME]).await;
    let ends = [
        ("body", FAILED),
        ("unwrap", STALLED),
        ("drop", FAILED),
        ("block", STALLED),
        ("condition", STALLED),
        ("fine", COMPLETED),
    ];
    for (how, state) in ends {
        forge
            .start(how, panicking_body(how.to_owned()))
            .await
            .unwrap();
        assert_eq!(world.settle(how).await.state, state, "{how}");
        let errors = world.rows().errors(how);
        let place = errors.iter().any(|e| e.message.contains("panics.rs:"));
        assert!(place || how == "fine" || how == "unwrap", "{errors:?}");
    }
}
