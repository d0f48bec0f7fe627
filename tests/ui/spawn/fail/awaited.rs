use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", { spawn!("order", child(1)).await }).await?;
    merge!(b).await?;
    drop(orders);
    Ok(())
}

fn main() {}
