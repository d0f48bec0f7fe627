//! Runs that an older binary began under keys that are refused by now: they go on.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, World, scenario};

use super::migrations::OLDER;

#[workflow]
async fn heir(probe: State<Probe>) -> Result<u32> {
    continue_if!("sent", async { Ok::<_, anyhow::Error>(probe.is("sent")) }).await?;
    Ok(1)
}

/// Each key as today's binary takes it, or in its place one that an older binary took.
#[workflow]
async fn heritage(probe: State<Probe>) -> Result<u32> {
    let key = |now: &str, then: &str| match probe.is("then") {
        true => then.to_owned(),
        false => now.to_owned(),
    };
    let one = step!(key("step", " "), {
        probe.note("step");
        Ok(1_u32)
    })
    .await?;
    let branch = key("branch", "\t");
    let _branch = branch!(branch.clone(), {
        step!(key("inner", "\u{3000}"), {
            probe.note("inner");
            Ok(())
        })
        .await?;
        spawn!(key("spawn", "  "), heir());
    })
    .await?;
    repeat!(
        key("repeat", "\u{a0}"),
        every = secs(60),
        until = { Ok(probe.is("ticked")) },
        |_tick| {
            probe.note("tick");
            probe.set("ticked", 1);
            Ok(())
        }
    )
    .await?;
    continue_if!(key("gate", "   "), async {
        Ok::<_, anyhow::Error>(probe.is("sent"))
    })
    .await?;
    merge!("{branch}").await?;
    let two = step!("last", { Ok(1_u32) }).await?;
    Ok(one + two)
}

#[scenario]
async fn what_was_recorded_under_keys_that_are_refused_by_now_is_found_again(world: &World) {
    for (nth, version) in OLDER.into_iter().enumerate() {
        let blank = " ".repeat(nth + 1);
        let child = format!("{blank}$\t$  ");
        for flag in ["then", "sent", "ticked"] {
            world.probe.set(flag, 0);
        }
        let forge = world.forge([heritage::NAME, heir::NAME]).await;
        forge.start("now", heritage()).await.unwrap();
        loop {
            world.quiet().await;
            match world.rows().next_deadline() {
                Some(next) => world.move_to(next),
                None => break,
            }
        }
        world.crash(&forge);
        drop(forge);
        let old = Forge::builder(&world.url());
        old.revert_migrations(version).await.unwrap();
        rename(world, &blank, &child);
        for flag in ["then", "sent"] {
            world.probe.set(flag, 1);
        }
        let forge = world.forge([heritage::NAME, heir::NAME]).await;
        forge.wake::<heir>(&child).await.unwrap();
        forge.wake::<heritage>(&blank).await.unwrap();
        let run = forge.get::<heritage>(&blank).await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 2, "{version}");
        for note in ["step", "inner", "tick"] {
            assert_eq!(world.probe.count(note), nth + 1, "{version} {note}");
        }
        assert_eq!(world.rows().run(&child).state, COMPLETED);
        // Nothing new begins under such a key.
        let fresh = format!("fresh{nth}");
        forge.start(&fresh, heritage()).await.unwrap();
        assert_eq!(world.settle(&fresh).await.state, FAILED, "{version}");
        let errors = world.rows().errors(&fresh);
        assert!(errors[0].message.contains("is blank"), "{:?}", errors[0]);
        forge.shutdown().await;
    }
}

/// The names as an older binary would have left them.
fn rename(world: &World, blank: &str, child: &str) {
    let names = [
        ("step$step", "step$ "),
        ("branch$branch", "branch$\t"),
        ("step$inner", "step$\u{3000}"),
        ("repeat$repeat", "repeat$\u{a0}"),
        ("continue_if$gate", "continue_if$   "),
    ];
    for (now, then) in names {
        let sql = format!(
            "UPDATE chrono_forge_execution_logs SET step_name = '{then}' WHERE step_name = '{now}'"
        );
        assert_eq!(world.rows().edit(&sql, &[]), 1, "{now}");
    }
    for (now, then) in [("now", blank), ("now$branch$spawn", child)] {
        let sql = format!("UPDATE chrono_forge_workflows SET key = '{then}' WHERE key = '{now}'");
        assert_eq!(world.rows().edit(&sql, &[]), 1, "{now}");
    }
}

#[workflow]
async fn verbose(probe: State<Probe>) -> Result<u32> {
    let key = if probe.is("then") {
        "x".repeat(70_000)
    } else {
        "x".repeat(990)
    };
    let one = step!(key, {
        probe.note("verbose");
        Ok(1_u32)
    })
    .await?;
    continue_if!("sent", async { Ok::<_, anyhow::Error>(probe.is("sent")) }).await?;
    Ok(one)
}

#[scenario(sqlite_only = "no index of a server ever held such a key")]
async fn what_was_recorded_under_a_key_beyond_today_s_limit_is_found_again(world: &World) {
    let forge = world.forge([verbose::NAME]).await;
    forge.start("k", verbose()).await.unwrap();
    world.quiet().await;
    world.crash(&forge);
    drop(forge);
    let [.., oldest] = OLDER;
    let old = Forge::builder(&world.url());
    old.revert_migrations(oldest).await.unwrap();
    let sql = format!(
        "UPDATE chrono_forge_execution_logs SET step_name = 'step${}' WHERE step_name LIKE 'step$%'",
        "x".repeat(70_000)
    );
    assert_eq!(world.rows().edit(&sql, &[]), 1);
    for flag in ["then", "sent"] {
        world.probe.set(flag, 1);
    }
    let forge = world.forge([verbose::NAME]).await;
    forge.wake::<verbose>("k").await.unwrap();
    let run = forge.get::<verbose>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.probe.count("verbose"), 1);
}
