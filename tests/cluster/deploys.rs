//! A release with a newer schema is deployed beside workers, a reader and a dump: nobody waits for
//! it, no step runs twice, and a deploy that is killed leaves nothing half done. Its migrations
//! lock nothing that workers use; one that does is in the store's tests of deploys.

use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono_forge::Forge;
use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::{Victim, bounded_by};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;

use crate::fleet::{Fleet, HANGS};

/// What the older release had. The next migration makes a table, and the one after it views, and
/// comments on tables in use.
const OLDER: &str = "20261201000010";

/// Whether the first of the two is done, and whether the second one is or has made anything.
const TABLE: &str = "SELECT count(*) AS number FROM chrono_forge_schema_migrations
    WHERE version = '20261202000011' AND to_regclass('chrono_forge_applications') IS NOT NULL";
const VIEWS: &str = "SELECT (SELECT count(*) FROM pg_views WHERE viewname LIKE 'chrono_forge_%')
    + (SELECT count(*) FROM chrono_forge_schema_migrations WHERE version = '20261202000012') AS number";

/// Behind whoever keeps others from changing `chrono_forge_workflows`.
const WAITS: &str = "SELECT count(*) AS number FROM pg_locks
    WHERE relation = 'chrono_forge_workflows'::regclass AND NOT granted";

/// As a report or a console does that was left open, and a vacuum by hand.
const READS: &str = "BEGIN; SELECT count(*) FROM chrono_forge_workflows, chrono_forge_workers";
const VACUUMS: &str = "BEGIN; LOCK TABLE chrono_forge_workflows IN SHARE UPDATE EXCLUSIVE MODE";

const CHILDREN: u32 = 1_500;
const STEPS: u32 = 8;

fn session(fleet: &Fleet, begin: &str) -> PgConnection {
    let mut session = fleet.look().unwrap();
    session.batch_execute(begin).unwrap();
    session
}

fn dump(fleet: &Fleet, file: &Path) -> Child {
    let mut dump = fleet.server.program("pg_dump");
    let url = fleet.server.url("");
    dump.args(["-Fc", "-d", &url]).arg("-f").arg(file);
    dump.spawn().unwrap()
}

/// The longest that a worker's row was without a heartbeat, until it is told to stop.
fn longest_silence(fleet: &Fleet, stop: &AtomicBool) -> Duration {
    let mut longest = 0;
    while !stop.load(Ordering::Relaxed) {
        let silence = fleet.number(
            "SELECT (extract(epoch FROM max(clock_timestamp() - heartbeat_at)) * 1000)::bigint AS number
            FROM chrono_forge_workers WHERE stopped_at IS NULL",
        );
        longest = longest.max(silence.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    Duration::from_millis(longest.unsigned_abs())
}

/// Set once this is dropped, also by a panic.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One that is killed while it waits, then one that has its way.
fn deploy(fleet: &Fleet) -> Victim {
    let mut vacuum = session(fleet, VACUUMS);
    let mut killed = fleet.unwatched();
    fleet.await_row("it waits for who is in the way", WAITS);
    killed.kill();
    let begun = Instant::now();
    while fleet.number(WAITS) != Some(0) {
        assert!(begun.elapsed() < HANGS, "its session is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        (fleet.number(TABLE), fleet.number(VIEWS)),
        (Some(1), Some(0))
    );
    vacuum.batch_execute("COMMIT").unwrap();
    let worker = fleet.worker();
    assert!(fleet.number(VIEWS) > Some(1));
    worker
}

fn assert_once(fleet: &Fleet) {
    let mut begun: Vec<_> = fleet.lines().into_iter().collect();
    begun.retain(|line| line.edge == "begin");
    let all = begun.len();
    let mut places: Vec<_> = begun.iter().map(|line| (&line.run, &line.step)).collect();
    places.sort_unstable();
    places.dedup();
    let expected = (CHILDREN * STEPS) as usize;
    assert_eq!((all, places.len()), (expected, expected));
    let crashed = "SELECT count(*) AS number FROM chrono_forge_workflows WHERE crashes > 0";
    assert_eq!(fleet.number(crashed), Some(0));
}

#[test]
fn a_deploy_beside_a_reader_and_a_dump_stops_nobody_and_repeats_no_step() {
    let test = "a_deploy_beside_a_reader_and_a_dump_stops_nobody_and_repeats_no_step";
    let Some(mut fleet) = Fleet::start(test) else {
        return;
    };
    fleet.lease = Duration::from_secs(6);
    let fleet = &fleet;
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let silence = std::thread::scope(|scope| {
        let silence = scope.spawn(|| {
            let workers = "SELECT count(*) AS number FROM chrono_forge_workers";
            while fleet.number(workers) < Some(2) && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            longest_silence(fleet, &stop)
        });
        let ends = Ends(&stop);
        bounded_by(HANGS, async {
            let _older = [fleet.worker(), fleet.worker()];
            let forge = fleet.observer().await;
            let family = fan(fleet.out(), CHILDREN, STEPS, 100);
            let run = forge.start("p", family).await.unwrap();
            let older = Forge::builder(&fleet.server.url(""));
            older.revert_migrations(OLDER).await.unwrap();
            let mut reader = session(fleet, READS);
            let mut dump = dump(fleet, &folder.path().join("dump"));
            let _newer = deploy(fleet);
            let completed = "SELECT count(*) AS number FROM chrono_forge_workflows WHERE state = 2";
            let done = fleet.number(completed).unwrap();
            assert!(done < i64::from(CHILDREN), "nobody was at work any more");
            assert!(dump.wait().unwrap().success());
            assert_eq!(run.result().await.unwrap(), CHILDREN * STEPS);
            reader.batch_execute("COMMIT").unwrap();
        });
        drop(ends);
        silence.join().unwrap()
    });
    fleet.assert_whole(u64::from(CHILDREN), u64::from(STEPS));
    assert_once(fleet);
    // One heartbeat comes every quarter of a lease.
    assert!(silence < fleet.lease * 3 / 4, "{silence:?}");
}
