use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

#[workflow]
async fn run(order: String) -> Result<()> {
    let mut total = 0;
    step!("charge", {
        total = charge(&order).await?;
        Ok(())
    })
    .await?;
    drop(total);
    Ok(())
}

fn main() {}
