//! One backup: a thread of its own copies, the caller looks how far it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::target::Target;
use super::{Backup, BackupProgress};
use crate::error::{BackupError, Error, StoreError, StoreErrorKind};
use crate::forge::Forge;
use crate::store::transfer::{Copier, Pages};

/// Between two looks at the size of the copy.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a full disk is called.
const FULL: &str = "disk is full";

pub(super) async fn perform(backup: Backup<'_>) -> Result<(), BackupError> {
    let Backup {
        forge,
        path,
        mut progress,
    } = backup;
    let mut tell = |now: BackupProgress| {
        if let Some(tell) = &mut progress {
            tell(now);
        }
    };
    let Begun {
        target,
        copier,
        pages,
    } = begin(&forge, path).await?;
    let partial = target.partial().to_owned();
    let mut bytes = 0;
    tell(progress_of(pages, bytes));
    let mut copying = copy(&forge, target, copier)?;
    let copied = loop {
        tokio::select! {
            biased;
            copied = &mut copying => break copied,
            () = forge.host().sleep(LOOK_EVERY) => {}
        }
        // It may have its own name already, and so be gone from here.
        if let Ok(file) = std::fs::metadata(&partial) {
            bytes = bytes.max(file.len());
            tell(progress_of(pages, bytes));
        }
    };
    // The thread ends without a word only if it panics.
    let bytes = copied.map_err(|_| BackupError::Forge(Error::Closed))??;
    let pages_total = bytes / pages.page_bytes.max(1);
    tell(BackupProgress {
        pages_done: pages_total,
        pages_total,
    });
    Ok(())
}

fn progress_of(pages: Pages, bytes: u64) -> BackupProgress {
    let pages_done = bytes / pages.page_bytes.max(1);
    BackupProgress {
        pages_done: pages_done.min(pages.pages),
        pages_total: pages.pages,
    }
}

struct Begun {
    target: Target,
    copier: Box<dyn Copier>,
    pages: Pages,
}

/// What can be refused at once is, before anything is read or written.
async fn begin(forge: &Forge, path: PathBuf) -> Result<Begun, BackupError> {
    let host = forge.host();
    if host.is_over() {
        return Err(host.why_over().into());
    }
    let store = Arc::clone(&host.store);
    let begun = host.runtime().spawn_blocking(move || {
        let mut copier = store.copier()?.ok_or(BackupError::Unsupported)?;
        if copier.is_own(&path) {
            return Err(BackupError::IsTheDatabase { path });
        }
        let target = Target::beside(&path)?;
        let pages = copier.pages()?;
        Ok(Begun {
            target,
            copier,
            pages,
        })
    });
    begun.await.map_err(|_| host.why_over())?
}

/// Copies on a thread that no runtime waits for at its end; answers the size of the copy in bytes.
fn copy(
    forge: &Forge,
    target: Target,
    mut copier: Box<dyn Copier>,
) -> Result<oneshot::Receiver<Result<u64, BackupError>>, BackupError> {
    let clock = Arc::clone(&forge.host().clock);
    let failpoints = Arc::clone(&forge.host().failpoints);
    let (done, copying) = oneshot::channel();
    let work = move || {
        failpoints.reach("backup.copy");
        let copied = copier.copy(target.partial(), clock.now());
        let copied = copied.map_err(|error| explained(error, &target, copier.as_mut()));
        failpoints.reach("backup.copied");
        // Whoever is told that it is done finds no reader of the database any more.
        drop(copier);
        let kept = copied.and_then(|()| keep(&target, done.is_closed()));
        failpoints.reach("backup.named");
        drop(target);
        let _ = done.send(kept);
    };
    let thread = std::thread::Builder::new().name("chrono-forge-backup".to_owned());
    let spawned = thread.spawn(work);
    spawned.map_err(|error| StoreError::new("backup", StoreErrorKind::Transient, error))?;
    Ok(copying)
}

/// A copy for which nobody waits any more is removed with its target.
fn keep(target: &Target, is_unwanted: bool) -> Result<u64, BackupError> {
    let file = std::fs::metadata(target.partial()).map_err(|error| target.failed(error))?;
    if !is_unwanted {
        target.keep()?;
    }
    Ok(file.len())
}

fn explained(error: StoreError, target: &Target, copier: &mut dyn Copier) -> BackupError {
    if !error.message.contains(FULL) {
        return error.into();
    }
    let pages = copier.pages();
    BackupError::Full {
        path: target.path().to_owned(),
        bytes: pages.map_or(0, |pages| pages.pages * pages.page_bytes),
    }
}
