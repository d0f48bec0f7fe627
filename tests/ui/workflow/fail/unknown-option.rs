use chrono_forge::prelude::*;

#[workflow(que = "slow")]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
