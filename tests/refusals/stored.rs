//! Rows that the code no longer reads.

use chrono_forge::RunError;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, RUNNING, STALLED, World, scenario};
use serde::{Deserialize, Serialize};

use super::{breaks_a_rule, healthy, serves_on};

/// The run waits for a build that reads its values, and says which, each time that it is sent on.
async fn stalls(world: &World, forge: &Forge, key: &str, text: &str) {
    for times in 1..=2 {
        let row = world.settle(key).await;
        let errors = world.rows().errors(key);
        assert_eq!((row.state, row.wake_at), (STALLED, None), "{errors:?}");
        assert_eq!(errors.len(), times, "{errors:?}");
        assert!(errors[times - 1].message.contains(text), "{errors:?}");
        assert!(row.stalled_by.is_some_and(|what| text.contains(&what)));
        assert!(forge.retry::<keeps>(key).await.unwrap().records.is_empty());
    }
    world.settle(key).await;
    serves_on(forge, key).await;
}

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
async fn a_stored_argument_that_does_not_read_back_stalls_the_run(world: &World) {
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
        stalls(world, &forge, key, "the arguments of `keeps`").await;
    }
}

/// The run may be another application's that has a workflow of this name, or a newer build's: it is
/// not this one's to end.
#[scenario]
async fn arguments_that_cannot_be_read_before_anything_is_recorded_leave_the_run_to_others(
    world: &World,
) {
    let client = world.client().await;
    let run = client.start("k", keeps(1)).await.unwrap();
    let write = |args: &str| {
        let sql = "UPDATE chrono_forge_workflows SET args = ? WHERE key = 'k'";
        world.rows().edit(sql, &[args.into()]);
    };
    write(r#"{"name":"ada"}"#);
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    let is_given_back = || {
        let row = world.rows().run("k");
        row.state == IDLE && row.wake_at.is_some_and(|at| at > world.now())
    };
    for nth in 0..3 {
        world.until(is_given_back).await;
        assert!(world.rows().errors("k").is_empty() && world.rows().order("k").is_empty());
        serves_on(&forge, &format!("k{nth}")).await;
        world.clock.advance(hours(1));
    }
    world.until(is_given_back).await;
    // As the one that reads them has it.
    write(r#"{"n":4}"#);
    for _ in 0..4 {
        world.clock.advance(hours(1));
        world.quiet().await;
    }
    assert_eq!(run.result().await.unwrap(), 5);
    forge.shutdown().await;
    client.shutdown().await;
}

#[scenario]
async fn a_stored_result_that_does_not_read_back_stalls_the_run(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    forge.start("k", keeps(1)).await.unwrap();
    world.parked("k").await;
    let sql = "UPDATE chrono_forge_execution_logs SET result = '\"x\"' WHERE step_name = 'step$a'";
    world.rows().edit(sql, &[]);
    stalls(
        world,
        &forge,
        "k",
        "step!(\"a\"): the stored value does not read as `u32`",
    )
    .await;
}

#[scenario]
async fn a_child_s_output_that_does_not_read_back_stalls_the_parent(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    forge.start("k", keeps(1)).await.unwrap();
    world.parked("k").await;
    world.clock.advance(hours(1));
    world.until(|| world.rows().find("k$grp$x").is_some()).await;
    let child = world.parked("k$grp$x").await;
    world.quiet().await;
    world.rows().spoil_output(child.id, "[]");
    stalls(world, &forge, "k", "the output of child \"k$grp$x\"").await;
    // Each look comes as far.
    assert_eq!(world.probe.count("merged"), 3);
    let mend = "UPDATE chrono_forge_workflows SET output = '1' WHERE id = ?";
    world.rows().edit(mend, &[child.id.into()]);
    forge.retry::<keeps>("k").await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
}

#[derive(Debug, Serialize, Deserialize)]
enum Method {
    Card,
}

#[derive(Debug, Serialize, Deserialize)]
enum NewMethod {
    Card,
    Voucher { code: String },
}

#[workflow]
async fn pays_as_before(cx: Context) -> Result<String> {
    let method = step!("method", { Ok(Method::Card) }).await?;
    let noted: Option<Method> = cx.get("method")?;
    Ok(format!("{method:?} {noted:?}"))
}

#[workflow]
async fn pays_as_now(cx: Context, probe: State<Probe>, in_context: bool) -> Result<String> {
    let voucher = || NewMethod::Voucher {
        code: "x".to_owned(),
    };
    let method = step!("method", {
        probe.note("chosen");
        if in_context {
            cx.set("method", &voucher())?;
            return Ok(NewMethod::Card);
        }
        Ok(voucher())
    })
    .await?;
    wait!("pause", hours(1)).await;
    let noted: Option<NewMethod> = cx.get("method")?;
    Ok(format!("{method:?} {noted:?}"))
}

/// Half way through a deploy, or after it was taken back.
#[scenario]
async fn what_a_newer_build_recorded_stalls_under_an_older_one_and_nothing_is_lost(world: &World) {
    let names = [pays_as_before::NAME, pays_as_now::NAME, healthy::NAME];
    let forge = world.forge(names).await;
    let deploy = |name: &str| {
        let sql = "UPDATE chrono_forge_workflows SET workflow = ? WHERE key IN ('record', 'entry')";
        world.rows().edit(sql, &[name.into()]);
    };
    for (key, in_context) in [("record", false), ("entry", true)] {
        let run = pays_as_now(in_context);
        forge.start(key, run).await.unwrap();
        world.parked(key).await;
    }
    deploy(pays_as_before::NAME);
    world.clock.advance(hours(2));
    let told = [
        ("record", "step!(\"method\")"),
        ("entry", "context entry \"method\""),
    ];
    for (key, what) in told {
        let row = world.settle(key).await;
        let errors = world.rows().errors(key);
        assert_eq!(
            (row.state, row.stalled_by.as_deref()),
            (STALLED, Some(what))
        );
        let text = &errors[0].message;
        let names = ["Voucher", "Method", "forge.retry"];
        assert!(
            text.contains(what) && names.iter().all(|name| text.contains(name)),
            "{text}"
        );
    }
    deploy(pays_as_now::NAME);
    for (key, _) in told {
        forge.retry::<pays_as_now>(key).await.unwrap();
        assert_eq!(world.settle(key).await.state, COMPLETED);
    }
    assert_eq!(world.probe.count("chosen"), 2);
    serves_on(&forge, "deploys").await;
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
        "the database refused the data of this run",
    )
    .await;
    assert_eq!(fine.result().await.unwrap(), 1);
    assert!(world.rows().records("k").is_empty());
}

/// It would be refused again and again, whoever claims the run.
#[scenario]
async fn a_read_that_is_refused_for_what_is_stored_fails_the_run_once(world: &World) {
    let forge = world.forge([keeps::NAME, leaf::NAME, healthy::NAME]).await;
    forge.start("k", keeps(1)).await.unwrap();
    world.parked("k").await;
    let rows = world.rows();
    rows.look().refuse_reads("step$a");
    forge.wake::<keeps>("k").await.unwrap();
    world.until(|| rows.run("k").state > RUNNING).await;
    assert_eq!(rows.run("k").lock_epoch, 2, "it is claimed once");
    rows.look().restore_reads();
    breaks_a_rule(world, &forge, "k", "the database refused").await;
    assert_eq!(rows.errors("k").len(), 1);

    forge.retry::<keeps>("k").await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
}
