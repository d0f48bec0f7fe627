//! What a start finds under its key, and many starts at once.

use std::collections::{BTreeMap, HashMap};

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunError};
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, World, scenario};
use chrono_forge_tests::telling;

#[workflow]
async fn starts_load(probe: State<Probe>, path: String, force: bool) -> Result<String> {
    step!("load", retry = RetryPolicy::none(), {
        probe.note("load");
        anyhow::ensure!(force, "no file {path}");
        Ok(())
    })
    .await?;
    Ok(path)
}

/// Records a step before the one that fails.
#[workflow]
async fn starts_two_steps(fail: bool) -> Result<u32> {
    let one = step!("one", { Ok(1) }).await?;
    step!("two", retry = RetryPolicy::none(), {
        anyhow::ensure!(!fail, "told to");
        Ok(one + 1)
    })
    .await
    .map_err(Into::into)
}

/// Fails without a record of its own.
#[workflow(retry = RetryPolicy::none())]
async fn starts_body(n: i64) -> Result<i64> {
    anyhow::ensure!(n >= 0, "{n} is too little");
    Ok(n)
}

#[workflow]
async fn starts_map(of: HashMap<String, u32>) -> Result<usize> {
    Ok(of.len())
}

#[workflow]
async fn starts_one(n: u64) -> Result<u64> {
    Ok(n)
}

#[scenario]
async fn a_start_tells_whether_the_run_is_new_and_its_arguments_are_others(world: &World) {
    let forge = world.forge([starts_load::NAME]).await;
    let other = world.client().await;
    let invocation = |force| starts_load("mon".into(), force);
    let run = forge.start("mon", invocation(true)).await.unwrap();
    assert!(run.is_new() && !run.has_other_arguments());
    // In this process and another one, while it executes and once it is over.
    for round in 0..2 {
        for forge in [&forge, &other] {
            let same = forge.start("mon", invocation(true)).await.unwrap();
            assert!(!same.is_new() && !same.has_other_arguments(), "{round}");
            let others = forge.start("mon", invocation(false)).await.unwrap();
            assert!(!others.is_new() && others.has_other_arguments(), "{round}");
            assert_eq!(others.id(), run.id());
        }
        assert_eq!(run.result().await.unwrap(), "mon");
    }
    let found = forge.get::<starts_load>("mon").await.unwrap().unwrap();
    assert!(!found.is_new() && !found.has_other_arguments());
    assert_eq!(
        world.rows().run("mon").args,
        r#"{"path":"mon","force":true}"#
    );
}

#[scenario]
async fn a_start_with_other_arguments_is_told_once_in_a_while(world: &World) {
    telling::listen();
    let key = format!("told-{:?}", world.backend());
    let client = world.client().await;
    client.start(&key, starts_one(1)).await.unwrap();
    for n in [1, 2, 3] {
        client.start(&key, starts_one(n)).await.unwrap();
    }
    let told = telling::told(&["WARN", "a start met", &key]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("forge.retry(..).arguments(..)"),
        "{told:?}"
    );
}

#[scenario]
async fn arguments_are_compared_as_values_not_as_text(world: &World) {
    let client = world.client().await;
    let map = |turn: usize| {
        let mut entries: Vec<(String, u32)> = (0..20).map(|n| (n.to_string(), n)).collect();
        entries.rotate_left(turn);
        starts_map(entries.into_iter().collect())
    };
    client.start("m", map(0)).await.unwrap();
    for turn in 1..20 {
        let run = client.start("m", map(turn)).await.unwrap();
        assert!(!run.has_other_arguments(), "{turn}");
    }
    let ordered: BTreeMap<String, u32> = (0..19).map(|n| (n.to_string(), n)).collect();
    let run = client.start("m", starts_map(ordered.into_iter().collect()));
    assert!(run.await.unwrap().has_other_arguments());
}

