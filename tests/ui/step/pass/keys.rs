#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[workflow]
async fn keys(order: String, ids: Vec<u32>) -> Result<()> {
    step!("plain", charge(&order)).await?;
    step!("braces-{{x}}-{order}", charge(&order)).await?;
    step!(format!("made-{}", ids.len()), charge(&order)).await?;
    step!(7, charge(&order)).await?;
    for (i, id) in ids.iter().enumerate() {
        step!("item-{i:03}-{id}", charge(&order)).await?;
        step!(id, charge(&order)).await?;
    }
    if ids.is_empty() {
        step!("either", charge(&order)).await?;
    } else {
        step!("either", charge("b")).await?;
    }
    Ok(())
}
