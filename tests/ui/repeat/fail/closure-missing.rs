use chrono_forge::prelude::*;

async fn is_paid(order: &str) -> Result<bool> {
    Ok(order.is_empty())
}

async fn remind(order: &str) -> Result<()> {
    println!("{order}");
    Ok(())
}

#[workflow]
async fn run(order: String) -> Result<()> {
    repeat!("reminder", every = days(3), until = is_paid(&order), remind(&order)).await?;
    Ok(())
}

fn main() {}
