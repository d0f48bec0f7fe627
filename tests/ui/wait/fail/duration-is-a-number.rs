use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    wait!("pause", 3).await;
    Ok(())
}

fn main() {}
