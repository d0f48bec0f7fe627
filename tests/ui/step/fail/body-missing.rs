use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    step!("charge").await?;
    Ok(())
}

fn main() {}
