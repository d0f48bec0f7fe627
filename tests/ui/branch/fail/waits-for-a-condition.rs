use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

async fn is_paid() -> Result<bool> {
    Ok(true)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", {
        wait_until!("paid", every = hours(1), is_paid()).await?;
        spawn_each!("order", orders, |n| child(n))
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
