use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn run(orders: Vec<u32>) -> Result<()> {
    let b = branch!("orders", {
        spawn_each!("order", orders, |n| child(n));
        std::sync::Mutex::new(1).lock().map(drop).is_ok();
        std::rc::Rc::new(1)
    })
    .await?;
    merge!(b).await?;
    Ok(())
}

fn main() {}
