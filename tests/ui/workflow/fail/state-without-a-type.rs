use chrono_forge::prelude::*;

#[workflow]
async fn run(state: State) -> Result<()> {
    drop(state);
    Ok(())
}

fn main() {}
