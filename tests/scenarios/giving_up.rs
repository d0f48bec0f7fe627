//! Joins and dispatches that the body gives up: the run goes on, its children too, and it may join them later.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, World, scenario};

#[workflow]
async fn quote(n: u64) -> Result<u64> {
    wait!("answer", hours(3)).await;
    Ok(n)
}

/// What loses, in each of the forms that there are.
#[workflow]
async fn impatient(probe: State<Probe>, how: String) -> Result<String> {
    let limit = wait!("limit", minutes(10));
    let told = match how.as_str() {
        "automerge" => tokio::select! {
            quotes = branch!("quotes", automerge = true, { spawn!("q", quote(1)) }) => {
                quotes?.output().await?.to_string()
            }
            () = limit => "too late".to_owned(),
        },
        "merge" => {
            let quotes = branch!("quotes", { spawn!("q", quote(1)) }).await?;
            tokio::select! {
                quotes = merge!(quotes) => quotes?.output().await?.to_string(),
                () = limit => "too late".to_owned(),
            }
        }
        "named" => {
            let _quotes = branch!("quotes", { spawn!("q", quote(1)) }).await?;
            tokio::select! {
                quotes = merge!("quotes") => format!("{quotes:?}"),
                () = limit => "too late".to_owned(),
            }
        }
        "dispatch" => {
            let dispatch = branch!("quotes", {
                let quote = spawn!("q", quote(1));
                probe.raised("never").await;
                quote
            });
            tokio::select! {
                quotes = dispatch => quotes.map(|_| "sealed".to_owned())?,
                () = wait!("short", secs(1)) => "too late".to_owned(),
            }
        }
        "aside" => {
            let mut quotes = Box::pin(branch!("quotes", automerge = true, {
                spawn!("q", quote(1))
            }));
            let told = tokio::select! {
                _ = &mut quotes => "in time".to_owned(),
                () = limit => "too late".to_owned(),
            };
            drop(quotes);
            told
        }
        _ => {
            let arm = async {
                let quotes = branch!("quotes", { spawn!("q", quote(1)) }).await?;
                Ok::<_, anyhow::Error>(merge!(quotes).await?)
            };
            tokio::select! {
                quotes = arm => quotes?.output().await?.to_string(),
                () = limit => "too late".to_owned(),
            }
        }
    };
    step!("tell", {
        probe.note(format!("{how}: {told}"));
        Ok(())
    })
    .await?;
    wait!("replay", secs(1)).await;
    Ok(told)
}

#[scenario]
async fn a_run_that_gives_its_children_up_completes_before_them_and_they_run_on(world: &World) {
    for how in ["automerge", "merge", "named", "aside", "arm", "dispatch"] {
        let forge = world.forge([impatient::NAME, quote::NAME]).await;
        let run = forge.start(how, impatient(how.into())).await.unwrap();
        if how == "dispatch" {
            let child = format!("{how}$quotes$q");
            world.until(|| world.rows().find(&child).is_some()).await;
            world.clock.advance(secs(1));
        }
        let row = world.settle(how).await;
        assert_eq!(
            row.state,
            COMPLETED,
            "{how}: {:?}",
            world.rows().errors(how)
        );
        assert_eq!(run.result().await.unwrap(), "too late", "{how}");
        assert_eq!(world.probe.count(&format!("{how}: too late")), 1);
        assert_eq!(world.rows().attempts(how), []);
        let child = format!("{how}$quotes$q");
        assert!(world.rows().run(&child).state < COMPLETED, "{how}");
        assert_eq!(world.settle(&child).await.state, COMPLETED, "{how}");
        world.quiet().await;
        let after = world.rows().run(how);
        assert_eq!(
            (after.state, after.lock_epoch),
            (COMPLETED, row.lock_epoch),
            "{how}"
        );
        forge.shutdown().await;
    }
}

/// Looks in now and then, and joins in the end.
#[workflow]
async fn persistent(probe: State<Probe>, how: String, looks: u64) -> Result<String> {
    let mut told = Vec::new();
    let _branch = match how.as_str() {
        "automerge" => {
            tokio::select! {
                _ = branch!("quotes", automerge = true, { spawn!("q", quote(1)) }) => told.push("first".to_owned()),
                () = wait!("limit", minutes(10)) => told.push("late".to_owned()),
            }
            None
        }
        _ => Some(branch!("quotes", { spawn!("q", quote(1)) }).await?),
    };
    for i in 0..looks {
        tokio::select! {
            merged = merge!("quotes") => {
                merged?;
                told.push(format!("joined at {i}"));
                break;
            }
            () = wait!("t-{i}", minutes(59)) => told.push(format!("{i}")),
        }
    }
    if looks < 5 {
        step!("tell", {
            probe.note("tell");
            Ok(())
        })
        .await?;
        merge!("quotes").await?;
    }
    let told = told.join(" ");
    probe.note(&*told);
    wait!("replay", secs(1)).await;
    Ok(told)
}

const PERSISTENT: [(&str, u64, &str); 4] = [
    ("named", 0, ""),
    ("named", 1, "0"),
    ("named", 9, "0 1 2 joined at 3"),
    ("automerge", 9, "late 0 1 joined at 2"),
];

/// Nothing of what was given up is left, and the join that was received has one row.
fn is_joined_once(world: &World, key: &str) {
    let output = world.rows().run(key).output.unwrap();
    let log = world.probe.log();
    assert!(
        world.probe.count(output.trim_matches('"')) >= 2,
        "{key}: {log:?}"
    );
    let order = world.rows().order(key).into_iter();
    assert_eq!(
        order.filter(|name| name == "merge$quotes").count(),
        1,
        "{key}"
    );
    let records = world.rows().records(key).into_iter();
    assert_eq!(
        records.filter(|record| record.state == 0).count(),
        0,
        "{key}"
    );
}

