//! A call that waits for a result ends where the run waits in vain, and nowhere else.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Forge, RunError, RunState};
use chrono_forge_tests::scenario::{Probe, World, scenario};

/// A part that fails unless it was mended, `depth` generations below the run.
#[workflow(retry = RetryPolicy::none())]
async fn still_part(cx: Context, probe: State<Probe>, depth: u32) -> Result<u32> {
    if depth > 0 {
        let below = branch!("b", {
            spawn_each!("n", 0..3u32, |_| still_part(depth - 1))
        })
        .await?;
        return Ok(merge!(below).await?.fold(0, |sum, n| sum + n).await?);
    }
    let is_broken = probe.is(cx.key()) && !probe.is("mended");
    anyhow::ensure!(!is_broken, "{} is broken", cx.key());
    Ok(1)
}

/// As [`still_part`], which stalls at a step.
#[workflow]
async fn still_stalls(probe: State<Probe>) -> Result<u32> {
    Ok(step!("load", retry = RetryPolicy::none(), {
        anyhow::ensure!(probe.is("mended"), "no file");
        Ok(1)
    })
    .await?)
}

#[workflow]
async fn still_whole() -> Result<u32> {
    branch!("one", automerge = true, { spawn!("part", still_stalls()) }).await?;
    Ok(7)
}

/// Waits for a child that fails and for something else beside it.
#[workflow]
async fn still_beside(what: String) -> Result<String> {
    let bad = branch!("bad", { spawn!("part", still_stalls()) }).await?;
    let wait = async {
        match &*what {
            "time" => wait!("long", days(1)).await,
            "gate" => continue_if!("open", { Ok(false) }).await?,
            "poll" => wait_until!("done", timeout = days(9), { Ok(false) }).await?,
            "retry" => {
                step!(
                    "again",
                    retry = RetryPolicy::new().base(hours(1)).cap(hours(1)),
                    { Err::<(), _>(anyhow::anyhow!("not yet")) }
                )
                .await?
            }
            _ => {
                let slow = branch!("slow", { spawn!("s", still_sleeps()) }).await?;
                merge!(slow).await?;
            }
        }
        Result::<_>::Ok(())
    };
    tokio::select! {
        biased;
        joined = merge!(bad) => { joined?; }
        other = wait => { other?; }
    }
    Ok(what.clone())
}

#[workflow]
async fn still_sleeps() -> Result<u32> {
    wait!("long", days(1)).await;
    Ok(1)
}

/// Its only child goes on by itself, though one of the child's own is blocked.
#[workflow]
async fn still_above(what: String) -> Result<String> {
    let below = branch!("below", { spawn!("child", still_beside(what.clone())) }).await?;
    merge!(below).await?;
    Ok(what)
}

#[workflow]
async fn still_unserved() -> Result<u32> {
    Ok(1)
}

#[workflow(queue = "still-deserted")]
async fn still_elsewhere() -> Result<u32> {
    Ok(1)
}

#[workflow]
async fn still_forgets(elsewhere: bool) -> Result<u32> {
    let below = branch!("below", {
        match elsewhere {
            true => spawn!("child", still_elsewhere()),
            false => spawn!("child", still_unserved()),
        }
    })
    .await?;
    merge!(below).await?;
    Ok(7)
}

fn all() -> [&'static str; 6] {
    [
        still_part::NAME,
        still_stalls::NAME,
        still_whole::NAME,
        still_beside::NAME,
        still_sleeps::NAME,
        still_above::NAME,
    ]
}

/// Another process, which looks often and believes a lease to be short.
async fn caller(world: &World) -> Forge {
    let none: [&str; 0] = [];
    let caller = world.builder(none).worker(false);
    let caller = caller.poll_interval(Duration::from_millis(5));
    let caller = caller.heartbeat(Duration::from_millis(50));
    let caller = caller.lease(Duration::from_millis(400));
    caller.open().await.unwrap()
}

