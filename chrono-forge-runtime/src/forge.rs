//! The runtime surface: open a database, start runs, wait for their results.

mod backup;
mod branches;
mod builder;
mod calls;
mod lifecycle;
mod operations;
mod recovery;
#[cfg(feature = "testing")]
mod reverting;
mod run;
mod runtimes;
mod serving;
mod settling;
mod transfer;
mod unserved;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use backup::{Backup, BackupProgress};
pub use builder::Builder;
pub use operations::Operation;
pub use recovery::{Retried, Retry};
pub use run::Run;
pub use transfer::{Export, Exported, Imported};
pub use unserved::Unserved;

use crate::context::invocation::{Invocation, Workflow};
use crate::engine::host::Host;
use crate::engine::hub::{Name, Watch};
use crate::engine::pass::Pass;
use crate::engine::slots::Reservation;
use crate::error::Error;
use crate::record::keys::KeyOf;
use crate::record::{Level, RunId};
use crate::store::{Start, Started};
use calls::Target;
use lifecycle::Lifecycle;

/// An open engine. Clones are cheap and stand for the same one.
///
/// When the last clone is dropped the engine stops at once, as a crash would stop it; use
/// [`Forge::shutdown`] to let passes reach a durable point first. One that is shutting down just then cuts its grace
/// off and hands its runs back.
#[derive(Clone)]
pub struct Forge {
    lifecycle: Arc<Lifecycle>,
}

impl Forge {
    /// Opens a database with every default; see [`Builder`] for what can be set.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::builder(url).open().await
    }

    /// Settings for an engine over the database at `url`: `sqlite://file.db`, `sqlite::memory:`,
    /// `postgres://user@host/database`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// Starts a run, durable when this returns. A second start with the key returns the run that
    /// exists and changes nothing.
    ///
    /// # Errors
    /// [`Error::BadKey`], [`Error::Arguments`], [`Error::TooLarge`] and [`Error::MissingState`] (of a workflow that
    /// [`Builder::serving`] has left out) before anything is written;
    /// [`Error::Store`] when the database cannot; [`Error::Closed`], [`Error::Stopped`] or
    /// [`Error::RuntimeGone`] once the engine is over.
    pub async fn start<T>(&self, key: &str, invocation: Invocation<T>) -> Result<Run<T>, Error> {
        check_key(key)?;
        let definition = invocation.definition;
        let workflow = definition.name;
        if let Some(state) = self.host().registry.left_out(definition) {
            return Err(Error::MissingState { workflow, state });
        }
        let args = invocation
            .args
            .map_err(|problem| Error::Arguments { workflow, problem })?;
        let limit = self.host().config.payload_bytes_max;
        if args.len() > limit {
            return Err(Error::TooLarge {
                workflow,
                bytes: args.len(),
                limit,
            });
        }
        barrier().await;
        let start = Start {
            key: key.to_owned(),
            workflow: workflow.to_owned(),
            queue: definition.queue.to_owned(),
            level: Level::top(definition.priority),
            args,
            claim: None,
        };
        let (id, watch) = self.insert(start).await?;
        Ok(Run::new(self.clone(), id, workflow, key.to_owned(), watch))
    }

    async fn insert(&self, mut start: Start) -> Result<(RunId, Option<Watch>), Error> {
        let host = Arc::clone(self.host());
        let room = DirectRoom::reserve(&host, &start);
        start.claim = room.as_ref().and_then(|_| host.holdings.worker());
        let claimed_by = start.claim;
        let name = Name::of(&start.workflow, &start.key);
        let (watcher, watched) = std::sync::mpsc::channel();
        let on_started = {
            let host = Arc::clone(&host);
            move |started: &mut Started| {
                let id = match started {
                    Started::Existing(id) => {
                        let _ = watcher.send((*id, None));
                        return;
                    }
                    Started::Inserted(id) => *id,
                    Started::Claimed(run) => run.id,
                };
                // Before the run can settle.
                let _ = watcher.send((id, Some(host.hub.subscribe(id, name))));
                if let (Started::Claimed(run), Some(worker)) = (&mut *started, claimed_by) {
                    host.holdings.hold(worker, std::slice::from_ref(run));
                }
                drop(room);
                match started {
                    Started::Claimed(run) => host.offer(vec![run.as_ref().clone()]),
                    _ => host.announce_due(),
                }
            }
        };
        let started = host.committer().start(start, on_started).await;
        let started = started.map_err(|error| self.host().explain(error))?;
        watched
            .try_recv()
            .map_err(|_| self.host().why_over())
            .or(match started {
                Started::Existing(id) | Started::Inserted(id) => Ok((id, None)),
                Started::Claimed(run) => Ok((run.id, None)),
            })
    }

    /// The run of this workflow with this key (a child's key, too), if there is one.
    ///
    /// # Errors
    /// [`Error::AmbiguousKey`] when there are several, which children of different runs may be;
    /// [`Error::Store`] when the database cannot be read.
    pub async fn get<W: Workflow>(&self, key: &str) -> Result<Option<Run<W::Output>>, Error> {
        let id = self.only(&Target::by_key::<W>(key)).await?;
        Ok(id.map(|id| Run::new(self.clone(), id, W::NAME, key.to_owned(), None)))
    }

    /// The run of this workflow with this [`Run::id`], if there is one: of those that share a key,
    /// the one that is meant.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<SendMail: Workflow>(forge: &Forge, key: &str) -> Result<(), Error> {
    /// match forge.get::<SendMail>(key).await {
    ///     Err(Error::AmbiguousKey { runs, .. }) => {
    ///         for run in runs {
    ///             println!("{run}");
    ///             if let Some(run) = forge.by_id::<SendMail>(run.id).await? {
    ///                 run.wake().await?;
    ///             }
    ///         }
    ///     }
    ///     found => println!("{:?}", found?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot be read.
    pub async fn by_id<W: Workflow>(&self, id: i64) -> Result<Option<Run<W::Output>>, Error> {
        let read = self.host().read_for_user(move |store| store.run(RunId(id)));
        let row = read.await.map_err(|error| self.host().explain(error))?;
        let row = row.filter(|row| row.workflow == W::NAME);
        Ok(row.map(|row| Run::new(self.clone(), row.id, W::NAME, row.key, None)))
    }

    /// Wakes a parked run: its `continue_if!` conditions are evaluated again. A running one looks
    /// again before it parks; a settled one is left alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such run, [`Error::AmbiguousKey`] when there are
    /// several.
    pub async fn wake<W: Workflow>(&self, key: &str) -> Result<(), Error> {
        self.wake_target(&Target::by_key::<W>(key)).await
    }

    /// Stops the engine: claims nothing more, lets passes reach a durable point for as long as the
    /// grace, cuts off the rest, hands everything back and gives its connections up. Runs go on at the next `open`, here or
    /// elsewhere; nothing that was cut off counts as a failed attempt.
    ///
    /// The end is the engine's own: once this was polled it comes, whatever becomes of the future, and everybody
    /// who asks for it returns when it has come. Runs that are started meanwhile wait for another worker. Inside
    /// a body or a step of this very engine, for which the end waits, it returns at once, and the run goes on
    /// later as every other does.
    pub async fn shutdown(&self) {
        self.lifecycle.shutdown().await;
    }

    /// Transactions committed by this process since `open`.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.host().committer().commits()
    }

    /// Runs that somebody in this process waits for, or might.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.host().hub.awaited().len()
    }

    /// Dies as a killed process would: nothing more is written, acknowledged or released.
    #[cfg(feature = "testing")]
    pub fn crash(&self) {
        self.lifecycle.crash();
    }

    /// Waits until a failpoint has made the engine die.
    #[cfg(feature = "testing")]
    pub async fn crashed(&self) {
        self.lifecycle.crashed().await;
    }

    pub(crate) fn host(&self) -> &Arc<crate::engine::host::Host> {
        &self.lifecycle.host
    }
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge")
            .field("worker", &self.host().worker())
            .finish_non_exhaustive()
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    match KeyOf::Run.problem(key) {
        None => Ok(()),
        Some(problem) => Err(Error::BadKey {
            key: key.to_owned(),
            problem,
        }),
    }
}

