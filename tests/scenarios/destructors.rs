//! User code in odd places: destructors of attempts that are cut off, values and errors that panic where the
//! engine handles them. All of it belongs to the attempt in which it happens.

use std::fmt;
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, STALLED, World, scenario};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes to the context when it is dropped, and panics then if it is told to.
struct Guard {
    cx: Context,
    panics: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cx.set("dropped", &true).unwrap();
        assert!(!self.panics, "not closed");
    }
}

async fn hang(cx: &Context, panics: bool) -> Result<u32> {
    let _guard = Guard {
        cx: cx.clone(),
        panics,
    };
    std::future::pending().await
}

/// Moves time second by second, also while something executes, until the run has settled.
async fn drive(world: &World, key: &str) -> i64 {
    loop {
        let run = world.rows().run(key);
        if run.state >= COMPLETED {
            return run.state;
        }
        world.clock.advance(secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the body saw, in each of its passes.
fn seen(world: &World, key: &str) -> Vec<String> {
    let mine = format!("{key}: ");
    let log = world.probe.log().into_iter();
    log.filter_map(|line| line.strip_prefix(&mine).map(str::to_owned))
        .collect()
}

#[workflow]
async fn cut_off_by_time(cx: Context, probe: State<Probe>, panics: bool, tries: u32) -> Result<()> {
    let policy = RetryPolicy::new()
        .max_attempts(tries)
        .base(secs(1))
        .jitter(false);
    let slow = step!("slow", timeout = secs(5), retry = policy, async {
        match probe.nth(cx.key()) {
            1 => hang(&cx, panics).await,
            n => Ok(n as u32),
        }
    });
    let told = slow.await.map_err(|error| error.is_timeout);
    let dropped = cx.contains("dropped");
    probe.note(format!("{}: {told:?}, dropped {dropped}", cx.key()));
    wait!("replay", secs(1)).await;
    Ok(())
}

#[scenario]
async fn a_destructor_at_a_timeout_belongs_to_its_attempt(world: &World) {
    let forge = world.forge([cut_off_by_time::NAME]).await;
    let ends = [
        // What the last attempt wrote is kept with its failure, what an earlier one wrote is not.
        ("given up", false, 1, "Err(true), dropped true"),
        ("given up with a panic", true, 1, "Err(true), dropped true"),
        ("tried again", false, 2, "Ok(2), dropped false"),
        ("tried again after a panic", true, 2, "Ok(2), dropped false"),
    ];
    for (key, panics, tries, told) in ends {
        forge
            .start(key, cut_off_by_time(panics, tries))
            .await
            .unwrap();
        assert_eq!(drive(world, key).await, COMPLETED, "{key}");
        assert_eq!(seen(world, key), [told, told], "{key}");
        let errors = world.rows().attempts(key);
        assert_eq!(errors, [("step$slow".to_owned(), 1)], "{key}");
        let message = &world.rows().errors(key)[0].message;
        assert_eq!(message.contains("not closed"), panics, "{message}");
    }
}

#[workflow]
async fn cut_off_by_a_race(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    let panics = how.ends_with("panics");
    let condition = async || hang(&cx, panics).await.map(|_| true);
    let limit = wait!("limit", secs(5));
    match how.split_once(' ').unwrap().0 {
        "step" => tokio::select! {
            _ = step!("slow", hang(&cx, panics)) => {}
            () = limit => {}
        },
        "wait_until" => tokio::select! {
            _ = wait_until!("slow", condition()) => {}
            () = limit => {}
        },
        "until" => tokio::select! {
            _ = repeat!("slow", every = secs(60), until = condition(), |_tick| { Ok(()) }) => {}
            () = limit => {}
        },
        "block" => tokio::select! {
            _ = branch!("slow", automerge = true, { hang(&cx, panics).await?; }) => {}
            () = limit => {}
        },
        // Kept aside until the body has no use for it any more.
        _ => {
            let mut aside = Box::pin(step!("slow", timeout = secs(3), hang(&cx, panics)));
            tokio::select! {
                biased;
                _ = &mut aside => {}
                () = wait!("first", secs(1)) => {}
            }
            limit.await;
            drop(aside);
        }
    }
    let dropped = cx.contains("dropped");
    probe.note(format!("{}: dropped {dropped}", cx.key()));
    wait!("replay", secs(1)).await;
    Ok(())
}

#[scenario]
async fn a_destructor_of_a_lost_attempt_changes_nothing(world: &World) {
    let forge = world.forge([cut_off_by_a_race::NAME]).await;
    for how in ["step", "wait_until", "until", "block", "aside"] {
        for end in ["quiet", "panics"] {
            let key = format!("{how} {end}");
            forge
                .start(&key, cut_off_by_a_race(key.clone()))
                .await
                .unwrap();
            assert_eq!(
                drive(world, &key).await,
                COMPLETED,
                "{key}: {:?}",
                world.rows().errors(&key)
            );
            assert_eq!(
                seen(world, &key),
                ["dropped false", "dropped false"],
                "{key}"
            );
            assert_eq!(world.rows().attempts(&key), [], "{key}");
            assert_eq!(
                world.rows().run(&key).context,
                serde_json::json!({}),
                "{key}"
            );
        }
    }
}

#[workflow]
async fn parks_with_a_guard(cx: Context, probe: State<Probe>) -> Result<bool> {
    let before = cx.contains("dropped");
    probe.note(format!("{}: dropped {before}", cx.key()));
    let guard = Guard {
        cx: cx.clone(),
        panics: false,
    };
    wait!("pause", secs(1)).await;
    std::mem::forget(guard);
    Ok(before)
}

#[scenario]
async fn what_a_body_s_destructors_write_when_it_parks_is_not_kept(world: &World) {
    let forge = world.forge([parks_with_a_guard::NAME]).await;
    let run = forge.start("k", parks_with_a_guard()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert!(!run.result().await.unwrap());
    assert_eq!(seen(world, "k"), ["dropped false", "dropped false"]);
    assert_eq!(world.rows().run("k").context, serde_json::json!({}));
}

/// Kept aside past its time, until the run parks and the engine drops it with the pass.
#[workflow]
async fn parks_with_an_attempt(cx: Context, probe: State<Probe>) -> Result<bool> {
    let mut aside = Box::pin(step!("slow", timeout = secs(3), {
        probe.note("slow");
        hang(&cx, true).await
    }));
    tokio::select! {
        biased;
        _ = &mut aside => {}
        () = wait!("first", secs(1)) => {}
    }
    wait!("long", hours(1)).await;
    drop(aside);
    Ok(cx.contains("dropped"))
}

#[scenario]
async fn a_destructor_that_a_park_cuts_off_changes_nothing(world: &World) {
    let forge = world.forge([parks_with_an_attempt::NAME]).await;
    let run = forge.start("k", parks_with_an_attempt()).await.unwrap();
    world.noted("slow", 1).await;
    world.until(|| !world.rows().records("k").is_empty()).await;
    world.clock.advance(secs(1));
    world
        .until(|| world.rows().order("k") == ["wait$first"])
        .await;
    world.clock.advance(secs(2));
    world.parked("k").await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert!(!run.result().await.unwrap());
    assert_eq!(world.rows().errors("k").len(), 0);
    assert_eq!(world.rows().run("k").context, serde_json::json!({}));
}

/// A value and an error that panic in the places that they name.
#[derive(Debug)]
struct Rude(String);

impl Serialize for Rude {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, "encoded");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rude {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "decoded");
        Ok(Self(text))
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        assert!(!self.0.starts_with("dropped"));
    }
}

impl fmt::Display for Rude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.0.ends_with("shown"));
        f.write_str("rude")
    }
}

