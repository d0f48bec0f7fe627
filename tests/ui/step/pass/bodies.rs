#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("declined")
    }
}

impl std::error::Error for Declined {}

struct Bank(u32);

impl Bank {
    async fn pay(&self, order: &str) -> Result<u32, Declined> {
        if order.is_empty() {
            Err(Declined)
        } else {
            Ok(self.0)
        }
    }
}

#[workflow]
async fn bodies(bank: State<Bank>, order: String) -> Result<u32> {
    step!(charge(&order)).await?;
    let mut sum = step!(bank.pay(&order)).await?;
    sum += step!("own-error", async {
        let paid = bank.pay(&order).await?;
        if paid > 3 {
            return Err(Declined);
        }
        Ok(paid)
    })
    .await?;
    sum += step!("any-error", {
        let text = order.clone();
        let paid = bank.pay(&text).await?;
        Ok(paid + text.parse::<u32>()?)
    })
    .await?;
    let refused: std::result::Result<u32, String> = step!("value", {
        Ok(bank.pay(&order).await.map_err(|error| error.to_string()))
    })
    .await?;
    step!("cloned", drop_later(order.clone())).await.ok();
    Ok(sum + refused.unwrap_or(0))
}

async fn drop_later(order: impl Into<String> + Send) -> Result<()> {
    drop(order.into());
    Ok(())
}
