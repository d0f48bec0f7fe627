use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

fn caller() {
    let _ = child("one");
}

fn main() {}
