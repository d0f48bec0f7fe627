//! Rows that the code no longer reads.

use chrono_forge::RunError;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

use super::{breaks_a_rule, healthy, serves_on};

#[workflow]
async fn keeps(probe: State<Probe>, n: u32) -> Result<u32> {
    let a = step!("a", { Ok(n) }).await?;
    wait!("pause", hours(1)).await;
    let child = branch!("grp", automerge = true, { spawn!("x", leaf()) }).await?;
    probe.note("merged");
    Ok(a + child.output().await?)
}

#[workflow]
async fn leaf() -> Result<u32> {
    wait!("nap", hours(1)).await;
    Ok(1)
}

#[scenario]
async fn a_stored_argument_that_does_not_read_back_fails_the_run(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    for (key, args) in [
        ("type", r#"{"n":"x"}"#),
        ("missing", "{}"),
        ("junk", "not json"),
    ] {
        forge.start(key, keeps(1)).await.unwrap();
        world.parked(key).await;
        world.rows().edit(
            "UPDATE chrono_forge_workflows SET args = ? WHERE key = ?",
            &[args.into(), key.into()],
        );
        breaks_a_rule(world, &forge, key, "the arguments of `keeps`").await;
    }
}

#[scenario]
async fn a_stored_result_that_does_not_read_back_fails_the_run(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    forge.start("k", keeps(1)).await.unwrap();
    world.parked("k").await;
    let sql = "UPDATE chrono_forge_execution_logs SET result = '\"x\"' WHERE step_name = 'step$a'";
    world.rows().edit(sql, &[]);
    breaks_a_rule(
        world,
        &forge,
        "k",
        "step!(\"a\"): the stored value does not read as `u32`",
    )
    .await;
}

#[scenario]
async fn a_child_s_output_that_does_not_read_back_fails_the_parent(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    forge.start("k", keeps(1)).await.unwrap();
    world.parked("k").await;
    world.clock.advance(hours(1));
    world.until(|| world.rows().find("k$grp$x").is_some()).await;
    let child = world.parked("k$grp$x").await;
    world.quiet().await;
    world.rows().spoil_output(child.id, "[]");
    breaks_a_rule(world, &forge, "k", "the output of child \"k$grp$x\"").await;
    assert_eq!(world.probe.count("merged"), 1);
}

#[scenario]
async fn a_stored_output_that_does_not_read_back_is_a_typed_error_of_result(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    forge
        .start("k", healthy())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    world
        .rows()
        .edit("UPDATE chrono_forge_workflows SET output = '[]'", &[]);
    let run = forge.get::<healthy>("k").await.unwrap().unwrap();
    assert_eq!(world.rows().run("k").state, COMPLETED);
    assert!(matches!(
        run.result().await,
        Err(RunError::Undecodable { .. })
    ));
    world.rows().edit("DELETE FROM chrono_forge_workflows", &[]);
    assert!(matches!(run.result().await, Err(RunError::Missing { .. })));
    assert!(matches!(run.state().await, Err(RunError::Missing { .. })));
    serves_on(&forge, "output").await;
}

#[scenario]
async fn a_due_row_of_an_unknown_workflow_is_left_alone(world: &World) {
    let client = world.client().await;
    client.start("k", healthy()).await.unwrap();
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET workflow = 'nobody_knows'",
        &[],
    );
    let forge = world.forge([healthy::NAME]).await;
    serves_on(&forge, "unknown").await;
    let row = world.rows().run("k");
    assert_eq!((row.state, row.lock_epoch, row.crashes), (0, 0, 0));
}

#[scenario]
async fn bytes_that_the_database_refuses_fail_their_run_and_no_other(world: &World) {
    let forge = world.forge([healthy::NAME, keeps::NAME, leaf::NAME]).await;
    world.rows().refuse(
        "chrono_forge_execution_logs",
        "new.step_name = 'step$a'",
        "not these bytes",
    );
    let fine = forge.start("fine", healthy()).await.unwrap();
    forge.start("k", keeps(1)).await.unwrap();
    breaks_a_rule(
        world,
        &forge,
        "k",
        "the database refused what this run wrote",
    )
    .await;
    assert_eq!(fine.result().await.unwrap(), 1);
    assert!(world.rows().records("k").is_empty());
}
