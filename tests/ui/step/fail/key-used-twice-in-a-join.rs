use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

#[workflow]
async fn run(order: String) -> Result<()> {
    let (a, b) = (step!("charge", charge(&order)), step!("charge", charge(&order)));
    let _ = (a.await?, b.await?);
    Ok(())
}

fn main() {}
