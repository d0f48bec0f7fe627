//! Keys up to their limits: the same on every database, and before anything has happened under
//! them.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunState};
use chrono_forge_tests::scenario::{Probe, World, scenario};

/// Letters without any repetition, which no database can store in less.
fn noise(length: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    (0..length).map(letter).collect()
}

/// One operation of each kind under keys of this length, and a park between them and the end.
#[workflow]
async fn long_winded(cx: Context, probe: State<Probe>, length: usize) -> Result<u32> {
    let key = |nth: u64| noise(length, nth);
    let one = step!(key(1), {
        probe.note("step");
        cx.set(&noise(length.min(1_024), 9), &1)?;
        Ok(1_u32)
    })
    .await?;
    wait!(key(2), secs(1)).await;
    wait_until!(key(3), async { Ok::<_, anyhow::Error>(true) }).await?;
    repeat!(
        key(5),
        every = secs(60),
        until = { Ok(probe.count("tick") > 1) },
        |_tick| {
            probe.note("tick");
            Ok(())
        }
    )
    .await?;
    let branch = branch!(key(6), {
        step!(key(7), {
            probe.note("inner");
            Ok(())
        })
        .await?;
    })
    .await?;
    continue_if!(key(4), async { Ok::<_, anyhow::Error>(probe.is("go")) }).await?;
    merge!(branch).await?;
    let two = step!(key(8), retry = RetryPolicy::none(), {
        probe.note("last");
        anyhow::ensure!(probe.is("mended"), "broken");
        Ok(2_u32)
    })
    .await?;
    Ok(one + two + cx.fetch(&noise(length.min(1_024), 9), 0_u32)?)
}

/// Moves the clock until the run waits at its gate; answers the key of that.
async fn at_the_gate(world: &World, run: &Run<u32>) -> String {
    loop {
        world.quiet().await;
        let waits = run.operations().await.unwrap();
        match waits.as_slice() {
            [only] if only.kind == "continue_if" => return only.key.clone(),
            _ => world.clock.advance(Duration::from_secs(20)),
        }
    }
}

#[scenario]
async fn keys_of_operations_up_to_64_kib_are_recorded_once_and_found_again(world: &World) {
    for length in [990, 1_010, 3_000, 65_536] {
        let key = format!("k{length}");
        for note in ["go", "mended"] {
            world.probe.set(note, 0);
        }
        let before = |note: &str| world.probe.count(note);
        let counts = ["step", "inner", "last"].map(before);
        let ticks = before("tick");
        let forge = world.forge([long_winded::NAME]).await;
        let run = forge.start(&key, long_winded(length)).await.unwrap();
        // What it waits for is told by its own name.
        assert_eq!(at_the_gate(world, &run).await, noise(length, 4));
        forge.shutdown().await;
        world.probe.set("go", 1);
        let forge = world.forge([long_winded::NAME]).await;
        forge.wake::<long_winded>(&key).await.unwrap();
        let run = forge.get::<long_winded>(&key).await.unwrap().unwrap();
        let stalled = run.result().await.unwrap_err();
        assert_eq!(stalled.state(), Some(RunState::Stalled), "{stalled}");
        world.probe.set("mended", 1);
        // By its bare key, however long that is.
        run.retry().records([noise(length, 8)]).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 4, "{length}");
        let times = [1, 1, 2];
        for ((note, before), times) in ["step", "inner", "last"].into_iter().zip(counts).zip(times)
        {
            assert_eq!(world.probe.count(note) - before, times, "{length} {note}");
        }
        assert!(world.probe.count("tick") - ticks <= 2, "{length}");
        forge.shutdown().await;
    }
}

#[workflow]
async fn longest(key: String) -> Result<usize> {
    Ok(key.len())
}

/// A child whose key has so many bytes, and one more below it where there is room.
#[workflow]
async fn has_long_children(cx: Context, length: usize) -> Result<usize> {
    let name = noise(length - cx.key().len() - 3, 1);
    let child = branch!("b", automerge = true, { spawn!(name, longest("x".into())) }).await?;
    Ok(child.output().await?)
}

