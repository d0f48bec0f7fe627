use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", { spawn_each!("order", 5, |n: u32| child(n)) }).await?;
    merge!(b).await?;
    drop(orders);
    Ok(())
}

fn main() {}
