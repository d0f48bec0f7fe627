#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

use std::fmt::Display;

trait Carrier {
    fn ship(&self, label: String) -> impl Future<Output = Result<u32>> + Send;
}

/// Any generics, any lifetimes.
#[workflow(part)]
async fn ship<'a, C, L, const N: usize>(
    cx: &'a Context,
    carrier: &C,
    labels: &'a [L; N],
) -> Result<&'a L>
where
    C: Carrier + Sync,
    L: Display + Sync,
{
    for label in labels {
        step!("ship-{label}", carrier.ship(label.to_string())).await?;
    }
    let _ = cx.key();
    Ok(&labels[0])
}

struct Post;

impl Carrier for Post {
    async fn ship(&self, label: String) -> Result<u32> {
        Ok(label.len() as u32)
    }
}

#[workflow]
async fn order(cx: Context, id: String) -> Result<String> {
    Ok(ship(&cx, &Post, &[id]).await?.clone())
}
