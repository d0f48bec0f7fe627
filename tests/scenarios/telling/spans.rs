//! The span of an attempt: what user code logs is told apart.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling::{USER, listen, open_spans, told};

struct Logs(&'static str);

impl Drop for Logs {
    fn drop(&mut self) {
        tracing::info!(target: USER, "{} is dropped", self.0);
    }
}

#[workflow]
async fn spanned(probe: State<Probe>, key: String) -> Result<()> {
    let once = RetryPolicy::new().max_attempts(2).base(Duration::ZERO);
    step!("charge", retry = once, async {
        tracing::info!(target: USER, "{key} asks the bank");
        tokio::task::yield_now().await;
        let _logs = Logs("the connection");
        anyhow::ensure!(probe.nth(&key) > 1, "not yet");
        Ok(())
    })
    .await?;
    wait_until!("settled", every = Duration::from_secs(1), {
        tracing::info!(target: USER, "{key} looks");
        Ok(true)
    })
    .await?;
    repeat!(
        "night",
        every = Duration::from_secs(1),
        until = { Ok(probe.count(&format!("{key} ticks")) > 0) },
        |_| {
            tracing::info!(target: USER, "{key} ticks");
            probe.note(format!("{key} ticks"));
            Ok(())
        }
    )
    .await?;
    tracing::info!(target: USER, "{key} is done");
    Ok(())
}

#[scenario]
async fn each_attempt_runs_in_a_span_that_says_of_what_it_is(world: &World) {
    listen();
    let forge = world.forge([spanned::NAME]).await;
    let names = ["ada", "bob"].map(|name| format!("{name} {:?}", world.backend()));
    for name in &names {
        forge.start(name, spanned(name.clone())).await.unwrap();
    }
    for name in &names {
        world.settle(name).await;
        let span = |step: &str, attempt: u32| {
            format!(
                "INFO step{{workflow=\"spanned\" key={name:?} step={step:?} attempt={attempt}}}"
            )
        };
        for attempt in [1, 2] {
            let span = span("charge", attempt);
            assert_eq!(told(&[&span, "asks the bank"]).len(), 1, "{span}");
            assert_eq!(
                told(&[&span, "the connection is dropped"]).len(),
                1,
                "{span}"
            );
        }
        assert_eq!(told(&[&span("settled", 1), "looks"]).len(), 1);
        assert_eq!(told(&[&span("night", 1), "ticks"]).len(), 1);
        // The body itself is in none: it is polled for all of them.
        let done = told(&[&format!("{name} is done")]);
        assert!(done.iter().all(|line| !line.contains("step{")), "{done:?}");
        let of_run = format!("key={name:?}");
        let open: Vec<String> = open_spans()
            .into_iter()
            .filter(|span| span.contains(&of_run))
            .collect();
        assert!(open.is_empty(), "{open:?}");
    }
}
