#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn is_paid(order: &str) -> Result<bool> {
    Ok(order.is_empty())
}

#[workflow]
async fn conditions(order: String) -> Result<()> {
    wait_until!(is_paid(&order)).await?;
    wait_until!(
        "paid",
        every = minutes(5),
        timeout = hours(24),
        retry = RetryPolicy::new(),
        is_paid(&order)
    )
    .await?;
    wait_until!("block", every = minutes(5), {
        Ok(is_paid(&order).await? && order.len() > 1)
    })
    .await?;
    wait_until!("future", async { is_paid(&order).await }).await?;
    continue_if!(is_paid(&order)).await?;
    continue_if!("approved", timeout = hours(24), is_paid(&order)).await?;
    Ok(())
}
