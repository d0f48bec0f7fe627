use chrono_forge::prelude::*;

#[workflow(part, queue = "slow")]
async fn pay(cx: &Context) -> Result<()> {
    let _ = cx;
    Ok(())
}

fn main() {}
