use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

#[workflow]
async fn run(order: String) -> Result<()> {
    step!("charge\0", charge(&order)).await?;
    Ok(())
}

fn main() {}
