//! Whatever is stuck, slow or many leaves the small runs beside it alone.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Error, Forge};
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, World, scenario};
use futures::future::{join_all, try_join_all};

#[workflow]
async fn beside_small(n: u64) -> Result<u64> {
    Ok(step!("add", { Ok(n + 1) }).await?)
}

#[workflow]
async fn beside_held(probe: State<Probe>, name: String) -> Result<u64> {
    let one = step!("hold", {
        probe.note("held");
        probe.note(format!("held {name}"));
        probe.raised(&name).await;
        Ok(1)
    });
    Ok(one.await?)
}

#[workflow]
async fn beside_family(probe: State<Probe>, name: String, children: u64) -> Result<u64> {
    let _ = probe;
    let dispatched = branch!("b", {
        spawn_each!("c", 0..children, |_| beside_held(name.clone()))
    })
    .await?;
    let children = merge!(dispatched).await?;
    Ok(children.fold(0, |sum, n| sum + n).await?)
}

const NAMES: [&str; 4] = [
    beside_small::NAME,
    beside_held::NAME,
    beside_family::NAME,
    late_family::NAME,
];

/// Starts small runs, and waits until each of them has its result.
async fn finish(forge: &Forge, prefix: &str, runs: u64) {
    let one = |n: u64| async move {
        let run = forge
            .start(&format!("{prefix}{n}"), beside_small(n))
            .await
            .unwrap();
        assert_eq!(run.result().await.unwrap(), n + 1);
    };
    join_all((0..runs).map(one)).await;
}

#[scenario(threads = 2)]
async fn while_a_run_is_locked_by_somebody_the_others_go_on(world: &World) {
    let forge = world.forge(NAMES).await;
    let run = forge
        .start("held", beside_held("go".to_owned()))
        .await
        .unwrap();
    world.noted("held", 1).await;
    let lock = world.hold_rows("chrono_forge_workflows", "key = 'held'");
    world.probe.set("go", 1);
    finish(&forge, "beside", 60).await;
    drop(lock);
    assert_eq!(run.result().await.unwrap(), 1);
}

#[scenario(threads = 2)]
async fn while_the_row_of_a_branch_is_locked_the_others_go_on(world: &World) {
    let forge = world.forge(NAMES).await;
    let run = forge
        .start("p", beside_family("go".to_owned(), 20))
        .await
        .unwrap();
    world.noted("held", 20).await;
    let lock = world.hold_rows("chrono_forge_execution_logs", "step_name = 'branch$b'");
    world.probe.set("go", 1);
    finish(&forge, "beside", 60).await;
    drop(lock);
    assert_eq!(run.result().await.unwrap(), 20);
}

#[scenario(threads = 2)]
async fn while_some_children_are_locked_the_others_go_on(world: &World) {
    let forge = world.forge(NAMES).await;
    let run = forge
        .start("p", beside_family("go".to_owned(), 20))
        .await
        .unwrap();
    world.noted("held", 20).await;
    let lock = world.hold_rows(
        "chrono_forge_workflows",
        "key IN ('p$b$c$3', 'p$b$c$4', 'p$b$c$17')",
    );
    world.probe.set("go", 1);
    finish(&forge, "beside", 60).await;
    drop(lock);
    assert_eq!(run.result().await.unwrap(), 20);
}