#[scenario]
async fn a_join_that_was_given_up_may_be_reached_again(world: &World) {
    let forge = world.forge([persistent::NAME, quote::NAME]).await;
    for (how, looks, told) in PERSISTENT {
        let key = format!("{how}-{looks}");
        let run = forge
            .start(&key, persistent(how.into(), looks))
            .await
            .unwrap();
        let errors = || world.rows().errors(&key);
        assert_eq!(
            world.settle(&key).await.state,
            COMPLETED,
            "{key}: {:?}",
            errors()
        );
        assert_eq!(run.result().await.unwrap(), told, "{key}");
        is_joined_once(world, &key);
    }
}

#[scenario]
async fn a_join_that_was_given_up_is_reached_again_by_another_process(world: &World) {
    for (how, looks, _) in PERSISTENT {
        let key = format!("{how}-{looks}");
        let forge = world.forge([persistent::NAME, quote::NAME]).await;
        let run = forge
            .start(&key, persistent(how.into(), looks))
            .await
            .unwrap();
        // Somewhere in the middle the process dies.
        world.parked(&key).await;
        world.clock.advance(hours(2));
        world.quiet().await;
        world.crash(&forge);
        drop((forge, run));
        let forge = world.forge([persistent::NAME, quote::NAME]).await;
        let errors = || world.rows().errors(&key);
        assert_eq!(
            world.settle(&key).await.state,
            COMPLETED,
            "{key}: {:?}",
            errors()
        );
        is_joined_once(world, &key);
        forge.shutdown().await;
    }
}

/// The dispatch is cut off, and what it has dispatched is joined later.
#[workflow]
async fn half_dispatched(probe: State<Probe>) -> Result<()> {
    let dispatch = branch!("quotes", automerge = true, {
        let quote = spawn!("q", quote(1));
        probe.raised("never").await;
        quote
    });
    tokio::select! {
        _ = dispatch => anyhow::bail!("it was sealed"),
        () = wait!("limit", secs(1)) => {}
    }
    merge!("quotes").await?;
    probe.note("joined");
    wait!("replay", secs(1)).await;
    Ok(())
}

#[scenario]
async fn a_dispatch_that_was_cut_off_may_be_joined_as_far_as_it_came(world: &World) {
    let forge = world.forge([half_dispatched::NAME, quote::NAME]).await;
    forge.start("k", half_dispatched()).await.unwrap();
    world
        .until(|| world.rows().find("k$quotes$q").is_some())
        .await;
    world.clock.advance(secs(1));
    assert_eq!(
        world.settle("k").await.state,
        COMPLETED,
        "{:?}",
        world.rows().errors("k")
    );
    assert_eq!(world.probe.log(), ["joined", "joined"]);
    assert_eq!(world.rows().run("k$quotes$q").state, COMPLETED);
}

/// The join is over when it is given up, but was not received.
#[workflow]
async fn over_and_unreceived(probe: State<Probe>) -> Result<()> {
    let _branch = branch!("none", {}).await?;
    let mut kept = Box::pin(merge!("none"));
    assert!(futures::poll!(&mut kept).is_pending());
    step!("meanwhile", {
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    drop(kept);
    step!("after", { Ok(()) }).await?;
    merge!("none").await?;
    probe.note("joined");
    wait!("replay", secs(1)).await;
    Ok(())
}

#[scenario]
async fn a_join_that_ended_unreceived_is_found_by_the_next_one(world: &World) {
    let forge = world.forge([over_and_unreceived::NAME]).await;
    forge.start("k", over_and_unreceived()).await.unwrap();
    world.until(|| world.rows().order("k").len() == 2).await;
    world.probe.set("go", 1);
    assert_eq!(
        world.settle("k").await.state,
        COMPLETED,
        "{:?}",
        world.rows().errors("k")
    );
    assert_eq!(world.probe.log(), ["joined", "joined"]);
    let order = [
        "branch$none",
        "merge$none",
        "step$meanwhile",
        "step$after",
        "wait$replay",
    ];
    assert_eq!(world.rows().order("k"), order);
}

#[workflow]
async fn forgetful(how: String) -> Result<()> {
    let _forgotten = branch!("forgotten", { spawn!("q", quote(1)) }).await?;
    tokio::select! {
        _ = branch!("given-up", automerge = true, { spawn!("q", quote(1)) }) => {}
        () = wait!("limit", secs(1)) => {}
    }
    if how == "explicit" {
        drop(merge!("forgotten"));
    }
    if how == "twice" {
        merge!("forgotten").await?;
        merge!("forgotten").await?;
    }
    Ok(())
}

#[scenario]
async fn what_was_forgotten_is_still_refused_and_so_is_a_second_join(world: &World) {
    let forge = world.forge([forgetful::NAME, quote::NAME]).await;
    let ends = [
        (
            "forgotten",
            FAILED,
            "branch `forgotten` was opened but never merged",
        ),
        ("twice", FAILED, "merge!(\"forgotten\") was reached twice"),
        ("explicit", COMPLETED, ""),
    ];
    for (how, state, text) in ends {
        forge.start(how, forgetful(how.into())).await.unwrap();
        assert_eq!(world.settle(how).await.state, state, "{how}");
        let errors = world.rows().errors(how);
        let message = errors.first().map_or("", |error| &error.message);
        assert!(message.contains(text), "{how}: {message}");
    }
}
