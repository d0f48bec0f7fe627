use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    let length = step!("length", {
        drop(order);
        Ok(1)
    })
    .await?;
    let _: u32 = length;
    Ok(())
}

fn main() {}
