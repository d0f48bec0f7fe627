use chrono_forge::prelude::*;

#[workflow]
async fn run(order: String) -> Result<()> {
    let mut names = vec![order];
    step!("sort", {
        let list = &mut names;
        Ok(list.len())
    })
    .await?;
    Ok(())
}

fn main() {}
