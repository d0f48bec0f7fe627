use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", {
        repeat!("pause", every = hours(1), until = { Ok(true) }, |_| { Ok(()) }).await?;
        spawn_each!("order", orders, |n| child(n))
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
