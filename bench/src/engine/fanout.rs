//! A parent of many children with one trivial step each.

use std::path::Path;

use chrono_forge::prelude::*;

use crate::meter::Meter;
use crate::sample::Sample;

/// One child.
#[workflow(name = "child")]
pub async fn child(n: u64) -> Result<u64> {
    Ok(step!("double", { Ok(n * 2) }).await?)
}

/// Spawns `children` of them, joins them and counts them.
#[workflow(name = "parent")]
pub async fn parent(children: u64) -> Result<u64> {
    let all = branch!("all", { spawn_each!("child", 0..children, |n| child(n)) }).await?;
    Ok(merge!(all).await?.len() as u64)
}

/// From the parent's start to its result.
pub fn measure(path: &Path, children: u64, slots: Option<u64>) -> anyhow::Result<Sample> {
    super::block_on(async {
        let mut builder = super::builder(path, [parent::NAME, child::NAME]);
        if let Some(slots) = slots {
            builder = builder.queue("default", slots as usize);
        }
        let forge = builder.open().await?;
        let commits = forge.commits();
        let meter = Meter::start();
        let counted = forge.start("p", parent(children)).await?.result().await?;
        let sample = super::finish(&meter, &forge, commits, children);
        anyhow::ensure!(counted == children, "{counted} of {children} children");
        forge.shutdown().await;
        Ok(sample)
    })
}