#[scenario]
async fn a_run_that_has_recorded_nothing_can_be_given_other_arguments(world: &World) {
    let forge = world.forge([starts_load::NAME, starts_body::NAME]).await;
    let run = forge
        .start("mon", starts_load("mon".into(), false))
        .await
        .unwrap();
    assert!(matches!(run.result().await, Err(RunError::Stalled { .. })));
    let retried = forge
        .retry::<starts_load>("mon")
        .arguments(starts_load("tue".into(), true));
    assert_eq!(retried.await.unwrap().records, ["step$load"]);
    assert_eq!(run.result().await.unwrap(), "tue");
    assert_eq!(world.probe.count("load"), 2);
    let failed = forge.start("b", starts_body(-1)).await.unwrap();
    assert!(matches!(
        failed.result().await,
        Err(RunError::Failed { .. })
    ));
    // Through its handle as by its key.
    failed.retry().arguments(starts_body(3)).await.unwrap();
    assert_eq!(failed.result().await.unwrap(), 3);
    // One that is over keeps them.
    let over = failed.retry().arguments(starts_body(4)).await;
    assert!(matches!(over, Err(Error::NotRetryable { .. })), "{over:?}");
    assert_eq!(world.rows().run("b").args, r#"{"n":3}"#);
}

#[scenario]
async fn arguments_that_something_was_recorded_under_stay(world: &World) {
    let forge = world
        .forge([starts_two_steps::NAME, starts_body::NAME])
        .await;
    let run = forge.start("t", starts_two_steps(true)).await.unwrap();
    assert!(run.result().await.is_err());
    let refused = forge
        .retry::<starts_two_steps>("t")
        .arguments(starts_two_steps(false));
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(&refused, Error::HasRecorded { record, .. } if record == "step$one"),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("under a new key"), "{refused}");
    let foreign = forge
        .retry::<starts_two_steps>("t")
        .arguments(starts_body(1))
        .await;
    let foreign = foreign.unwrap_err();
    assert!(
        matches!(&foreign, Error::Arguments { problem, .. } if problem.contains("starts_body"))
    );
    let row = world.rows().run("t");
    assert_eq!(
        (&*row.args, row.stalled_by.as_deref()),
        (r#"{"fail":true}"#, Some("step$two"))
    );
    // Without others it is retried as ever.
    forge.retry::<starts_two_steps>("t").await.unwrap();
    assert!(matches!(run.result().await, Err(RunError::Stalled { .. })));
}

const MANY: u64 = 2_500;

fn many(of: u64) -> impl Iterator<Item = (String, chrono_forge::Invocation<u64>)> {
    (0..of).map(|n| (format!("n{n}"), starts_one(n)))
}

#[scenario(threads = 2)]
async fn many_starts_are_a_transaction_a_batch_and_counted(world: &World) {
    let forge = world.forge([starts_one::NAME]).await;
    let client = world.client().await;
    client.start("n7", starts_one(8)).await.unwrap();
    let started = client.start_all(many(MANY)).await.unwrap();
    assert_eq!((started.new, started.existing), (MANY - 1, 1));
    assert_eq!(started.other_arguments, 1);
    assert_eq!(world.failpoints.hits("commit.before.start_all"), 3);
    // Whoever works here takes them; a key twice is one run.
    let twice = [
        ("a", starts_one(1)),
        ("b", starts_one(2)),
        ("a", starts_one(3)),
    ];
    let started = forge.start_all(twice).await.unwrap();
    assert_eq!(
        (started.new, started.existing, started.other_arguments),
        (2, 1, 1)
    );
    assert_eq!(forge.start_all(many(0)).await.unwrap().new, 0);
    for (key, n) in [("n0", 0), ("n7", 8), ("n2499", 2_499), ("a", 1)] {
        let run = forge.get::<starts_one>(key).await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), n);
    }
    world.quiet().await;
    let runs = world.rows().runs();
    assert!(runs.iter().all(|run| run.state == COMPLETED));
    assert_eq!(runs.len() as u64, MANY + 2);
}

#[scenario]
async fn batches_are_bounded_in_bytes(world: &World) {
    let client = world.client().await;
    let large = |n: usize| (format!("l{n}"), starts_load("x".repeat(3 << 20), false));
    assert_eq!(client.start_all((0..5).map(large)).await.unwrap().new, 5);
    let batches = world.failpoints.hits("commit.before.start_all");
    assert_eq!(batches, 3, "two of 3 MiB fit");
}

#[scenario]
async fn a_start_that_cannot_be_ends_the_batches_before_it_and_no_others(world: &World) {
    let client = world.client().await;
    let bad = many(1_200).chain([(String::new(), starts_one(0))]);
    let refused = client.start_all(bad).await;
    assert!(matches!(refused, Err(Error::BadKey { .. })), "{refused:?}");
    assert_eq!(world.rows().runs().len(), 1_000);
}

#[scenario]
async fn starts_that_a_crash_cut_off_between_two_batches_are_made_up_for(world: &World) {
    for (side, written) in [("before", 1_000), ("after", 2_000)] {
        let none: [&str; 0] = [];
        let forge = world.builder(none).worker(false).open().await.unwrap();
        let runs = || (0..MANY).map(|n| (format!("{side}{n}"), starts_one(n)));
        world.failpoints.arm(&format!("commit.{side}.start_all"), 2);
        let cut_off = forge.start_all(runs()).await;
        assert!(cut_off.is_err(), "{cut_off:?}");
        world.failpoints.disarm();
        world.crash(&forge);
        let client = world.client().await;
        let started = client.start_all(runs()).await.unwrap();
        let expected = (MANY - written, written, 0);
        assert_eq!(
            (started.new, started.existing, started.other_arguments),
            expected
        );
    }
    let rows = world.rows().runs();
    assert_eq!(rows.len() as u64, 2 * MANY);
    assert!(
        rows.iter()
            .all(|run| run.state == IDLE && run.wake_at.is_some())
    );
}