/// The same, so that its children have the same keys.
#[workflow]
async fn has_them_too(cx: Context, length: usize) -> Result<usize> {
    let name = noise(length - cx.key().len() - 3, 1);
    let child = branch!("b", automerge = true, {
        spawn!(name, longest("xy".into()))
    })
    .await?;
    Ok(child.output().await?)
}

#[scenario]
async fn keys_of_children_up_to_8_kib_are_unique_and_longer_ones_are_refused(world: &World) {
    let forge = world
        .forge([has_long_children::NAME, has_them_too::NAME, longest::NAME])
        .await;
    for length in [1_024, 1_025, 2_800, 8_192] {
        let key = format!("k{length}");
        let run = forge.start(&key, has_long_children(length)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1, "{length}");
        let name = noise(length - key.len() - 3, 1);
        let child = run.child::<longest>("b", &name).await.unwrap().unwrap();
        assert_eq!(child.key().len(), length);
        let same = forge.get::<longest>(child.key()).await.unwrap().unwrap();
        assert_eq!(same.id(), child.id());
        forge.wake::<longest>(child.key()).await.unwrap();
        let error = forge.retry::<longest>(child.key()).await.unwrap_err();
        assert!(matches!(error, Error::NotRetryable { .. }), "{error}");
        // Two parents of one key have such a child each.
        let other = forge.start(&key, has_them_too(length)).await.unwrap();
        assert_eq!(other.result().await.unwrap(), 2, "{length}");
        let ambiguous = forge.wake::<longest>(child.key()).await.unwrap_err();
        assert!(matches!(ambiguous, Error::AmbiguousKey { .. }), "{length}");
        let of_other = other.child::<longest>("b", &name).await.unwrap().unwrap();
        assert_eq!(of_other.result().await.unwrap(), 2);
    }
    let run = forge
        .start("beyond", has_long_children(8_193))
        .await
        .unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("8193 bytes, 8192 are the limit"), "{error}");
    assert_eq!(world.rows().children("beyond").len(), 0);
}

#[workflow]
async fn joins_many() -> Result<usize> {
    let mut branches = Vec::new();
    for nth in 0..400 {
        branches.push(branch!(noise(32, nth + 1), { spawn!("x", longest(String::new())) }).await?);
    }
    Ok(merge!(branches).await?.len())
}

#[scenario]
async fn a_merge_of_400_branches_is_one_record(world: &World) {
    let forge = world.forge([joins_many::NAME, longest::NAME]).await;
    let run = forge.start("k", joins_many()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 400);
    let order = world.rows().order("k");
    let merges = order.iter().filter(|name| name.starts_with("merge$"));
    assert_eq!(merges.count(), 1);
}

#[scenario]
async fn records_from_before_names_were_digests_are_found_by_their_own(world: &World) {
    // As long as the shorter of the databases would take.
    let length = 2_000;
    let forge = world.forge([long_winded::NAME]).await;
    let run = forge.start("k", long_winded(length)).await.unwrap();
    at_the_gate(world, &run).await;
    forge.shutdown().await;
    let own = |(kind, nth)| format!("{kind}${}", noise(length, nth));
    let kinds = [
        ("step", 1),
        ("wait", 2),
        ("wait_until", 3),
        ("branch", 6),
        ("step", 7),
        ("continue_if", 4),
    ];
    let mut renamed = 0;
    for name in kinds.map(own) {
        renamed += world.rows().edit(
            &format!(
                "UPDATE chrono_forge_execution_logs SET step_name = '{name}' WHERE field(metadata, 'name') = '{name}'"
            ),
            &[],
        );
    }
    assert_eq!(renamed, kinds.len());
    for note in ["go", "mended"] {
        world.probe.set(note, 1);
    }
    let records = world.rows().records("k").len();
    let forge = world.forge([long_winded::NAME]).await;
    forge.wake::<long_winded>("k").await.unwrap();
    let run = forge.get::<long_winded>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 4);
    for note in ["step", "inner", "last"] {
        assert_eq!(world.probe.count(note), 1, "{note}");
    }
    // The merge and the last step.
    assert_eq!(world.rows().records("k").len(), records + 2);
}
