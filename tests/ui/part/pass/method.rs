#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

struct Shop {
    name: String,
}

impl Shop {
    #[workflow(part)]
    async fn pay(&self, cx: &Context, order: &str) -> Result<usize> {
        let name = &self.name;
        let charged = step!("pay-{name}", { Ok(charge(order).await? + self.name.len()) }).await?;
        wait!("pause", minutes(1)).await;
        Ok(charged)
    }
}

#[workflow]
async fn order(cx: Context, id: String) -> Result<usize> {
    Shop {
        name: "corner".to_owned(),
    }
    .pay(&cx, &id)
    .await
}