impl std::error::Error for Rude {}

/// Its destructor panics, and so does that of what it panics with.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Self(self.0 - 1));
        }
    }
}

/// Rude at the first attempt only.
async fn misbehave(cx: &Context, probe: &Probe, how: &str) -> Result<Rude, Rude> {
    let how = match probe.nth(cx.key()) {
        1 => how,
        _ => "well",
    };
    let manner = how.rsplit(", ").next().unwrap();
    match how.split(", ").next().unwrap() {
        "panic" => std::panic::panic_any(Bomb(2)),
        "error" => Err(Rude(manner.to_owned())),
        _ => Ok(Rude(manner.to_owned())),
    }
}

fn policy(how: &str) -> RetryPolicy {
    let policy = RetryPolicy::new().base(secs(1)).jitter(false);
    if how.ends_with("judged") {
        return policy.when("judged", |_| panic!("judged"));
    }
    policy
}

#[workflow]
async fn calm(n: u32) -> Result<u32> {
    Ok(n)
}

const MANNERS: [&str; 6] = [
    "value, encoded",
    "value, decoded",
    "value, dropped",
    "error, dropped",
    "error, dropped and shown",
    "panic",
];

#[workflow]
async fn rude_step(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    let _ = step!("rude", retry = policy(&how), misbehave(&cx, &probe, &how)).await?;
    Ok(())
}

#[workflow]
async fn rude_condition(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    let look = async || misbehave(&cx, &probe, &how).await.map(|_| true);
    wait_until!("rude", retry = policy(&how), look()).await?;
    Ok(())
}

#[workflow]
async fn rude_tick(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    let is_over = async || Ok::<_, anyhow::Error>(probe.is(cx.key()));
    repeat!(
        "rude",
        every = secs(60),
        until = is_over(),
        retry = policy(&how),
        |_tick| {
            misbehave(&cx, &probe, &how).await?;
            probe.set(cx.key(), 1);
            Ok(())
        }
    )
    .await?;
    Ok(())
}

#[workflow]
async fn rude_block(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    branch!("rude", automerge = true, retry = policy(&how), {
        misbehave(&cx, &probe, &how).await?;
    })
    .await?;
    Ok(())
}

#[workflow]
async fn rude_closure(cx: Context, probe: State<Probe>, how: String) -> Result<()> {
    branch!("rude", automerge = true, retry = policy(&how), {
        spawn_each!("c", 0..1_u32, |n| {
            misbehave(&cx, &probe, &how).await?;
            calm(n)
        })
    })
    .await?;
    Ok(())
}