/// Whatever is asked of a locked run waits; what is asked of others does not wait behind it.
#[scenario(threads = 2)]
async fn what_is_asked_of_a_locked_run_holds_up_no_other_call(world: &World) {
    let forge = world.forge(NAMES).await;
    for key in ["locked", "other"] {
        let run = beside_held("go".to_owned());
        forge.start(key, run).await.unwrap();
    }
    world.noted("held", 2).await;
    let lock = world.hold_rows("chrono_forge_workflows", "key = 'locked'");
    let is_locked = lock.is_some();
    let of_locked = async {
        let wake = forge.wake::<beside_held>("locked");
        let retry = forge.retry::<beside_held>("locked").into_future();
        let reset = forge.reset_crashes::<beside_held>("locked");
        tokio::select! {
            _ = wake => {}
            _ = retry => {}
            _ = reset => {}
        }
    };
    let of_others = async {
        for _ in 0..20 {
            forge.wake::<beside_held>("other").await.unwrap();
            forge.reset_crashes::<beside_held>("other").await.unwrap();
        }
        finish(&forge, "beside", 20).await;
    };
    let others_first = tokio::select! {
        biased;
        () = of_locked => false,
        () = of_others => true,
    };
    assert!(others_first || !is_locked, "they waited for the locked one");
    // Nor does what waits already, and it is answered once the lock is gone.
    let wakes = (0..50).map(|_| forge.wake::<beside_held>("locked"));
    let wakes = try_join_all(wakes);
    tokio::pin!(wakes);
    let waits = world.soon(&mut wakes).await.is_none();
    assert!(waits || !is_locked);
    drop(lock);
    if waits {
        wakes.await.unwrap();
    }
    world.probe.set("go", 1);
}

/// Whether a key that an open transaction has inserted will exist is not known yet: its start
/// waits, and no other does.
#[scenario(threads = 2)]
async fn a_start_whose_key_is_being_written_elsewhere_holds_up_no_other_start(world: &World) {
    let forge = world.forge(NAMES).await;
    let keys: Vec<String> = (0..8).map(|n| format!("beside{n}")).collect();
    let hold = world.hold_keys(beside_small::NAME, &keys);
    let is_held = hold.is_some();
    let held = keys.iter().enumerate().map(|(n, key)| {
        let forge = &forge;
        async move { forge.start(key, beside_small(n as u64)).await }
    });
    let mut held = Box::pin(try_join_all(held));
    // In the same transactions as those, and after them.
    let others = async {
        finish(&forge, "other", 100).await;
        finish(&forge, "later", 100).await;
    };
    let others_first = tokio::select! {
        biased;
        _ = &mut held => false,
        () = others => true,
    };
    assert!(others_first || !is_held, "they waited for the others");
    drop(hold);
    if !others_first {
        return;
    }
    for (n, run) in held.await.unwrap().into_iter().enumerate() {
        assert_eq!(run.result().await.unwrap(), n as u64 + 1);
    }
}

#[scenario(threads = 2)]
async fn a_start_whose_key_stays_locked_is_answered_with_the_remedy(world: &World) {
    let forge = world.forge(NAMES).await;
    let hold = world.hold_keys(beside_small::NAME, &["held".to_owned()]);
    let started = forge.start("held", beside_small(1)).await;
    match started {
        Err(refused) => assert!(
            refused.to_string().contains("pg_stat_activity"),
            "{refused}"
        ),
        Ok(_) => assert!(hold.is_none(), "it is locked"),
    }
}

/// Nothing helps whoever asks but to know why.
#[scenario(threads = 2)]
async fn what_is_asked_of_a_run_that_stays_locked_is_answered_with_the_remedy(world: &World) {
    let forge = world.forge(NAMES).await;
    forge
        .start("locked", beside_held("go".to_owned()))
        .await
        .unwrap();
    world.noted("held", 1).await;
    let lock = world.hold_rows("chrono_forge_workflows", "key = 'locked'");
    let (wake, unlock) = tokio::join!(
        forge.wake::<beside_held>("locked"),
        forge.unlock::<beside_held>("locked"),
    );
    if lock.is_some() {
        for refused in [wake.err(), unlock.err()] {
            let refused = refused.expect("it is locked").to_string();
            assert!(refused.contains("pg_stat_activity"), "{refused}");
        }
    }
    drop(lock);
    world.probe.set("go", 1);
}

/// The parent is locked when its children are dispatched, with as much room kept for them as there is.
#[scenario(threads = 2)]
async fn room_that_is_kept_for_children_whose_commit_waits_comes_back(world: &World) {
    let forge = world.builder(NAMES).queue("default", 4);
    let forge = forge.open().await.unwrap();
    let run = forge.start("p", late_family(20)).await.unwrap();
    world.noted("spawned", 20).await;
    let lock = world.hold_rows("chrono_forge_workflows", "key = 'p'");
    world.probe.set("go", 1);
    finish(&forge, "beside", 60).await;
    drop(lock);
    assert_eq!(run.result().await.unwrap(), 20);
}

