use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    step!("charge", retry = 3, { Ok(()) }).await?;
    Ok(())
}

fn main() {}
