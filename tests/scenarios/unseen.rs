//! What the engine wrote and cannot see is trouble of the database, not of the run.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use chrono_forge_tests::telling;

/// Larger than what is read with the other records.
const LARGE: usize = 5_000;

#[workflow]
async fn unseen_large(probe: State<Probe>) -> Result<usize> {
    if probe.nth("pass") == 2 {
        // Its records are read.
        probe.note("holds");
        while !probe.is("go") {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let text = step!("large", {
        probe.note("large");
        Ok("x".repeat(LARGE))
    })
    .await?;
    wait!("pause", hours(1)).await;
    Ok(text.len())
}

/// Gone from the run, or back.
fn turn(world: &World) {
    let sql = "UPDATE chrono_forge_execution_logs SET workflow_id = -workflow_id
        WHERE step_name = 'step$large'";
    assert_eq!(world.rows().edit(sql, &[]), 1);
}

#[scenario(threads = 2)]
async fn a_large_result_that_is_gone_drops_the_pass_which_goes_on_once_it_is_back(world: &World) {
    telling::listen();
    let second = Duration::from_secs(1);
    let forge = world.builder([unseen_large::NAME]).lease(4 * second);
    let forge = forge.heartbeat(second / 2).open().await.unwrap();
    let run = forge.start("k", unseen_large()).await.unwrap();
    world.parked("k").await;
    forge.wake::<unseen_large>("k").await.unwrap();
    world.noted("holds", 1).await;
    let record = world.rows().record("k", "step$large").id;
    turn(world);
    world.probe.set("go", 1);
    // The run is handed back at a heartbeat, which finds that nobody executes it.
    let words = [
        "ERROR",
        "cannot be seen",
        &format!("the result of record {record}"),
    ];
    world.until(|| !telling::told(&words).is_empty()).await;
    turn(world);
    world.noted("pass", 3).await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), LARGE);
    assert_eq!(world.probe.count("large"), 1, "nothing runs again");
    assert_eq!(world.rows().errors("k").len(), 0);
    assert_eq!(world.rows().run("k").crashes, 0);
}
