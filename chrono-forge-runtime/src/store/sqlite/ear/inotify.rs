//! The kernel tells of writes to the log, so that an ear need not look while there are none.
//!
//! A timer in its place would cost an idle process a fifth of a percent of a core at 30 ms, nearly
//! all of it for waking up to find nothing.

use std::io::{PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::LOOK_EVERY;

/// How many events are taken in at once; several writes in a row are one.
const BUFFER_BYTES: usize = 1_024;

/// Ends every wait for the [`Writes`] that it belongs to, once it is dropped.
pub(in crate::store::sqlite) struct End {
    _pipe: PipeWriter,
}

pub(super) struct Writes {
    /// `None` where the kernel has no watch left to give: then they may happen at any time.
    told: Option<OwnedFd>,
    log: PathBuf,
    end: PipeReader,
}

impl Writes {
    /// To this log.
    pub(super) fn to(log: &Path) -> std::io::Result<(Self, End)> {
        let (end, pipe) = std::io::pipe()?;
        let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let told = told.ok().filter(|told| watch(told, log));
        let log = log.to_owned();
        Ok((Self { told, log, end }, End { _pipe: pipe }))
    }

    /// Whether each is told of.
    pub(super) fn are_told(&self) -> bool {
        self.told.is_some()
    }

    /// Sleeps until there is one, at most so long; whether this is the end.
    pub(super) fn sleep_until_next(&self, at_most: Duration) -> bool {
        let end = PollFd::new(&self.end, PollFlags::IN);
        match &self.told {
            Some(told) => sleep(&mut [end, PollFd::new(told, PollFlags::IN)], at_most),
            None => sleep(&mut [end], at_most.min(LOOK_EVERY)),
        }
    }

    /// Sleeps for so long, whoever writes; whether this is the end.
    pub(super) fn sleep(&self, span: Duration) -> bool {
        sleep(&mut [PollFd::new(&self.end, PollFlags::IN)], span)
    }

    /// Whether there was one since the last time. The next one is told of from here on.
    pub(super) fn were_any(&mut self) -> bool {
        let Some(told) = &self.told else {
            return true;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut events = inotify::Reader::new(told, &mut buffer);
        let mut were_any = false;
        while let Ok(event) = events.next() {
            were_any |= event.events().contains(ReadFlags::MODIFY);
        }
        if were_any && !watch(told, &self.log) {
            self.told = None;
        }
        were_any
    }
}

/// Has the next write told, and only that one: to tell each would cost a busy writer 6 %.
fn watch(told: &OwnedFd, log: &Path) -> bool {
    inotify::add_watch(told, log, WatchFlags::MODIFY | WatchFlags::ONESHOT).is_ok()
}

/// Whether the first of these is what ended it. A signal may do so, too, which is no harm.
fn sleep(until: &mut [PollFd<'_>], at_most: Duration) -> bool {
    let at_most = Timespec::try_from(at_most).ok();
    let woken = poll(until, at_most.as_ref());
    woken.is_ok() && until.first().is_some_and(|end| !end.revents().is_empty())
}