#[scenario]
async fn a_failed_child_ends_the_wait_for_its_parent_which_goes_on_once_it_is_retried(
    world: &World,
) {
    world.probe.set("p$b$n$1", 1);
    world.probe.set("p$b$n$2", 1);
    let (worker, caller) = (world.forge(all()).await, caller(world).await);
    let run = caller.start("p", still_part(1)).await.unwrap();
    let error = run.result().await.unwrap_err();
    let told = error.to_string();
    let RunError::Blocked {
        workflow,
        key,
        runs,
        first,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((&*workflow, &*key), (still_part::NAME, "p"));
    assert!((1..=2).contains(&runs), "{runs}");
    assert_eq!(&*first.workflow, still_part::NAME);
    assert_eq!(first.state, RunState::Failed);
    assert!(
        told.contains("forge.retry::<still_part>(\"p$b$n$"),
        "{told}"
    );
    assert!(told.contains("is broken"), "{told}");
    world.quiet().await;
    // The run is as it was; whoever asks again hears it again, of both by now.
    assert_eq!(run.state().await.unwrap(), RunState::Idle);
    let Err(RunError::Blocked { runs, first, .. }) = run.result().await else {
        panic!("it goes on by itself");
    };
    assert_eq!((runs, &*first.key), (2, "p$b$n$1"));
    world.probe.set("mended", 1);
    for child in run.blocked_children().await.unwrap() {
        caller.retry::<still_part>(&child.key).await.unwrap();
    }
    assert_eq!(run.result().await.unwrap(), 3);
    drop(worker);
}

#[scenario]
async fn a_stalled_child_ends_the_wait_in_the_workers_own_process(world: &World) {
    let worker = world.builder(all()).poll_interval(Duration::from_millis(5));
    let forge = worker.open().await.unwrap();
    let run = forge.start("w", still_whole()).await.unwrap();
    let told = run.result().await.unwrap_err().to_string();
    for part in [
        "run `w` of `still_whole` waits in vain",
        "`w$one$part` of `still_stalls`",
        "stalled at step$load: no file",
        "forge.retry::<still_stalls>(\"w$one$part\")",
    ] {
        assert!(told.contains(part), "{told}");
    }
    world.probe.set("mended", 1);
    forge.retry::<still_stalls>("w$one$part").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
}

#[scenario(threads = 2)]
async fn a_blocked_run_is_named_at_any_depth(world: &World) {
    let leaf = "p$b$n$2$b$n$0$b$n$1";
    world.probe.set(leaf, 1);
    let (worker, caller) = (world.forge(all()).await, caller(world).await);
    let run = caller.start("p", still_part(3)).await.unwrap();
    for key in ["p", "p$b$n$2", "p$b$n$2$b$n$0"] {
        let above = match key {
            "p" => None,
            key => {
                world.until(|| world.rows().find(key).is_some()).await;
                caller.get::<still_part>(key).await.unwrap()
            }
        };
        let result = above.as_ref().unwrap_or(&run).result().await;
        let Err(RunError::Blocked { runs, first, .. }) = result else {
            panic!("{key}: {result:?}");
        };
        assert_eq!((runs, &*first.key, &*first.branch), (1, leaf, "b"));
    }
    // A sound one beside it has its result.
    let sound = caller.get::<still_part>("p$b$n$1").await.unwrap().unwrap();
    assert_eq!(sound.result().await.unwrap(), 9);
    world.probe.set("mended", 1);
    caller.retry::<still_part>(leaf).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 27);
    drop(worker);
}

