use chrono_forge::prelude::*;

#[workflow]
async fn run(#[serde(default)] state: State<u32>) -> Result<()> {
    drop(state);
    Ok(())
}

fn main() {}
