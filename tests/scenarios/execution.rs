//! A run from start to end: its rows, its passes, its crashes.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, World, scenario};

#[workflow]
async fn kitchen_sink(cx: Context, probe: State<Probe>, order: String) -> Result<String> {
    cx.set_once("order_id", &order)?;
    wait_until!("paid", every = secs(1), timeout = hours(1), is_paid(&probe)).await?;
    wait!("fraud_check", days(2)).await;
    let processed = step!("process", {
        probe.note("process");
        cx.set("processed_at", "noon")?;
        Ok(format!("{order} processed"))
    })
    .await?;
    step!("complete", {
        probe.note("complete");
        cx.set("completed_at", "evening")?;
        Ok(())
    })
    .await?;
    Ok(processed)
}

/// False, false, true.
async fn is_paid(probe: &Probe) -> Result<bool> {
    Ok(probe.nth("is_paid") == 3)
}

#[scenario]
async fn a_run_leaves_one_row_per_operation_in_the_order_of_delivery(world: &World) {
    let forge = world.forge([kitchen_sink::NAME]).await;
    let run = forge.start("k", kitchen_sink("o-1".into())).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!(row.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "o-1 processed");
    assert_eq!(row.args, r#"{"order":"o-1"}"#);
    assert_eq!(row.output.as_deref(), Some(r#""o-1 processed""#));
    assert_eq!(
        (row.locked_by, row.wake_at, row.options.as_str()),
        (None, None, "{}")
    );
    let order = [
        "wait_until$paid",
        "wait$fraud_check",
        "step$process",
        "step$complete",
    ];
    let records = world.rows().records("k");
    let names: Vec<_> = records.iter().map(|r| r.step_name.as_str()).collect();
    assert_eq!(names, order, "in order of creation");
    assert_eq!(world.rows().order("k"), order, "and of delivery");
    assert!(records.iter().all(|r| r.state == 1 && r.wake_at.is_none()));
    assert_eq!(
        records.iter().filter_map(|r| r.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(world.rows().errors("k").is_empty());
    let context = serde_json::json!({
        "order_id": "o-1", "processed_at": "noon", "completed_at": "evening"
    });
    assert_eq!(row.context, context);
    assert_eq!(run.context().await.unwrap(), context);
    // One evaluation a pass, then the wait's end: every claim is an epoch.
    assert_eq!(row.lock_epoch, 4);
}

#[workflow]
async fn two_waits() -> Result<()> {
    tokio::join!(wait!("late", secs(2)), wait!("early", secs(1)));
    Ok(())
}

/// Who reads the table orders by `seq`.
#[scenario]
async fn what_was_received_first_is_told_by_seq_and_not_by_id(world: &World) {
    let forge = world.forge([two_waits::NAME]).await;
    forge.start("k", two_waits()).await.unwrap();
    for _ in 0..2 {
        world.parked("k").await;
        world.clock.advance(secs(1));
        world.quiet().await;
    }
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.rows().order("k"), ["wait$early", "wait$late"]);
    let records = world.rows().records("k");
    let by_id: Vec<_> = records.iter().map(|it| it.step_name.as_str()).collect();
    assert_eq!(by_id, ["wait$late", "wait$early"]);
}

#[workflow]
async fn two_steps(probe: State<Probe>) -> Result<u32> {
    probe.note("body");
    let one = step!("one", {
        probe.note("one");
        Ok(1_u32)
    })
    .await?;
    wait!("pause", days(1)).await;
    let two = step!("two", {
        probe.note("two");
        Ok(2_u32)
    })
    .await?;
    Ok(one + two)
}

#[scenario]
async fn a_step_whose_result_is_recorded_never_runs_again(world: &World) {
    let forge = world.forge([two_steps::NAME]).await;
    let run = forge.start("k", two_steps()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.log(), ["body", "one", "body", "two"]);
}

#[scenario]
async fn a_second_start_with_the_key_returns_the_run_and_changes_nothing(world: &World) {
    let forge = world.forge([kitchen_sink::NAME, two_steps::NAME]).await;
    let first = forge
        .start("k", kitchen_sink("first".into()))
        .await
        .unwrap();
    world.parked("k").await;
    let second = forge
        .start("k", kitchen_sink("second".into()))
        .await
        .unwrap();
    assert_eq!(first.id(), second.id());
    world.settle("k").await;
    assert_eq!(second.result().await.unwrap(), "first processed");
    let third = forge
        .start("k", kitchen_sink("third".into()))
        .await
        .unwrap();
    assert_eq!(third.result().await.unwrap(), "first processed");
    // Keys belong to a workflow: another one has its own.
    let other = forge.start("k", two_steps()).await.unwrap();
    assert_ne!(other.id(), first.id());
}

#[scenario]
async fn a_run_of_a_crashed_process_goes_on_in_the_next_one(world: &World) {
    let forge = world.forge([two_steps::NAME]).await;
    forge.start("k", two_steps()).await.unwrap();
    world.parked("k").await;
    world.crash(&forge);
    drop(forge);
    world.clock.advance(days(1));
    let forge = world.forge([two_steps::NAME]).await;
    let run = forge.get::<two_steps>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.count("one"), 1);
    // It was parked when the process died, so no crash is held against it.
    assert_eq!(world.rows().run("k").crashes, 0);
}

#[workflow]
async fn cut_off(probe: State<Probe>) -> Result<u32> {
    let one = step!("one", { Ok(probe.nth("one")) }).await?;
    let two = step!("two", retry = RetryPolicy::none(), {
        let nth = probe.nth("two");
        probe.raised("go").await;
        Ok(nth)
    })
    .await?;
    Ok((one * 10 + two) as u32)
}

#[scenario]
async fn an_attempt_cut_off_by_a_death_consumes_no_attempt(world: &World) {
    let forge = world.forge([cut_off::NAME]).await;
    forge.start("k", cut_off()).await.unwrap();
    world.noted("two", 1).await;
    assert_eq!(world.rows().run("k").state, RUNNING);
    world.crash(&forge);
    drop(forge);
    world.probe.set("go", 1);
    let forge = world.forge([cut_off::NAME]).await;
    let run = forge.get::<cut_off>("k").await.unwrap().unwrap();
    assert_eq!(
        run.result().await.unwrap(),
        12,
        "step one once, step two twice"
    );
    assert!(world.rows().errors("k").is_empty());
    assert_eq!(world.rows().record("k", "step$two").attempts, 1);
}
