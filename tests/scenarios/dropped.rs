//! Operations that are dropped before the body has received them: what is recorded of them stays, and is found
//! again by whoever reaches them next.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use futures::future::{pending, poll_fn};

#[workflow]
async fn dropped_leaf(n: u32) -> Result<u32> {
    Ok(n)
}

/// Its block holds a step beside a look that fails at once in the second life; a step beside the block
/// keeps the pass alive meanwhile.
#[workflow]
async fn torn_block(probe: State<Probe>, kind: String) -> Result<()> {
    let policy = RetryPolicy::new().base(secs(1)).jitter(false);
    let dispatch = branch!("b", retry = policy, {
        let token = async {
            match kind.as_str() {
                "gives up" => {
                    let token = step!("token", retry = RetryPolicy::none(), {
                        probe.note("token");
                        Err::<u32, _>(anyhow::anyhow!("no token"))
                    });
                    Ok::<_, anyhow::Error>(token.await.map_or(9, |token| token))
                }
                _ => Ok(step!("token", {
                    probe.note("token");
                    Ok(7_u32)
                })
                .await?),
            }
        };
        let look = async {
            if probe.is("torn") {
                anyhow::ensure!(probe.nth(&kind) > 1, "torn");
                Ok(())
            } else {
                pending().await
            }
        };
        let (token, ()) = futures::try_join!(token, look)?;
        spawn!("c", dropped_leaf(token))
    });
    let beside = step!("beside", {
        probe.note("beside");
        probe.raised("end").await;
        Ok(())
    });
    let (branch, beside) = tokio::join!(dispatch, beside);
    beside?;
    merge!(branch?).await?;
    Ok(())
}

#[scenario]
async fn a_recorded_step_of_a_block_that_fails_in_its_replay_never_runs_again(world: &World) {
    for kind in ["completes", "gives up"] {
        let tokens = world.probe.count("token");
        let forge = world.forge([torn_block::NAME, dropped_leaf::NAME]).await;
        world.probe.set("torn", 0);
        world.probe.set("end", 0);
        forge.start(kind, torn_block(kind.into())).await.unwrap();
        let is_recorded = || {
            world
                .rows()
                .find(kind)
                .is_some_and(|_| world.rows().order(kind).len() == 1)
        };
        world.until(is_recorded).await;
        let recorded = format!("{:?}", world.rows().record(kind, "step$token"));
        world.crash(&forge);
        drop(forge);
        world.probe.set("torn", 1);
        let forge = world.forge([torn_block::NAME, dropped_leaf::NAME]).await;
        world
            .until(|| {
                !world
                    .rows()
                    .errors(kind)
                    .iter()
                    .all(|e| e.step_name.as_deref() != Some("branch$b"))
            })
            .await;
        world.clock.advance(secs(1));
        world.noted(kind, 2).await;
        world.probe.set("end", 1);
        assert_eq!(world.settle(kind).await.state, COMPLETED, "{kind}");
        let row = format!("{:?}", world.rows().record(kind, "step$token"));
        assert_eq!(row, recorded, "{kind}");
        assert_eq!(world.probe.count("token") - tokens, 1, "{kind}");
        forge.shutdown().await;
    }
}

#[workflow]
async fn torn_budget(probe: State<Probe>) -> Result<()> {
    let policy = RetryPolicy::new().base(secs(1)).jitter(false);
    let dispatch = branch!("b", retry = policy, {
        let flaky = async {
            let twice = RetryPolicy::new()
                .max_attempts(2)
                .base(secs(30))
                .jitter(false);
            let flaky = step!("flaky", retry = twice, {
                probe.note("flaky");
                Err::<(), _>(anyhow::anyhow!("flaky"))
            });
            Ok::<_, anyhow::Error>(flaky.await.is_err())
        };
        let look = async {
            let is_whole = !probe.is("torn") || probe.nth("look") > 1;
            anyhow::ensure!(is_whole, "torn");
            Ok(())
        };
        let (gave_up, ()) = futures::try_join!(flaky, look)?;
        spawn!("c", dropped_leaf(u32::from(gave_up)))
    });
    let beside = step!("beside", {
        probe.raised("end").await;
        Ok(())
    });
    let (branch, beside) = tokio::join!(dispatch, beside);
    beside?;
    merge!(branch?).await?;
    Ok(())
}

#[scenario]
async fn a_step_of_a_block_keeps_its_budget_when_the_block_fails_before_it(world: &World) {
    let forge = world.forge([torn_budget::NAME, dropped_leaf::NAME]).await;
    forge.start("k", torn_budget()).await.unwrap();
    world
        .until(|| {
            world.rows().find("k").is_some_and(|_| {
                world
                    .rows()
                    .records("k")
                    .iter()
                    .any(|row| row.attempts == 1)
            })
        })
        .await;
    world.crash(&forge);
    drop(forge);
    world.probe.set("torn", 1);
    let _forge = world.forge([torn_budget::NAME, dropped_leaf::NAME]).await;
    // A block holds its slot while its steps wait for their next attempt, so time moves meanwhile, too.
    while world.rows().run("k").state < COMPLETED {
        world.clock.advance(secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        world
            .probe
            .set("end", i64::from(world.probe.count("look") > 1));
    }
    assert_eq!(world.rows().run("k").state, COMPLETED);
    assert_eq!(world.probe.count("look"), 2, "torn once");
    assert_eq!(world.probe.count("flaky"), 2);
    assert_eq!(world.rows().record("k", "step$flaky").attempts, 2);
}

/// The step has ended when the block fails, and the block has not received it.
#[workflow]
async fn torn_at_the_end(probe: State<Probe>) -> Result<()> {
    let policy = RetryPolicy::new().base(secs(1)).jitter(false);
    let dispatch = branch!("b", retry = policy, {
        let quick = async {
            Ok(step!("quick", {
                probe.note("quick");
                Ok(3_u32)
            })
            .await?)
        };
        let look = poll_fn(|_| match (probe.count("quick"), probe.count("torn")) {
            (0, _) => std::task::Poll::Pending,
            (_, 0) => {
                probe.note("torn");
                std::task::Poll::Ready(Err(anyhow::anyhow!("torn")))
            }
            _ => std::task::Poll::Ready(Ok(())),
        });
        let (n, ()) = futures::try_join!(quick, look)?;
        spawn!("c", dropped_leaf(n))
    });
    merge!(dispatch.await?).await?;
    Ok(())
}

#[scenario]
async fn a_step_that_ended_when_its_block_failed_does_not_run_again(world: &World) {
    let forge = world
        .forge([torn_at_the_end::NAME, dropped_leaf::NAME])
        .await;
    forge.start("k", torn_at_the_end()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.probe.log(), ["quick", "torn"]);
    let order = ["step$quick", "branch$b", "merge$b"];
    assert_eq!(world.rows().order("k"), order);
}
