use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    step!("outer", {
        wait!("pause", hours(1)).await;
        Ok(order.len())
    })
    .await?;
    Ok(())
}

fn main() {}
