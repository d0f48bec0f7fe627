//! Nothing of the user's begins before what the body has seen is durable, however long ago it was let go.

use std::sync::Mutex;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, Rows, World, scenario};

/// What is durable, as a body may ask.
struct Durable(Mutex<Rows>);

impl Durable {
    fn has_quote(&self, key: &str) -> bool {
        let rows = self.0.lock().unwrap();
        let order = rows.find(key).map(|_| rows.order(key));
        order.is_some_and(|order| order.contains(&"step$quote".to_owned()))
    }
}

#[workflow]
async fn barrier_child() -> Result<()> {
    Ok(())
}

/// An operation of each kind, whose user code notes whether the quote is durable.
#[workflow(part)]
async fn aside(cx: &Context, probe: &Probe, seen: &Durable, how: &str) -> Result<()> {
    let begin = || {
        let is_durable = seen.has_quote(cx.key());
        probe.note(format!("{how} behind what was seen: {is_durable}"));
    };
    let look = async || {
        begin();
        Ok::<_, anyhow::Error>(true)
    };
    match how {
        "step" => {
            step!("aside", {
                begin();
                Ok(())
            })
            .await?;
        }
        "wait_until" => wait_until!("aside", look()).await?,
        "continue_if" => continue_if!("aside", look()).await?,
        "until" => {
            repeat!("aside", every = secs(60), until = look(), |_tick| {
                Ok(())
            })
            .await?;
        }
        "block" => {
            branch!("aside", automerge = true, {
                begin();
                spawn!("c", barrier_child());
            })
            .await?;
        }
        _ => {
            let policy = RetryPolicy::new().base(secs(2)).jitter(false);
            step!("aside", retry = policy, {
                anyhow::ensure!(probe.nth("attempt") > 1, "once");
                begin();
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// An operation is let go, kept aside while another outcome arrives, and polled then.
#[workflow]
async fn kept_aside(
    cx: Context,
    probe: State<Probe>,
    seen: State<Durable>,
    how: String,
) -> Result<()> {
    let mut aside = Box::pin(aside(&cx, &probe, &seen, &how));
    if how == "retry" {
        tokio::select! {
            biased;
            _ = &mut aside => {}
            () = wait!("first", secs(1)) => {}
        }
    } else {
        assert!(futures::poll!(&mut aside).is_pending());
    }
    step!("quote", {
        probe.note("quote");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    aside.await
}

#[scenario]
async fn what_was_let_go_and_is_polled_later_asks_the_barrier_again(world: &World) {
    let seen = Durable(Mutex::new(world.rows()));
    let builder = world
        .builder([kept_aside::NAME, barrier_child::NAME])
        .state(seen);
    let forge = builder.open().await.unwrap();
    for how in [
        "step",
        "wait_until",
        "continue_if",
        "until",
        "block",
        "retry",
    ] {
        let quotes = world.probe.count("quote");
        world.probe.set("go", 0);
        let run = forge.start(how, kept_aside(how.into())).await.unwrap();
        if how == "retry" {
            world.noted("attempt", 1).await;
            world.until(|| !world.rows().errors(how).is_empty()).await;
            world.clock.advance(secs(1));
        }
        world.noted("quote", quotes + 1).await;
        if how == "retry" {
            world.clock.advance(secs(1));
        }
        // What has come due is let go.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.probe.set("go", 1);
        assert_eq!(world.settle(how).await.state, COMPLETED, "{how}");
        run.result().await.unwrap();
        assert_eq!(
            world
                .probe
                .count(&format!("{how} behind what was seen: true")),
            1,
            "{:?}",
            world.probe.log()
        );
        assert_eq!(
            world
                .probe
                .count(&format!("{how} behind what was seen: false")),
            0,
            "{:?}",
            world.probe.log()
        );
    }
}
