use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", {
        spawn_each!("order", orders, |n| {
            if n > 3 {
                return child(3);
            }
            child(n)
        })
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
