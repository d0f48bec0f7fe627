use chrono_forge::prelude::*;

struct Opaque;

#[workflow]
async fn run() -> Result<()> {
    let _ = step!("opaque", { Ok(Opaque) }).await?;
    Ok(())
}

fn main() {}
