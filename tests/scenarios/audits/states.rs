//! What operators are told about branches.

use super::*;

#[scenario]
async fn each_stage_is_told_as_it_is(world: &World) {
    let client = world.client().await;
    let run = client.start("p", audited(4)).await.unwrap();
    assert!(run.branches().await.unwrap().is_empty(), "no branch yet");
    assert!(run.audit().await.unwrap().is_empty());
    // A worker that executes the parent and none of its children.
    let first = world.forge([audited::NAME]).await;
    world.parked("p").await;
    let fresh = only(&run).await;
    assert_eq!((&*fresh.name, fresh.sealed), ("grp", true));
    assert_eq!((fresh.spawned, fresh.pending, fresh.blocked), (4, 4, 0));
    assert_eq!(
        (fresh.never_started, fresh.rate, fresh.eta),
        (None, None, None)
    );
    assert_eq!((fresh.audited_at, fresh.repairs), (None, 0));
    pass_until(world, || audits(world, "flag(audited_at IS NOT NULL)") == 1).await;
    let idle = only(&run).await;
    assert_eq!(
        (idle.never_started, idle.rate, idle.eta),
        (Some(4), Some(0.0), None)
    );
    let at = idle.audited_at.unwrap();
    assert_eq!(at.as_microsecond(), audits(world, "micros(audited_at)"));
    first.shutdown().await;

    let forge = world.forge([audited::NAME, gated::NAME]).await;
    world.probe.set("broken 3", 1);
    for n in 0..4 {
        world.parked(&format!("p$grp$n${n}")).await;
    }
    open(world, &forge, [0, 1, 3]).await;
    assert!(is_failed(world, 3));
    let told = only(&run).await;
    assert_eq!((told.spawned, told.pending, told.blocked), (4, 2, 1));
    assert_eq!(told.never_started, Some(4), "as of the last audit");
    pass_until(world, || {
        audits(world, "micros(audited_at)") > at.as_microsecond()
    })
    .await;
    let audited = only(&run).await;
    assert_eq!(audited.never_started, Some(0));
    let elapsed = audited.audited_at.unwrap().duration_since(at).as_secs_f64();
    let rate = audited.rate.unwrap();
    assert!((rate - 2.0 / elapsed).abs() < 1e-5, "{rate} {elapsed}");
    let eta = audited.eta.unwrap().as_secs_f64();
    assert!((eta - 2.0 / rate).abs() < 1.0, "{eta}");

    world.probe.set("broken 3", 0);
    forge.retry::<gated>("p$grp$n$3").await.unwrap();
    open(world, &forge, [2]).await;
    assert_eq!(run.result().await.unwrap(), 6);
    let over = only(&run).await;
    assert_eq!((over.pending, over.blocked), (0, 0));
    pass_until(world, || audits(world, "1") == 0).await;
    assert_eq!(only(&run).await.audited_at, None);
}

#[scenario]
async fn an_audit_on_demand_repairs_and_answers_what_it_counted(world: &World) {
    let (forge, run) = waiting(world, 2).await;
    let told = run.audit().await.unwrap().remove(0);
    assert_eq!((told.spawned, told.pending, told.repairs), (2, 2, 0));
    assert_eq!(told.audited_at.unwrap().as_microsecond(), world.now());
    assert_eq!((told.never_started, told.rate), (Some(0), None));
    corrupt(world, 1);
    let repaired = run.audit().await.unwrap().remove(0);
    assert_eq!((repaired.pending, repaired.repairs), (2, 1));
    open(world, &forge, [0]).await;
    corrupt(world, 2);
    open(world, &forge, [1]).await;
    assert_eq!(world.parked("p").await.wake_at, None, "it is stranded");
    let over = run.audit().await.unwrap().remove(0);
    assert_eq!(
        (over.pending, over.never_started, over.repairs),
        (0, Some(0), 2)
    );
    assert_eq!(run.result().await.unwrap(), 1);
}

#[workflow]
async fn none_and_one(probe: State<Probe>) -> Result<u64> {
    let none = branch!("none", { spawn_each!("n", 0..0_u64, |n| gated(n)) }).await?;
    let one = branch!("one", { spawn!("n", gated(7)) }).await?;
    let (none, one) = merge!(none, one).await?;
    probe.note("merged");
    Ok(none.len() as u64 + one.output().await?)
}

#[scenario]
async fn a_branch_of_nothing_and_one_of_one_child_are_audited(world: &World) {
    let forge = world.forge([none_and_one::NAME, gated::NAME]).await;
    let run = forge.start("p", none_and_one()).await.unwrap();
    world.parked("p").await;
    world.parked("p$one$n").await;
    let told = run.audit().await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|branch| (&*branch.name, branch.sealed, branch.spawned, branch.pending))
        .collect();
    assert_eq!(told, [("none", true, 0, 0), ("one", true, 1, 1)]);
    assert_eq!(world.parked("p").await.wake_at, None, "it waits for one");
    let epoch = world.rows().run("p").lock_epoch;
    pass_until(world, || audits(world, "round") >= 3).await;
    assert_eq!(world.rows().run("p").lock_epoch, epoch);
    world.probe.set("all", 1);
    forge.wake::<gated>("p$one$n").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    let told = run.audit().await.unwrap();
    assert!(told.iter().all(|branch| branch.pending == 0));
    assert_eq!(world.probe.count("merged"), 1);
}

#[scenario]
async fn the_time_between_audits_follows_the_time_to_the_end(world: &World) {
    let (forge, _) = waiting(world, 100).await;
    let gap = || audits(world, "micros(next_at)") - audits(world, "micros(audited_at)");
    pass_until(world, || audits(world, "flag(audited_at IS NOT NULL)") == 1).await;
    let first = audits(world, "micros(audited_at)");
    assert_eq!(
        gap() % 10_000_000,
        0,
        "twice the time since somebody looked"
    );
    open(world, &forge, 0..50).await;
    pass_until(world, || audits(world, "micros(audited_at)") > first).await;
    // 50 of 100 took this long, and so will the rest.
    let elapsed = audits(world, "micros(audited_at)") - first;
    let expected = (elapsed / 4).clamp(5_000_000, 600_000_000);
    // Rates are kept in whole children per million seconds.
    assert!((gap() - expected).abs() < 1_000, "{} {expected}", gap());
}
