use chrono_forge::prelude::*;

async fn tick() -> Result<()> {
    Ok(())
}

#[workflow]
async fn run() -> Result<()> {
    repeat!("tick", every = hours(1), |_| tick()).await?;
    Ok(())
}

fn main() {}
