//! A parent of many children with one trivial step each.

mod processes;

use chrono_forge::Forge;
use chrono_forge::prelude::*;
use serde::{Deserialize, Serialize};

use self::processes::Helpers;

use crate::meter::Meter;
use crate::place::Place;
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

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    pub children: u64,
    /// Of the queue, in each process; the engine's default if there is none.
    pub slots: Option<u64>,
    /// Connections that write at the same time, on a server.
    pub writers: u64,
    pub processes: u32,
}

impl Shape {
    /// One process with every default.
    pub fn of(children: u64) -> Self {
        Self {
            children,
            slots: None,
            writers: 2,
            processes: 1,
        }
    }

    async fn open(&self, place: &Place) -> anyhow::Result<Forge> {
        let place = place.with_writers(self.writers);
        let mut builder = super::builder(&place, [parent::NAME, child::NAME]);
        if let Some(slots) = self.slots {
            builder = builder.queue("default", slots as usize);
        }
        Ok(builder.open().await?)
    }
}

/// From the parent's start to its result.
pub fn measure(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    let children = shape.children;
    super::block_on(async {
        let forge = shape.open(place).await?;
        let helpers = Helpers::start(place, shape)?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let counted = forge.start("p", parent(children)).await?.result().await?;
        let mut sample = super::finish(&meter, &forge, commits, children);
        anyhow::ensure!(counted == children, "{counted} of {children} children");
        helpers.stop(&mut sample)?;
        forge.shutdown().await;
        Ok(sample)
    })
}

/// Serves the children until nobody asks for more.
pub fn help(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    super::block_on(async {
        let forge = shape.open(place).await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        processes::until_told().await?;
        let sample = super::finish(&meter, &forge, commits, 0);
        forge.shutdown().await;
        Ok(sample)
    })
}