/// Room for a run that is started already claimed. It goes with what the commit thread does once the start
/// is written, so that it is given back whatever becomes of the start, and of the caller.
struct DirectRoom {
    reservation: Reservation,
    claiming: Claiming,
}

impl DirectRoom {
    fn reserve(host: &Arc<Host>, start: &Start) -> Option<Self> {
        if !host.serves(&start.workflow) || !host.is_trusted() {
            return None;
        }
        let claiming = Claiming::new(host)?;
        let reservation = host.slots.reserve_direct(&start.queue, start.level)?;
        Some(Self {
            reservation,
            claiming,
        })
    }
}

impl Drop for DirectRoom {
    fn drop(&mut self) {
        self.claiming.0.unreserve(&self.reservation);
    }
}

/// A start that is claimed for this worker, which stays until such a start has arrived.
struct Claiming(Arc<Host>);

impl Claiming {
    /// `None` once the engine is closing: then the run is inserted for others.
    fn new(host: &Arc<Host>) -> Option<Self> {
        // Counted before it looks: either the end sees the count, or this sees the end.
        host.claiming.fetch_add(1, Ordering::SeqCst);
        let claiming = Self(Arc::clone(host));
        (!host.closing.load(Ordering::SeqCst)).then_some(claiming)
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.0.claiming.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Inside a body a call from the outside world is an effect: what the body has seen must be
/// durable first.
async fn barrier() {
    let Some(pass) = Pass::current() else { return };
    poll_fn(|cx| pass.poll_may_dispatch(cx)).await;
}
