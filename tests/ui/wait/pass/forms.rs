#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn waits(n: u64) -> Result<()> {
    wait!("duration", hours(n)).await;
    wait!("instant", until = jiff::Timestamp::UNIX_EPOCH).await;
    wait!("n-{n}", minutes(1),).await;
    Ok(())
}
