//! Workflows of every kind, stopped in the middle.

use chrono_forge::Operation;
use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::Probe;

use crate::ground::{Ground, Place};

/// Children of the order.
pub(crate) const ITEMS: u64 = 700;

/// Keys that text formats stumble over.
pub(crate) const ODD_KEY: &str = "größe \"XL\"\n\\ 😀 \u{7f}";

/// Close to the limit of a value, and more than any page or batch holds.
pub(crate) const BULK: usize = 4_000_000;

pub(crate) async fn is_set(probe: &Probe, flag: &str) -> Result<bool> {
    probe.note(format!("asked {flag}"));
    Ok(probe.is(flag))
}

#[workflow]
pub(crate) async fn order(probe: State<Probe>) -> Result<String> {
    step!("open", {
        probe.note("open");
        Ok(())
    })
    .await?;
    let items = branch!("items", {
        spawn_each!("item", (0..ITEMS).collect::<Vec<_>>(), |n| item(n))
    })
    .await?;
    let sum: u128 = merge!(items).await?.fold(0, |sum, n| sum + n).await?;
    step!("close", {
        probe.note("close");
        Ok(())
    })
    .await?;
    Ok(sum.to_string())
}

/// A result that is no JSON number of most readers.
pub(crate) fn price(n: u64) -> u128 {
    u128::MAX / 1_000 - u128::from(n)
}

#[workflow]
pub(crate) async fn item(cx: Context, probe: State<Probe>, n: u64) -> Result<u128> {
    let price = step!("pick", {
        probe.note(format!("pick {n}"));
        cx.set("picked", &n)?;
        Ok(price(n))
    })
    .await?;
    match n {
        1 | 650 => wait!("cool", hours(1)).await,
        2 => continue_if!("approved", is_set(&probe, "approved")).await?,
        3 => {
            step!("ship", retry = RetryPolicy::none(), {
                anyhow::ensure!(probe.is("shipping"), "no ship \u{2014} \"strike\"");
                Ok(())
            })
            .await?;
        }
        _ => {}
    }
    anyhow::ensure!(cx.get::<u64>("picked")? == Some(n), "the context is lost");
    probe.note("item done");
    Ok(price)
}

#[workflow(retry = RetryPolicy::none())]
pub(crate) async fn broken(probe: State<Probe>) -> Result<()> {
    probe.note("broken");
    anyhow::ensure!(probe.is("mended"), "it is broken");
    Ok(())
}

#[workflow]
pub(crate) async fn beat(probe: State<Probe>) -> Result<usize> {
    repeat!(
        "pulse",
        every = secs(10),
        until = is_set(&probe, "enough"),
        |tick| {
            probe.note(format!("pulse {}", tick.as_second()));
            probe.note("pulse");
            Ok(())
        }
    )
    .await?;
    Ok(probe.count("pulse"))
}

#[workflow]
pub(crate) async fn bulky(probe: State<Probe>, text: String) -> Result<usize> {
    let copy = step!("copy", {
        probe.note("copied");
        Ok(format!("{text}!"))
    })
    .await?;
    wait!("rest", hours(1)).await;
    Ok(copy.len() + text.len())
}

#[workflow]
pub(crate) async fn sums(numbers: Vec<u64>) -> Result<u64> {
    Ok(step!("sum", { Ok(numbers.iter().sum()) }).await?)
}

fn next_tick(operation: &Operation) -> Option<Timestamp> {
    (operation.kind == "repeat").then_some(operation.wake_at)?
}

/// Starts them all and stops when each has come as far as it can.
pub(crate) async fn launch(ground: &Ground, place: &Place) {
    let forge = ground.worker(place).await;
    forge.start(ODD_KEY, sums(vec![1, 2])).await.unwrap();
    forge.start("o1", order()).await.unwrap();
    forge.start("b1", broken()).await.unwrap();
    let beat = forge.start("p1", beat()).await.unwrap();
    let text = "\u{e9}\"".repeat(10) + &"x".repeat(BULK);
    forge.start("k1", bulky(text)).await.unwrap();
    let sum = forge.get::<sums>(ODD_KEY).await.unwrap().unwrap();
    assert_eq!(sum.result().await.unwrap(), 3);
    ground.noted("item done", ITEMS as usize - 4).await;
    ground.noted("asked approved", 1).await;
    ground.noted("broken", 1).await;
    ground.noted("copied", 1).await;
    for pulses in 1..=3 {
        let next = loop {
            let operations = beat.operations().await.unwrap();
            let next = operations.iter().find_map(next_tick);
            if let Some(next) = next.filter(|next| *next > ground.clock.now()) {
                break next;
            }
            tokio::task::yield_now().await;
        };
        let left = next.duration_since(ground.clock.now());
        ground.clock.advance(left.unsigned_abs());
        ground.noted("pulse", pulses).await;
        ground.noted("asked enough", pulses).await;
    }
    let broken = forge.get::<broken>("b1").await.unwrap().unwrap();
    broken.result().await.unwrap_err();
    let key = "o1$items$item$3";
    let stalled = forge.get::<item>(key).await.unwrap().unwrap();
    stalled.result().await.unwrap_err();
    forge.shutdown().await;
}

/// Lets everything go on and checks what comes of it; nothing that was recorded happens again.
pub(crate) async fn land(ground: &Ground, place: &Place) {
    let forge = ground.worker(place).await;
    for flag in ["approved", "shipping", "mended", "enough"] {
        ground.probe.set(flag, 1);
    }
    forge.wake::<item>("o1$items$item$2").await.unwrap();
    forge.retry::<item>("o1$items$item$3").await.unwrap();
    forge.retry::<broken>("b1").await.unwrap();
    ground.clock.advance(hours(1));
    let run = forge.get::<order>("o1").await.unwrap().unwrap();
    let sum: u128 = (0..ITEMS).map(price).sum();
    assert_eq!(run.result().await.unwrap(), sum.to_string());
    let run = forge.get::<broken>("b1").await.unwrap().unwrap();
    run.result().await.unwrap();
    let run = forge.get::<bulky>("k1").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), (BULK + 30) * 2 + 1);
    let run = forge.get::<beat>("p1").await.unwrap().unwrap();
    run.result().await.unwrap();
    let run = forge.get::<sums>(ODD_KEY).await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    forge.shutdown().await;
    let once = (0..ITEMS).map(|n| format!("pick {n}"));
    let log = ground.probe.log();
    let mut seen = std::collections::HashMap::new();
    for line in &log {
        *seen.entry(line.as_str()).or_insert(0) += 1;
    }
    for what in once.chain(["open", "close", "copied"].map(str::to_owned)) {
        assert_eq!(seen.get(&*what), Some(&1), "{what}");
    }
    let ticks = log.iter().filter(|line| line.starts_with("pulse "));
    assert!(
        ticks.clone().all(|tick| seen[tick.as_str()] == 1),
        "a tick ran twice"
    );
}

#[workflow]
pub(crate) async fn held(probe: State<Probe>) -> Result<u64> {
    let seven = step!("before", {
        probe.note("before");
        Ok(7)
    })
    .await?;
    step!("hold", {
        probe.note("holding");
        probe.raised("free").await;
        Ok(())
    })
    .await?;
    Ok(seven)
}

/// Waits longer than any clock tells.
#[workflow]
pub(crate) async fn for_ever(probe: State<Probe>, until: Option<Timestamp>) -> Result<()> {
    probe.note("waits");
    match until {
        Some(until) => wait!("until", until = until).await,
        None => wait!("span", std::time::Duration::MAX).await,
    }
    Ok(())
}
