use chrono_forge::prelude::*;

#[workflow]
async fn run(name: Option<&str>) -> Result<bool> {
    Ok(name.is_some())
}

fn main() {}
