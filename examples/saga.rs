//! A saga: three bookings that stand or fall together. When one gives up, those before it are
//! canceled in reverse, and that is as durable as the bookings were.
//!
//! There is no special construct for it: a step that gives up is a value, and what was booked so far is
//! an ordinary list, which every replay builds again from the records.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono_forge::prelude::*;

/// The world outside, with a car rental that is out of cars and a hotel that is hard to reach.
#[derive(Default)]
struct Agencies {
    /// What stands in their books, by booking number.
    booked: Mutex<HashSet<String>>,
    /// Calls that failed on the way.
    lost_calls: Mutex<u32>,
}

#[workflow]
async fn trip(cx: Context, agencies: State<Agencies>, cars: u32) -> Result<String> {
    let mut booked: Vec<&str> = Vec::new();
    let quick = RetryPolicy::new().base(Duration::from_millis(10));
    for kind in ["flight", "hotel", "car"] {
        // The key of the effect outside: a second execution of a step that was cut off books nothing new.
        let number = format!("{}-{kind}", cx.key());
        let retry = quick.clone().max_attempts(2);
        let booking = step!(
            "book-{kind}",
            retry = retry,
            agencies.book(kind, &number, cars)
        )
        .await;
        match booking {
            Ok(()) => booked.push(kind),
            Err(reason) => {
                cancel_all(&cx, &agencies, &booked).await?;
                return Ok(format!("canceled: {}", reason.message));
            }
        }
    }
    Ok(format!("booked: {}", booked.join(", ")))
}

/// Undoes the newest first. Nobody can give up half-way here, so each goes on until it succeeds; if a
/// person had to step in, the run would wait and show the step, its attempts and its last error.
#[workflow(part)]
async fn cancel_all(cx: &Context, agencies: &Agencies, booked: &[&str]) -> Result<()> {
    for kind in booked.iter().rev() {
        let number = format!("{}-{kind}", cx.key());
        let tirelessly = RetryPolicy::new()
            .unlimited()
            .base(Duration::from_millis(10));
        step!(
            "cancel-{kind}",
            retry = tirelessly,
            agencies.cancel(&number)
        )
        .await?;
    }
    Ok(())
}

impl Agencies {
    async fn book(&self, kind: &str, number: &str, cars: u32) -> Result<()> {
        anyhow::ensure!(kind != "car" || cars > 0, "there are no cars left");
        say(&format!("book   {number}"));
        lock(&self.booked).insert(number.to_owned());
        Ok(())
    }

    async fn cancel(&self, number: &str) -> Result<()> {
        if number.ends_with("hotel") {
            let mut lost = lock(&self.lost_calls);
            *lost += 1;
            anyhow::ensure!(*lost > 2, "the line is dead");
        }
        say(&format!("cancel {number}"));
        lock(&self.booked).remove(number);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    let database = folder.path().join("trips.db");
    let forge = Forge::builder(&database.to_string_lossy())
        .state(Agencies::default())
        .open()
        .await?;
    for (traveller, cars) in [("ada", 1), ("bob", 0)] {
        let run = forge.start(traveller, trip(cars)).await?;
        say(&format!("{traveller}: {}", run.result().await?));
    }
    forge.shutdown().await;
    Ok(())
}
