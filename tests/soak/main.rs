//! A mixed load under every trouble at random: processes killed, frozen and asked to stop, clocks set back and forward,
//! locks held, the disk full, the server restarted. In the end nothing that was recorded ran twice, nothing that was
//! acknowledged is lost, and no claim, no worker's row and no lock file is left behind.
//!
//! Short by default; `CHRONO_FORGE_SOAK_SECONDS=1800` makes it half an hour a database. `CHRONO_FORGE_SOAK_SEED` draws
//! other troubles. A full disk needs a file system of its own, which only root can mount: elsewhere that trouble is
//! left out, and the test says so.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests are tests, too, and who asks for figures reads them"
)]

mod beside;
mod disk;
mod ground;
mod load;
mod log;
mod rows;
mod trouble;
mod verdict;

use std::time::Duration;

use chrono_forge_tests::process::bounded_by;

use ground::Ground;
use load::Load;
use trouble::Trouble;

/// How long the runs that are left may take once all troubles are over.
const CALM: Duration = Duration::from_secs(240);

/// How long troubles are made, unless the environment says otherwise.
const SECONDS: u64 = 15;

/// A figure of the environment.
fn figure(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("CHRONO_FORGE_SOAK_{name}"));
    text.map_or(default, |text| text.parse().expect("a number"))
}

fn soak(test: &str, ground: Option<Ground>) {
    let Some(ground) = ground else {
        return;
    };
    let time = Duration::from_secs(figure("SECONDS", SECONDS));
    bounded_by(time + CALM * 2, async {
        let load = Load::begin(&ground).await;
        let mut trouble = Trouble::new(&ground, figure("SEED", 0x2545_F491_4F6C_DD1D));
        let made = tokio::task::block_in_place(|| trouble.make(time));
        let runs = load.finish(CALM).await;
        trouble.retire();
        let effects = verdict::check(&ground, &runs);
        println!(
            "{test}: {time:?}, {} runs, {effects} effects, troubles {made:?}",
            runs.len()
        );
    });
}

#[test]
fn a_file_keeps_every_promise_under_every_trouble() {
    let test = "a_file_keeps_every_promise_under_every_trouble";
    soak(test, Some(Ground::file(test)));
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_keeps_every_promise_under_every_trouble() {
    let test = "a_server_keeps_every_promise_under_every_trouble";
    soak(test, Ground::server(test));
}

#[cfg(not(feature = "postgres"))]
#[test]
#[ignore = "skipped: needs the feature `postgres`"]
fn a_server_keeps_every_promise_under_every_trouble() {}
