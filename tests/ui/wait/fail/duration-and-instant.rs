use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    wait!("pause", hours(1), until = hours(2)).await;
    Ok(())
}

fn main() {}
