use chrono_forge::prelude::*;

#[workflow(retry = 3)]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
