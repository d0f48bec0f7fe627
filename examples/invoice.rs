//! The program of the project's README, whole: kill it while it waits, run it again.

#![allow(clippy::print_stdout, reason = "this is the application")]

use chrono_forge::prelude::*;

#[workflow]
async fn invoice(customer: String) -> Result<u64> {
    let cents = step!(total(&customer)).await?; // recorded: never runs again
    wait!("settlement", secs(10)).await; // days, in earnest: holds no worker, needs no process
    step!(send(&customer, cents)).await?; // tried again if it fails
    Ok(cents)
}

async fn total(customer: &str) -> Result<u64> {
    println!("adding up what {customer} has bought; kill me while I wait");
    Ok(4_200)
}

async fn send(customer: &str, cents: u64) -> Result<()> {
    println!("sending {customer} an invoice of {cents} cents");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let forge = Forge::open("sqlite://invoices.db").await?;
    let run = forge.start("2026-11-ada", invoice("ada".into())).await?; // or finds it
    println!("{}: {} cents", run.key(), run.result().await?);
    forge.shutdown().await;
    Ok(())
}
