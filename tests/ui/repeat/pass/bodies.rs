#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;
use jiff::Timestamp;

async fn is_paid(order: &str) -> Result<bool> {
    Ok(order.is_empty())
}

async fn remind(order: &str, tick: Timestamp) -> Result<()> {
    println!("{order} at {tick}");
    Ok(())
}

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("declined")
    }
}

impl std::error::Error for Declined {}

struct Mail(u32);

impl Mail {
    async fn remind(&self, order: &str) -> Result<(), Declined> {
        if order.is_empty() {
            Err(Declined)
        } else {
            Ok(())
        }
    }

    async fn is_off(&self) -> Result<bool, Declined> {
        Ok(self.0 > 3)
    }
}

#[workflow]
async fn bodies(cx: Context, mail: State<Mail>, order: String, limit: u32) -> Result<()> {
    repeat!(every = days(3), until = is_paid(&order), |tick| remind(
        &order, tick
    ))
    .await?;
    repeat!("method", every = days(3), until = mail.is_off(), |_| mail
        .remind(&order))
    .await?;
    repeat!(
        "typed",
        every = days(3),
        until = is_paid(&order),
        |tick: Timestamp| remind(&order, tick)
    )
    .await?;
    repeat!(
        "any-error",
        every = days(3),
        until = { Ok(cx.get::<bool>("stop")?.unwrap_or(false)) },
        |tick| {
            if order.is_empty() {
                return Ok(());
            }
            let mut sum = 0;
            for n in 0..limit {
                sum += n;
            }
            remind(&order, tick).await?;
            cx.set("sum", &sum)?;
            Ok(())
        }
    )
    .await?;
    repeat!(
        "own-error",
        every = days(3),
        until = async { is_paid(&order).await },
        |tick| async {
            let _late = tick;
            mail.remind(&order).await?;
            if limit > 3 {
                return Err(Declined);
            }
            Ok(())
        }
    )
    .await?;
    repeat!(
        "owned",
        every = days(3),
        until = async move { Ok::<_, Declined>(limit > 3) },
        |tick| async move {
            let _late = tick;
            if limit > 3 { Err(Declined) } else { Ok(()) }
        }
    )
    .await?;
    repeat!(
        "chosen",
        every = days(3),
        until = is_paid(&order),
        |tick| if limit > 3 {
            remind(&order, tick)
        } else {
            remind("all", tick)
        }
    )
    .await?;
    Ok(())
}
