use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let yes = true;
    branch!("orders", automerge = yes, { spawn_each!("order", orders, |n| child(n)) }).await?;
    Ok(())
}

fn main() {}