#[scenario]
async fn whoever_goes_on_by_itself_is_waited_for_beside_a_blocked_child(world: &World) {
    let (worker, caller) = (world.forge(all()).await, caller(world).await);
    for what in ["time", "gate", "poll", "retry", "children"] {
        let run = caller.start(what, still_beside(what.into())).await.unwrap();
        let key = format!("above-{what}");
        let above = caller.start(&key, still_above(what.into())).await.unwrap();
        world.quiet().await;
        let blocked = run.blocked_children().await.unwrap();
        assert_eq!(blocked.len(), 1, "{what}: {blocked:?}");
        assert!(world.soon(run.result()).await.is_none(), "{what}");
        assert!(world.soon(above.result()).await.is_none(), "{what}");
    }
    drop(worker);
}

#[scenario]
async fn what_no_live_worker_serves_ends_the_wait_after_a_lease(world: &World) {
    let worker = world.forge([still_forgets::NAME]).await;
    let caller = caller(world).await;
    let itself = caller.start("i", still_unserved()).await.unwrap();
    let above = caller.start("a", still_forgets(false)).await.unwrap();
    let queue = caller.start("q", still_forgets(true)).await.unwrap();
    assert!(
        world.soon(itself.result()).await.is_none(),
        "not before a lease"
    );
    let cases = [
        (
            itself.result().await.map(drop),
            "i",
            "no live worker knows `still_unserved`",
        ),
        (
            above.result().await.map(drop),
            "a$below$child",
            "no live worker knows `still_unserved`",
        ),
        (
            queue.result().await.map(drop),
            "q$below$child",
            "no live worker",
        ),
    ];
    for (result, key, remedy) in cases {
        let error = result.unwrap_err();
        let told = error.to_string();
        assert!(told.contains(remedy), "{told}");
        let RunError::Unserved {
            due_key, due_id, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!((&*due_key, due_id), (key, world.rows().run(key).id));
    }
    // The runs stay as they are, and go on with such a worker.
    worker.shutdown().await;
    let worker = world
        .forge([still_unserved::NAME, still_forgets::NAME])
        .await;
    assert_eq!(itself.result().await.unwrap(), 1);
    assert_eq!(above.result().await.unwrap(), 7);
    drop(worker);
}

#[scenario]
async fn a_worker_that_was_there_between_two_looks_begins_the_lease_anew(world: &World) {
    let caller = caller(world).await;
    let run = caller.start("r", still_sleeps()).await.unwrap();
    let waiting = tokio::spawn(async move { run.result().await });
    // It stops long before it is done; the run waits for its instant then, and for nobody.
    let worker = world.forge(all()).await;
    world.parked("r").await;
    worker.shutdown().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!waiting.is_finished());
    world.clock.advance(days(1));
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, RunError::Unserved { .. }), "{error}");
}

/// Children that are retried, fail again and complete at random moments: whoever waits is told of one that is
/// blocked, or has the value; each Blocked names a run that was blocked.
#[scenario(threads = 2)]
async fn a_retry_at_the_same_moment_is_told_or_waited_for(world: &World) {
    for n in 0..3 {
        world.probe.set(&format!("p$b$n${n}"), 1);
    }
    let worker = world.forge(all()).await;
    let caller = caller(world).await;
    let run = caller.start("p", still_part(1)).await.unwrap();
    let told = {
        let caller = caller.clone();
        let run = caller.get::<still_part>("p").await.unwrap().unwrap();
        tokio::spawn(async move {
            let mut told = 0;
            loop {
                match run.result().await {
                    Err(RunError::Blocked { first, .. }) => {
                        assert!(first.key.starts_with("p$b$n$"), "{first:?}");
                        told += 1;
                        // Somebody else may have been faster.
                        let _ = caller.retry::<still_part>(&first.key).await;
                    }
                    result => return (told, result),
                }
            }
        })
    };
    for _ in 0..20 {
        for child in run.blocked_children().await.unwrap() {
            let _ = caller.retry::<still_part>(&child.key).await;
        }
    }
    world.probe.set("mended", 1);
    let (told, result) = told.await.unwrap();
    assert_eq!(result.unwrap(), 3, "told {told} times");
    drop(worker);
}
