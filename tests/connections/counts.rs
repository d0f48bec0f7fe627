//! How many sessions of the server a process takes, and that it gives them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono_forge::Forge;
use chrono_forge_tests::server::Server;

use crate::world::{bounded, connect, engine, family, prove, server, text};

/// Those of the engine, by the name that its URL gives them.
const OURS: &str =
    "SELECT count(*)::text AS text FROM pg_stat_activity WHERE application_name = 'counted'";

/// How often a crowd may come before all sessions must have been at work at once.
const CROWDS: u32 = 40;

fn sessions(server: &Server) -> u32 {
    text(&mut connect(&server.url("")), OURS).parse().unwrap()
}

/// The most sessions that there are at a time while `work` is done.
async fn most_during(server: &Server, work: impl Future<Output = ()>) -> u32 {
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, mut conn) = (Arc::clone(&is_over), connect(&server.url("")));
    let observer = std::thread::spawn(move || {
        let mut most = 0;
        while !over.load(Ordering::Acquire) {
            most = most.max(text(&mut conn, OURS).parse().unwrap());
            std::thread::sleep(Duration::from_millis(3));
        }
        most
    });
    work.await;
    is_over.store(true, Ordering::Release);
    observer.join().unwrap()
}

/// Many starts, passes and reads at once.
async fn crowd(forge: &Forge, executes: bool) {
    let ones = (0..24).map(|nth| async move {
        let key = nth.to_string();
        if executes {
            prove(forge, &key).await;
        }
        let run = forge.start(&key, family(40)).await.unwrap();
        for _ in 0..20 {
            run.state().await.unwrap();
            run.branches().await.unwrap();
        }
    });
    futures::future::join_all(ones).await;
}

#[test]
fn a_process_takes_as_many_sessions_as_the_guide_says_and_gives_them_back() {
    let test = "a_process_takes_as_many_sessions_as_the_guide_says_and_gives_them_back";
    let Some(server) = server(test) else {
        return;
    };
    // writers + readers + claims and calls + heartbeats + an ear; without a worker no heartbeats, and one writer.
    for (schema, parameters, readers, executes, said) in [
        ("a", "", 4, true, 9),
        ("b", "&writers=1", 1, true, 5),
        ("c", "&notify=off", 4, true, 8),
        ("d", "", 4, false, 7),
    ] {
        bounded(async {
            let url = format!("schema={schema}&application_name=counted{parameters}");
            let builder = engine(&server.url(&url)).readers(readers).worker(executes);
            let forge = builder.open().await.unwrap();
            // On a busy machine not all of them may be at work at once the first time.
            let mut most = 0;
            for _ in 0..CROWDS {
                most = most.max(most_during(&server, crowd(&forge, executes)).await);
                if most >= said {
                    break;
                }
            }
            assert_eq!(most, said, "{parameters}");
            forge.shutdown().await;
        });
        let asked = Instant::now();
        while sessions(&server) > 0 {
            assert!(
                asked.elapsed() < Duration::from_secs(20),
                "{} stay",
                sessions(&server)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Names of this process's threads that are an engine's.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    // One that has just ended has no name.
    let names = names.filter_map(Result::ok);
    names
        .filter(|name| name.starts_with("chrono-forge"))
        .collect()
}

/// A thread that still talks to the server when its process ends has the TLS library taken away under it.
#[cfg(target_os = "linux")]
#[test]
fn an_engine_that_is_dropped_leaves_no_thread_behind() {
    const ALONE: &str = "CHRONO_FORGE_TEST_ALONE";
    let test = "an_engine_that_is_dropped_leaves_no_thread_behind";
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own: others have engines, too.
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", &format!("counts::{test}")]);
        assert!(alone.env(ALONE, "1").status().unwrap().success());
        return;
    }
    let Some(server) = server(test) else {
        return;
    };
    let mut left = 0;
    bounded(async {
        for round in 0..8 {
            let builder = engine(&server.url("schema=forge")).worker(round % 2 == 0);
            let forge = builder.open().await.unwrap();
            // A thread that has only just begun has no name yet.
            while threads().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(forge);
            // The system takes a moment to forget a thread.
            std::thread::sleep(Duration::from_millis(5));
            left += usize::from(!threads().is_empty());
        }
    });
    // A busy machine may take longer; threads that nobody waits for are there nearly every time.
    assert!(left <= 3, "{left} of 8 times");
}
