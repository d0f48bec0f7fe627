//! A service and what happens to it, phase by phase.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::testing::Failpoints;
use chrono_forge::{Builder, RunState};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::database::Database;
use chrono_forge_tests::scenario::Probe;
use chrono_forge_tests::telling;

use crate::mask::{mask, mask_process};

const HASTY: RetryPolicy = RetryPolicy::new()
    .max_attempts(2)
    .base(Duration::from_millis(1))
    .jitter(false);

/// What tells of a machine that is busy with something else.
const LOAD: [&str; 2] = ["keeps the thread that polls it", "the runtime polls"];

/// What is told of a lease while the database is there: the same.
const LEASE: [&str; 2] = ["the heartbeat", "the lease"];

const OUTAGE: &str = "the database cannot be written to";

#[workflow]
async fn order(n: u32) -> Result<()> {
    step!("charge", retry = HASTY, {
        anyhow::ensure!(n != 17 && n != 600, "card declined");
        Ok(())
    })
    .await?;
    step!("ship", { Ok(()) }).await?;
    Ok(())
}

#[workflow]
async fn render(probe: State<Probe>) -> Result<()> {
    step!("frames", {
        probe.note("rendered");
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn thumbnails() -> Result<()> {
    step!("decode", { Ok(()) }).await?;
    Ok(())
}

#[workflow]
async fn subscription(probe: State<Probe>) -> Result<()> {
    match probe.is("v2") {
        true => step!("charge-card", { Ok(()) }).await?,
        false => step!("charge", { Ok(()) }).await?,
    }
    continue_if!("cancelled", { Ok(probe.is("cancelled")) }).await?;
    step!("bill", { Ok(()) }).await?;
    Ok(())
}

/// A database, what happened on it, and the log up to now.
struct Ground {
    database: Database,
    probe: Probe,
    log: String,
    seen: usize,
}

/// Runs the service; answers its log.
pub(crate) async fn run() -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut ground = Ground {
        database: Database::new(Backend::Sqlite, folder, 2),
        probe: Probe::default(),
        log: String::new(),
        seen: 0,
    };
    let builder = ground.builder("service", [order::NAME, render::NAME, subscription::NAME]);
    let service = builder.open().await.unwrap();
    ground.phase("a service is opened");
    orders(&service).await;
    ground.phase("a thousand orders, two of which stall");
    ground.a_worker_dies(&service).await;
    ground.phase("another worker dies");
    ground.a_killer().await;
    ground.phase("a run kills each worker that takes it");
    ground.a_deploy(&service).await;
    ground.phase("a deploy renames a step");
    ground.an_outage(&service).await;
    ground.phase(OUTAGE);
    service.shutdown().await;
    ground.phase("the service leaves");
    ground.log
}

async fn orders(service: &Forge) {
    let starts = (0..1_000_u32).map(|n| async move {
        let run = service
            .start(&format!("order {n}"), order(n))
            .await
            .unwrap();
        (n, run.result().await)
    });
    for (n, result) in futures::future::join_all(starts).await {
        assert_eq!(result.is_ok(), n != 17 && n != 600, "{n}: {result:?}");
    }
}

impl Ground {
    fn builder(&self, name: &str, workflows: impl IntoIterator<Item = &'static str>) -> Builder {
        Forge::builder(&self.database.url())
            .worker_name(name)
            .workflows(workflows)
            // What is due is heard of; a claim in vain would be one more line of the outage.
            .poll_interval(Duration::from_secs(3_600))
            .state(self.probe.clone())
    }

    /// Opens a worker that dies once it begins this step.
    async fn mortal(&self, name: &str, workflow: &'static str, step: &str) -> Forge {
        let failpoints = Arc::new(Failpoints::default());
        failpoints.arm(&format!("step.before.{step}"), 1);
        let builder = self.builder(name, [workflow]).failpoints(failpoints);
        builder.open().await.unwrap()
    }

    /// What was told since the last phase, as it is compared.
    fn phase(&mut self, name: &str) {
        let told = telling::told_after(self.seen);
        self.seen += told.len();
        let folder = self.database.folder().display().to_string();
        let is_of = |line: &str, parts: &[&str]| parts.iter().any(|part| line.contains(part));
        let is_shown = |line: &&String| {
            let of_load = is_of(line, &LOAD) || name != OUTAGE && is_of(line, &LEASE);
            !line.starts_with("DEBUG") && !of_load
        };
        let lines = told.iter().filter(is_shown);
        let mut lines: Vec<String> = lines
            .map(|line| mask_process(&mask(line, &folder)))
            .collect();
        lines.sort();
        // Seven workers come like one, and what lasts is told every ten seconds.
        lines.dedup();
        let _ = writeln!(self.log, "# {name}");
        for line in lines {
            let _ = writeln!(self.log, "{line}");
        }
    }

    fn number(&self, sql: &str) -> i64 {
        self.database.look().number(sql, &[])
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn a_worker_dies(&self, service: &Forge) {
        let other = self.mortal("renderer", render::NAME, "frames").await;
        // Claimed by who starts it.
        let _ = other.start("film", render()).await;
        other.crashed().await;
        let run = service.get::<render>("film").await.unwrap().unwrap();
        run.result().await.unwrap();
        // That it was told of is not waited for by the run.
        telling::heard(&["a worker died"], 1).await;
        assert_eq!(self.probe.count("rendered"), 1);
    }

    /// Two deaths lead into quarantine, and five in quarantine to the end.
    async fn a_killer(&self) {
        for death in 1..=7 {
            let victim = self.mortal("decoder", thumbnails::NAME, "decode").await;
            if death == 1 {
                let _ = victim.start("picture", thumbnails()).await;
            }
            victim.crashed().await;
            drop(victim);
            telling::heard(&["a worker died"], 1 + death).await;
        }
        let failed =
            "SELECT count(*) FROM chrono_forge_workflows WHERE key = 'picture' AND state = 3";
        self.until(|| self.number(failed) == 1).await;
        telling::heard(&["poison", "picture"], 1).await;
    }

    async fn a_deploy(&self, service: &Forge) {
        let run = service.start("ada", subscription()).await.unwrap();
        let parked = "SELECT count(*) FROM chrono_forge_workflows
            WHERE key = 'ada' AND state = 0 AND wake_at IS NULL";
        self.until(|| self.number(parked) == 1).await;
        self.probe.set("v2", 1);
        self.probe.set("cancelled", 1);
        run.wake().await.unwrap();
        run.result().await.unwrap();
    }

    async fn an_outage(&self, service: &Forge) {
        let hold = self.database.hold_writes();
        telling::heard(&["a heartbeat failed"], 1).await;
        telling::heard(&["the lease was not renewed in time"], 1).await;
        // Asked while nobody can write, and written once somebody can.
        let start = service.start("late", order(1));
        let (run, ()) = tokio::join!(start, async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(hold);
        });
        let run = run.unwrap();
        run.result().await.unwrap();
        assert_eq!(run.state().await.unwrap(), RunState::Completed);
        telling::heard(&["the heartbeat succeeds again"], 1).await;
        telling::heard(&["the lease is renewed again"], 1).await;
    }
}
