use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run() -> Result<()> {
    let b = branch!("orders", { spawn!("  ", child(1)) }).await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
