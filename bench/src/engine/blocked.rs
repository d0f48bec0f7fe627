//! The one child of very many that keeps its parent waiting: found, mended and retried by hand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono_forge::prelude::*;

use crate::meter::Meter;
use crate::place::Place;
use crate::quantiles::Quantiles;
use crate::sample::{self, Sample};

/// How often the blocked children are asked for.
const LOOKS: usize = 101;

/// The parent's key.
const KEY: &str = "p";

/// What the bodies and the operator tell each other.
#[derive(Default)]
pub struct Site {
    mended: AtomicBool,
    good_children: AtomicU64,
    last_child: Mutex<Option<Instant>>,
    parent: Mutex<Option<Instant>>,
}

impl Site {
    fn note(place: &Mutex<Option<Instant>>) {
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// From the end of the last child's step to the parent's next line.
    fn join(&self) -> Option<Duration> {
        let of =
            |place: &Mutex<Option<Instant>>| *place.lock().unwrap_or_else(PoisonError::into_inner);
        Some(of(&self.parent)?.saturating_duration_since(of(&self.last_child)?))
    }
}

#[workflow(name = "blocked-child")]
async fn child(site: State<Arc<Site>>, n: u64, bad: u64) -> Result<u64> {
    let work = step!("work", retry = RetryPolicy::new().max_attempts(1), {
        if n != bad {
            site.good_children.fetch_add(1, Ordering::Relaxed);
        } else if site.mended.load(Ordering::Relaxed) {
            Site::note(&site.last_child);
        } else {
            anyhow::bail!("this one is broken");
        }
        Ok(n)
    });
    Ok(work.await?)
}

#[workflow(name = "blocked-parent")]
async fn parent(site: State<Arc<Site>>, children: u64, bad: u64) -> Result<u64> {
    let all = branch!("all", {
        spawn_each!("child", 0..children, |n| child(n, bad))
    })
    .await?;
    let all = merge!(all).await?;
    Site::note(&site.parent);
    Ok(all.len() as u64)
}

/// How long it takes to name the child, and from its end to the parent's next line.
pub fn measure(place: &Place, children: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let site = Arc::new(Site::default());
        let builder = super::builder(place, [parent::NAME, child::NAME]);
        let forge = builder.state(Arc::clone(&site)).open().await?;
        let run = forge.start(KEY, parent(children, children / 2)).await?;
        while site.good_children.load(Ordering::Relaxed) + 1 < children
            || run.state().await? != chrono_forge::RunState::Idle
            || run.blocked_children().await?.is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut looks = Vec::with_capacity(LOOKS);
        let mut blocked = Vec::new();
        for _ in 0..LOOKS {
            let begun = Instant::now();
            blocked = run.blocked_children().await?;
            looks.push(begun.elapsed());
        }
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        site.mended.store(true, Ordering::Relaxed);
        for child_run in &blocked {
            forge.retry::<child>(&child_run.key).await?;
        }
        let counted = run.result().await?;
        anyhow::ensure!(counted == children, "{counted} of {children} children");
        let join = site.join();
        let join = join.ok_or_else(|| anyhow::anyhow!("the parent did not go on"))?;
        let sample = Sample {
            commits: Some(forge.commits() - commits),
            blocked: Quantiles::of(looks).map(|looks| sample::Blocked {
                rows: blocked.len() as u64,
                looks,
            }),
            ..meter.stop_each(&[join])
        };
        forge.shutdown().await;
        Ok(sample)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_blocked_child_is_found_and_its_parent_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let sample = measure(&Place::File(home.path().join("bench.db")), 300).unwrap();
        assert_eq!(sample.units, 1);
        assert!(sample.seconds > 0.0, "{sample:?}");
        let blocked = sample.blocked.unwrap();
        assert_eq!((blocked.rows, blocked.looks.n), (1, LOOKS));
    }
}