#[workflow]
async fn late_family(probe: State<Probe>, children: u64) -> Result<u64> {
    let dispatched = branch!("b", {
        spawn_each!("c", 0..children, |n| {
            probe.note("spawned");
            if n + 1 == children {
                probe.raised("go").await;
            }
            beside_held("go".to_owned())
        })
    })
    .await?;
    let children = merge!(dispatched).await?;
    Ok(children.fold(0, |sum, n| sum + n).await?)
}

/// Each would cost a transaction, and on a file the lease is renewed through the same one connection.
#[scenario(threads = 2)]
async fn wakes_that_come_at_once_share_transactions(world: &World) {
    let forge = world.forge(NAMES).await;
    forge
        .start("held", beside_held("go".to_owned()))
        .await
        .unwrap();
    world.noted("held", 1).await;
    let before = forge.commits();
    let wakes = (0..2_000).map(|_| forge.wake::<beside_held>("held"));
    try_join_all(wakes).await.unwrap();
    let commits = forge.commits() - before;
    assert!(commits < 200, "{commits} commits for 2000 wakes");
    let nobody = forge.wake::<beside_held>("nobody").await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
    world.probe.set("go", 1);
}

const MANY: i64 = 2_000;

#[scenario(threads = 2)]
async fn retries_and_unlocks_that_come_at_once_share_transactions(world: &World) {
    let client = &world.client().await;
    let key = |n: i64| format!("{n}");
    let start = |n: i64| async move { client.start(&key(n), beside_small(0)).await };
    try_join_all((0..MANY).map(start)).await.unwrap();
    let idle = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 0";
    let edit = |sql: &str| {
        assert_eq!(world.rows().edit(sql, &[]), MANY as usize);
        client.commits()
    };
    let before = edit("UPDATE chrono_forge_workflows SET state = 3, wake_at = NULL");
    let retry = |n: i64| async move { client.retry::<beside_small>(&key(n)).await };
    try_join_all((0..MANY).map(retry)).await.unwrap();
    let commits = client.commits() - before;
    assert!(commits < 200, "{commits} commits for {MANY} retries");
    assert_eq!(world.rows().number(idle), MANY);

    // As a worker holds them that hangs.
    let hold = "UPDATE chrono_forge_workflows SET state = 1, wake_at = NULL, locked_by = 77";
    let before = edit(hold);
    let unlock = |n: i64| async move { client.unlock::<beside_small>(&key(n)).await };
    try_join_all((0..MANY).map(unlock)).await.unwrap();
    let commits = client.commits() - before;
    assert!(commits < 200, "{commits} commits for {MANY} unlocks");
    assert_eq!(world.rows().number(idle), MANY);
}

/// The first worker has claimed ahead of its slots when long runs take all of them.
#[scenario(threads = 2)]
async fn what_was_claimed_ahead_and_does_not_begin_is_left_to_another_worker(world: &World) {
    world.probe.set("open", 1);
    let client = world.client().await;
    let names = (0..500).map(|n| if n == 100 || n == 101 { "go" } else { "open" });
    for (n, name) in names.enumerate() {
        let key = format!("{name}{n}");
        client
            .start(&key, beside_held(name.to_owned()))
            .await
            .unwrap();
    }
    // On a file a worker learns of what another one hands back by looking.
    let open = || {
        let builder = world.builder(NAMES).queue("default", 2);
        builder.poll_interval(Duration::from_millis(50)).open()
    };
    let first = open().await.unwrap();
    world.noted("held go", 2).await;
    let is_running = |key: &str| world.rows().run(key).state == RUNNING;
    let ahead = (102..500).filter(|n| is_running(&format!("open{n}")));
    assert!(ahead.count() > 0, "nothing was claimed ahead");
    let second = open().await.unwrap();
    let are_done = || {
        let runs = world.rows().runs();
        let mut short = runs.iter().filter(|run| run.key.starts_with("open"));
        short.all(|run| run.state == COMPLETED)
    };
    world.until(are_done).await;
    assert!(is_running("go100") && is_running("go101"));
    world.probe.set("go", 1);
    drop((first, second));
}
