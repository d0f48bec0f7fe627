use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let mut count = 0;
    let b = branch!("orders", {
        count += orders.len();
        spawn_each!("order", orders, |n| child(n))
    })
    .await?;
    merge!(b).await?;
    drop(count);
    Ok(())
}

fn main() {}
