#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[workflow]
async fn delimiters(order: String) -> Result<()> {
    step!["brackets", charge(&order)].await?;
    step! { "braces", charge(&order) }.await?;
    let braces = step! { "assigned", charge(&order) }.await?;
    step!("trailing", charge(&order),).await?;
    let _: usize = braces;
    Ok(())
}
