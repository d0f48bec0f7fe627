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
    repeat!("\t", every = days(1), until = is_paid(&order), |_| remind(&order)).await?;
    Ok(())
}

fn main() {}
