use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

#[workflow]
async fn run() -> Result<()> {
    wait_until!("paid", every = hours(1), charge("a")).await?;
    Ok(())
}

fn main() {}
