use chrono_forge::prelude::*;

#[workflow]
async fn run<T: Send>(value: T) -> Result<()> {
    drop(value);
    Ok(())
}

fn main() {}
