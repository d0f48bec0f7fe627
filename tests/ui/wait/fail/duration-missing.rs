use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    wait!("pause").await;
    Ok(())
}

fn main() {}
