use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

async fn pay() -> Result<u32> {
    Ok(step!(charge("a")).await?)
}

fn main() {}
