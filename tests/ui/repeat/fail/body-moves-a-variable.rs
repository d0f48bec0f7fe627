use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    repeat!("reminder", every = days(1), until = { Ok(true) }, |_| {
        drop(order);
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {}
