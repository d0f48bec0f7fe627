//! The test suites, one step a database.

use anyhow::Result;

use crate::cargo;
use crate::server::{self, Server};
use crate::step::{Outcome, Step};

/// Threads of a test binary. Most tests wait for a disk, a lease or a process more than they
/// compute, so one more than CI's two cores keeps both at work.
const SUITE_THREADS: &str = "3";

pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new("tests, SQLite", || {
            cargo::run_with(
                &["test", "--workspace", "--no-fail-fast"].map(str::to_owned),
                &[("RUST_TEST_THREADS", SUITE_THREADS)],
            )
        }),
        Step::new("tests, PostgreSQL", || {
            let arguments = ["--no-fail-fast", "--", "postgres"];
            postgres(&arguments, &[("RUST_TEST_THREADS", SUITE_THREADS)])
        }),
        // These know no other half. Two at a time: they kill, freeze and cut off processes, and wait for leases to
        // be over more than they compute.
        Step::new("many processes, PostgreSQL", || {
            let arguments = [
                "--no-fail-fast",
                "--test",
                "cluster",
                "--test",
                "connections",
                "--test",
                "soak",
            ];
            postgres(&arguments, &[("RUST_TEST_THREADS", "2")])
        }),
        // By itself: a million runs on their way to the disk are no neighbours for what keeps an eye on time.
        Step::new("query plans, PostgreSQL", || {
            let arguments = ["--lib", "--", "among_a_crowd"];
            postgres(&arguments, &[("CHRONO_FORGE_TEST_CROWD_RUNS", "1000000")])
        }),
    ]
}

/// The same suites against a server; by their names, since the other half has just run.
fn postgres(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome> {
    let Some(server) = Server::find()? else {
        let missing = "there is no PostgreSQL server, nor the programs to start one";
        return server::absent(&format!("{missing}; set {}", server::URL));
    };
    let arguments = [
        &["test", "--workspace", "--features", "postgres"],
        arguments,
    ]
    .concat();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let environment = [environment, &[(server::URL, &*server.url)]].concat();
    cargo::run_with(&arguments, &environment)
}
