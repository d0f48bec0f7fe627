//! A disk that is full: never an error of a workflow.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono_forge::Error;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};

use super::healthy;

/// A file system of a few megabytes, where the process may mount one.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "chrono-forge-test"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the engine may still hold the file.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[workflow]
async fn writes_much(probe: State<Probe>) -> Result<usize> {
    probe.note("begun");
    let text = step!("large", {
        probe.raised("go").await;
        Ok("x".repeat(1 << 20))
    })
    .await?;
    Ok(text.len())
}

#[scenario(sqlite_only = "the disk of a server is not a test's to fill")]
async fn a_full_disk_delays_a_run_and_fails_none(world: &World) {
    let Some(disk) = SmallDisk::mount(&world.dir().join("disk")) else {
        return;
    };
    let url = format!("sqlite://{}", disk.0.join("forge.db").display());
    let builder = Forge::builder(&url).workflows([writes_much::NAME, healthy::NAME]);
    let forge = builder.state(world.probe.clone()).open().await.unwrap();
    let filler = disk.0.join("filler");
    let run = forge.start("k", writes_much()).await.unwrap();
    world.noted("begun", 1).await;
    // As much as fits.
    let _ = std::fs::write(&filler, vec![0_u8; 4 << 20]);
    world.probe.set("go", 1);
    assert!(
        world.soon(run.result()).await.is_none(),
        "there is no room for it"
    );
    match forge.start("other", healthy()).await {
        Ok(_) | Err(Error::Store(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(run.result().await.unwrap(), 1 << 20);
    assert_eq!(world.probe.count("begun"), 1);
    let other = forge.start("other", healthy()).await.unwrap();
    assert_eq!(other.result().await.unwrap(), 1);
    forge.shutdown().await;
}
