use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", {
        let mut count = 0;
        spawn_each!("order", orders, |n| {
            count += 1;
            child(n + count)
        })
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
