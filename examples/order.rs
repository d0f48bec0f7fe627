//! An order: pay, wait for the warehouse, ship, and pay back when the parcel cannot be delivered.
//!
//! Compensation is ordinary code: a step that gives up returns a `StepError`, and whoever catches it
//! decides what to undo.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;

/// Short enough to watch; a real order would say `hours(2)`.
const COOLING_OFF: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The outside world, handed to every workflow that asks for a `State<Shop>`.
#[derive(Default)]
struct Shop {
    asked: AtomicU32,
}

#[workflow]
async fn order(shop: State<Shop>, number: u32, address: String) -> Result<String> {
    let receipt = step!(shop.charge(number)).await?;

    // No worker is held meanwhile, and no process need run: the deadline is in the database.
    wait!("cooling off", COOLING_OFF).await;
    wait_until!(
        "packed",
        every = LOOK_EVERY,
        timeout = minutes(1),
        shop.is_packed()
    )
    .await?;

    // Three attempts, and then the error is recorded like any other result: on a replay this
    // `match` takes the same arm.
    let delivery = RetryPolicy::new()
        .max_attempts(3)
        .base(Duration::from_millis(10));
    match step!("deliver", retry = delivery, shop.deliver(number, &address)).await {
        Ok(day) => Ok(format!("order {number} arrives on {day} ({receipt})")),
        Err(error) => {
            step!(shop.refund(&receipt)).await?;
            Ok(format!(
                "order {number} is paid back after {} attempts",
                error.attempts
            ))
        }
    }
}

impl Shop {
    async fn charge(&self, number: u32) -> Result<String> {
        Ok(format!("receipt {}", 1000 + number))
    }

    /// True from the third look on.
    async fn is_packed(&self) -> Result<bool> {
        Ok(self.asked.fetch_add(1, Ordering::Relaxed) >= 2)
    }

    async fn deliver(&self, number: u32, address: &str) -> Result<String> {
        say(&format!("order {number}: trying {address}"));
        anyhow::ensure!(address != "nowhere", "there is no such address");
        Ok("Friday".to_owned())
    }

    async fn refund(&self, receipt: &str) -> Result<()> {
        say(&format!("paying back {receipt}"));
        Ok(())
    }
}

#[allow(clippy::print_stdout, reason = "this is the application")]
fn say(text: &str) {
    println!("{text}");
}

#[tokio::main]
async fn main() -> Result<()> {
    anyhow::ensure!(
        std::env::args().len() == 1,
        "this example takes no arguments"
    );
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("orders.db");
    let forge = Forge::builder(&database.to_string_lossy())
        .state(Shop::default())
        .open()
        .await?;
    // One after the other, so that the lines come in order; they would run side by side as well.
    for (number, address) in [(1, "Main Street 5"), (2, "nowhere")] {
        let key = format!("order {number}");
        let run = forge.start(&key, order(number, address.into())).await?;
        say(&run.result().await?);
    }
    forge.shutdown().await;
    Ok(())
}
