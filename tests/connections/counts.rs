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
            let most = most_during(&server, crowd(&forge, executes)).await;
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
