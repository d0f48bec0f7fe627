use chrono_forge::prelude::*;

#[workflow]
async fn run(name: impl Into<String>) -> Result<String> {
    Ok(name.into())
}

fn main() {}
