//! Two processes that write to one file at the same time.

use chrono_forge_tests::labour::{labour_left, labour_right};
use chrono_forge_tests::process::bounded;
use chrono_forge_tests::rows;

use crate::ground;

const RUNS: i64 = 200;

#[test]
fn neither_process_starves_the_other_of_the_write_lock() {
    bounded(async {
        let ground = ground();
        let forge = ground.observer().await;
        let _left = ground.victim(&["--queue", "left"], "");
        let _right = ground.victim(&["--queue", "right"], "");
        let connection = ground.look();
        // Both live before either has work, so that neither has a head start.
        ground.await_that("both processes live", || {
            let sql = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
            rows::number(&connection, sql) == 2
        });
        for n in 0..RUNS {
            let (left, right) = (format!("left{n}"), format!("right{n}"));
            forge
                .start(&left, labour_left(ground.out(), 6, 0))
                .await
                .unwrap();
            forge
                .start(&right, labour_right(ground.out(), 6, 0))
                .await
                .unwrap();
        }
        let done = |queue: &str| {
            let sql = format!(
                "SELECT count(*) FROM chrono_forge_workflows WHERE queue = '{queue}' AND state = 2"
            );
            rows::number(&connection, &sql)
        };
        ground.await_that("one of them is done", || {
            done("left").max(done("right")) == RUNS
        });
        let slower = done("left").min(done("right"));
        assert!(
            slower >= RUNS / 5,
            "the slower one completed {slower} of {RUNS}"
        );
        ground.await_that("both are done", || done("left").min(done("right")) == RUNS);
        ground.assert_whole(0);
    });
}