/// Each manner once, in an attempt of this kind; on one slot, so that who takes it along stops everything.
async fn misbehaves_in(world: &World, what: &str) {
    let names = [
        rude_step::NAME,
        rude_condition::NAME,
        rude_tick::NAME,
        rude_block::NAME,
        rude_closure::NAME,
        calm::NAME,
    ];
    let builder = world.builder(names).queue("default", 1);
    let forge = builder.open().await.unwrap();
    for manner in MANNERS {
        let key = format!("{what}: {manner}");
        let how = manner.to_owned();
        match what {
            "step" => drop(forge.start(&key, rude_step(how)).await.unwrap()),
            "condition" => drop(forge.start(&key, rude_condition(how)).await.unwrap()),
            "tick" => drop(forge.start(&key, rude_tick(how)).await.unwrap()),
            "block" => drop(forge.start(&key, rude_block(how)).await.unwrap()),
            _ => drop(forge.start(&key, rude_closure(how)).await.unwrap()),
        }
        assert_eq!(drive(world, &key).await, COMPLETED, "{key}");
        let errors = world.rows().errors(&key);
        // A value that goes no further than its attempt is neither encoded nor decoded.
        let is_local = what != "step" && ["value, encoded", "value, decoded"].contains(&manner);
        assert_eq!(errors.len(), usize::from(!is_local), "{key}: {errors:?}");
        let are_of_attempts = errors.iter().all(|error| error.step_name.is_some());
        assert!(are_of_attempts, "{key}: {errors:?}");
    }
}

#[scenario]
async fn what_panics_in_a_step_is_its_failure_and_another_attempt_follows(world: &World) {
    misbehaves_in(world, "step").await;
}

#[scenario]
async fn what_panics_in_a_condition_is_its_failure_and_another_look_follows(world: &World) {
    misbehaves_in(world, "condition").await;
}

#[scenario]
async fn what_panics_in_a_tick_is_its_failure_and_another_attempt_follows(world: &World) {
    misbehaves_in(world, "tick").await;
}

#[scenario]
async fn what_panics_in_a_block_is_its_failure_and_another_attempt_follows(world: &World) {
    misbehaves_in(world, "block").await;
}

#[scenario]
async fn what_panics_in_a_closure_is_its_block_s_failure(world: &World) {
    misbehaves_in(world, "closure").await;
}

/// The first attempt's value reads back, and what is recorded does not.
#[workflow]
async fn rude_recall(probe: State<Probe>) -> Result<()> {
    let value = step!("rude", {
        probe.note("attempt");
        Ok(Late("late".to_owned()))
    });
    value.await?;
    Ok(())
}

#[derive(Serialize)]
struct Late(String);

static LATE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl<'de> Deserialize<'de> for Late {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nth = LATE.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // Once in each attempt, then once where it is delivered.
        assert_eq!(nth % 2, 0, "read too late");
        String::deserialize(deserializer).map(Self)
    }
}

#[scenario]
async fn a_recorded_value_whose_reading_panics_is_one_that_does_not_read(world: &World) {
    LATE.store(0, std::sync::atomic::Ordering::SeqCst);
    let forge = world.forge([rude_recall::NAME]).await;
    forge.start("k", rude_recall()).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    let errors = world.rows().errors("k");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].class, "chrono_forge::DefinitionError");
    let message = &errors[0].message;
    assert!(
        message.contains("does not read") && message.contains("read too late"),
        "{message}"
    );
}

#[workflow(retry = policy(&how_of_bodies()).max_attempts(2))]
async fn rude_body(cx: Context, probe: State<Probe>, how: String) -> Result<Rude, Rude> {
    misbehave(&cx, &probe, &how).await
}

fn how_of_bodies() -> String {
    "well".to_owned()
}

#[scenario]
async fn what_panics_in_a_body_or_at_its_end_is_its_failure_and_no_slot_is_lost(world: &World) {
    let builder = world.builder([rude_body::NAME]).queue("default", 1);
    let forge = builder.open().await.unwrap();
    for how in MANNERS {
        forge.start(how, rude_body(how.to_owned())).await.unwrap();
        assert_eq!(drive(world, how).await, COMPLETED, "{how}");
        let errors = world.rows().errors(how);
        assert_eq!(errors.len(), 1, "{how}: {errors:?}");
    }
}

#[workflow]
async fn badly_judged(cx: Context, probe: State<Probe>) -> Result<()> {
    let how = "error, judged";
    let told = step!("rude", retry = policy(how), misbehave(&cx, &probe, how)).await;
    anyhow::ensure!(told.is_err(), "it was tried again");
    Ok(())
}

#[scenario]
async fn a_predicate_that_panics_ends_its_step_and_not_the_body(world: &World) {
    let forge = world.forge([badly_judged::NAME]).await;
    forge.start("k", badly_judged()).await.unwrap();
    assert_eq!(drive(world, "k").await, COMPLETED);
    let message = &world.rows().errors("k")[0].message;
    assert!(message.contains("judged"), "{message}");
}
