use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    step!({ Ok(order.len()) }).await?;
    Ok(())
}

fn main() {}
