//! Two processes that write to one database at the same time.

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{labour_left, labour_right};
use chrono_forge_tests::process::bounded;

use crate::ground;

const RUNS: i64 = 2_000;

#[backends]
fn neither_process_starves_the_other_of_the_write_lock(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
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
        let _left = ground.victim(&["--queue", "left"], "");
        let _right = ground.victim(&["--queue", "right"], "");
        let connection = ground.look();
        let done = |queue: &str| {
            let sql = format!(
                "SELECT count(*) FROM chrono_forge_workflows WHERE queue = '{queue}' AND state = 2"
            );
            connection.number(&sql, &[])
        };
        // Neither is judged for what it did before the other was there.
        ground.await_that("both have begun", || done("left").min(done("right")) > 0);
        let begun = (done("left"), done("right"));
        ground.await_that("one of them is done", || {
            done("left").max(done("right")) == RUNS
        });
        let (left, right) = (done("left") - begun.0, done("right") - begun.1);
        assert!(
            left.min(right) * 5 >= left.max(right),
            "since both had begun one completed {left}, the other {right}"
        );
        ground.await_that("both are done", || done("left").min(done("right")) == RUNS);
        ground.assert_whole(0);
    });
}
