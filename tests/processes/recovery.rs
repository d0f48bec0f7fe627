//! Recovery by hand from another process than the worker's.

use chrono_forge::{Error, RetryFilter, RunError, Workflow};
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{awaits_file, hangs_once, killer};
use chrono_forge_tests::process::{Ground, bounded};

use crate::ground;

/// Executions of a step.
fn count(ground: &Ground, run: &str, step: &str) -> usize {
    let lines = ground.lines();
    let begins = lines.iter().filter(|line| line.edge == "begin");
    begins
        .filter(|line| line.run == run && line.step == step)
        .count()
}

#[backends]
fn a_retry_by_another_process_is_taken_up_by_the_worker(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let _worker = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        let flag = format!("{}.flag", ground.out());
        for key in ["one", "two", "three"] {
            let labour = awaits_file(ground.out(), flag.clone());
            let run = forge.start(key, labour).await.unwrap();
            let error = run.result().await.unwrap_err();
            assert!(matches!(error, RunError::Stalled { .. }), "{error}");
        }
        std::fs::write(&flag, "").unwrap();
        let retried = forge.retry::<awaits_file>("one").await.unwrap();
        assert_eq!(retried.records, ["step$look"]);
        let rest = RetryFilter::new()
            .workflow(awaits_file::NAME)
            .stalled_by("look");
        assert_eq!(forge.retry_all(rest).await.unwrap(), 2);
        for key in ["one", "two", "three"] {
            let run = forge.get::<awaits_file>(key).await.unwrap().unwrap();
            assert_eq!(run.result().await.unwrap(), 2);
            assert_eq!(
                (count(&ground, key, "look"), count(&ground, key, "then")),
                (2, 1)
            );
        }
        ground.assert_whole(1);
    });
}

#[backends]
fn a_retry_survives_the_death_of_everyone(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let flag = format!("{}.flag", ground.out());
        let forge = ground.observer().await;
        let labour = awaits_file(ground.out(), flag.clone());
        let run = forge.start("r", labour).await.unwrap();
        let mut worker = ground.victim(ground.lease(), "");
        assert!(run.result().await.is_err());
        worker.kill();
        std::fs::write(&flag, "").unwrap();
        forge.retry::<awaits_file>("r").await.unwrap();
        let again = forge.retry::<awaits_file>("r").await;
        assert!(
            matches!(again, Err(Error::NotRetryable { .. })),
            "{again:?}"
        );
        // The next worker dies at its first write after the claim; the one after that finishes.
        let mut second = ground.victim(ground.lease(), "commit.before.apply=1");
        assert!(!second.ended().success());
        let _third = ground.victim(ground.lease(), "");
        assert_eq!(run.result().await.unwrap(), 2);
        assert_eq!(count(&ground, "r", "then"), 1);
        ground.assert_whole(2);
    });
}

#[backends]
fn a_hanging_run_is_taken_from_a_worker_of_another_process(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let first = ground.victim(&[ground.lease(), &["--heartbeat-ms", "100"]].concat(), "");
        let forge = ground.observer().await;
        let run = forge.start("r", hangs_once(ground.out())).await.unwrap();
        ground.await_row(
            "the hang is noted",
            "SELECT count(*) FROM chrono_forge_execution_logs
            WHERE step_name = 'step$hang' AND field(metadata, 'executing') IS NOT NULL",
        );
        let operations = run.operations().await.unwrap();
        assert_eq!((operations.len(), &*operations[0].key), (1, "hang"));
        assert!(operations[0].executing_for.is_some(), "{operations:?}");
        forge.unlock::<hangs_once>("r").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 2);
        assert_eq!(
            (count(&ground, "r", "before"), count(&ground, "r", "hang")),
            (1, 2)
        );
        let row = "SELECT key || ' ' || crashes || ' ' || lock_epoch FROM chrono_forge_workflows";
        let row = ground.look().texts(row, &[]);
        assert!(row[0].starts_with("r 0 "), "{row:?}");
        // The first pass is gone, so the worker is able to stop.
        first.signal("TERM");
        let mut first = first;
        assert!(first.ended().success());
        ground.assert_whole(1);
    });
}

#[backends]
fn a_killer_that_was_retried_kills_as_often_again_before_it_is_poison_again(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        let run = forge.start("killer", killer(ground.out())).await.unwrap();
        let mut deaths = Vec::new();
        for _ in 0..2 {
            let before = count(&ground, "killer", "kill");
            loop {
                let mut victim = ground.doomed(ground.lease());
                let over = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 3";
                if count(&ground, "killer", "kill") == before + 7 {
                    ground.await_row("the killer is failed", over);
                    break;
                }
                assert!(!victim.ended().success());
            }
            deaths.push(count(&ground, "killer", "kill") - before);
            let error = run.result().await.unwrap_err().to_string();
            assert!(error.contains("call forge.retry"), "{error}");
            assert!(
                forge
                    .retry::<killer>("killer")
                    .await
                    .unwrap()
                    .records
                    .is_empty()
            );
        }
        assert_eq!(deaths, [7, 7]);
    });
}
