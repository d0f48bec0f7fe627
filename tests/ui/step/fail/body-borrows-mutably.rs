use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    let mut names = vec![order];
    step!("sort", {
        let names = &mut names;
        Ok(names.len())
    })
    .await?;
    Ok(())
}

fn main() {}
