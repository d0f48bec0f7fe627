use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(n: u32) -> Result<()> {
    loop {
        let b = branch!("orders-{n}", {
            if n > 3 {
                break;
            }
            spawn!("order", child(n))
        })
        .await?;
        merge!(b).await?;
    }
}

fn main() {}
