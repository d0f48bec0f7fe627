use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    step!("length", async { order.len() }).await?;
    Ok(())
}

fn main() {}
