use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    spawn_each!("order", orders, |n| child(n));
    Ok(())
}

fn main() {}
