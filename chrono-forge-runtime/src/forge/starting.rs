//! Starting runs: one, or many in batches.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Forge, Run};
use crate::context::invocation::Invocation;
use crate::definition::Definition;
use crate::engine::applications;
use crate::engine::host::Host;
use crate::engine::hub::{Name, Watch};
use crate::engine::pass::Pass;
use crate::engine::slots::Reservation;
use crate::error::Error;
use crate::record::keys::KeyOf;
use crate::record::{Json, Level, RunId};
use crate::store::{Start, Started, Writer};
use crate::telemetry::TARGET;

/// What [`Forge::start_all`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartedAll {
    /// Runs that are new.
    pub new: u64,
    /// Keys under which there was a run already. It stays as it is.
    pub existing: u64,
    /// Those of the existing runs whose arguments are others.
    pub other_arguments: u64,
}

/// Starts on their way; await it.
type StartsAll<'a> = Pin<Box<dyn Future<Output = Result<StartedAll, Error>> + Send + 'a>>;

/// What a start met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) is_new: bool,
    pub(super) has_other_arguments: bool,
}

impl Met {
    const NEW: Self = Self {
        is_new: true,
        has_other_arguments: false,
    };
}

impl Forge {
    /// Starts a run, durable when this returns. A second start with the key returns the run that
    /// exists and changes nothing: [`Run::is_new`] tells, and [`Run::has_other_arguments`] whether its
    /// arguments are others, which is a warning in the log, too.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Invocation, error::Error, forge::Forge};
    /// # async fn example(forge: &Forge, month: &str, import: Invocation<u64>) -> Result<(), Error> {
    /// let run = forge.start(month, import).await?;
    /// if !run.is_new() {
    ///     println!("{month} is under way, or was done, with {} arguments",
    ///         if run.has_other_arguments() { "other" } else { "the same" });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::BadKey`], [`Error::Arguments`], [`Error::TooLarge`], [`Error::MissingState`] (of a
    /// workflow that [`Builder::serving`](super::Builder::serving) has left out) and
    /// [`Error::OtherApplication`] before anything is written; [`Error::Store`] when the database
    /// cannot; [`Error::Closed`], [`Error::Stopped`] or [`Error::RuntimeGone`] once the engine is
    /// over.
    pub async fn start<T>(&self, key: &str, invocation: Invocation<T>) -> Result<Run<T>, Error> {
        let Checked { definition, row } = self.start_of(key.to_owned(), invocation)?;
        let workflow = definition.name;
        if !self.host().serves(workflow) {
            applications::enter(self.host(), &[definition]).await?;
        }
        barrier().await;
        let (id, met, watch) = self.insert(row).await?;
        if !self.host().executes(workflow, definition.queue) {
            // Seldom, and so apart: nobody else pays for it.
            Box::pin(self.warn_started_unserved(definition, key)).await;
        }
        if met.has_other_arguments {
            self.tell_other_arguments(workflow, key);
        }
        Ok(Run::new(self.clone(), id, workflow, key.to_owned(), watch).that_met(met))
    }

    /// Starts many runs: in batches of at most 1,000 runs and 8 MiB
    /// ([`Builder::commit_batch_max`](super::Builder::commit_batch_max)), each one transaction, durable when this
    /// returns. The iterator is pulled a batch at a time, so memory does not grow with the runs. Runs that exist are
    /// left as they are, as [`Forge::start`] leaves them; the answer counts them.
    ///
    /// A start takes a commit of its own, so one after the other waits for the disk each time; this is for
    /// the rows of a file, or the recipients of a campaign.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Invocation, error::Error, forge::Forge};
    /// # async fn example(forge: &Forge, recipients: Vec<String>, mail: fn(&str) -> Invocation<()>) -> Result<(), Error> {
    /// let mails = recipients.iter().map(|to| (format!("spring-{to}"), mail(to)));
    /// let started = forge.start_all(mails).await?;
    /// println!("{} mails, {} were there already", started.new, started.existing);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Forge::start`]. Whatever the error, what came before its batch is durable and nothing of its batch is
    /// written, unless the database's answer was lost. Called again with the same keys, this goes on where it
    /// stopped: keys that were started are counted as existing.
    pub fn start_all<'a, K, T, I>(&'a self, runs: I) -> StartsAll<'a>
    where
        K: Into<String> + 'a,
        T: 'a,
        I: IntoIterator<Item = (K, Invocation<T>)>,
        I::IntoIter: Send + 'a,
    {
        // Boxed: a closure of the iterator, known by its type to the future, would have to be general over
        // lifetimes wherever that future has to be `Send`, as in a step; most are not.
        let start =
            move |(key, invocation): (K, Invocation<T>)| self.start_of(key.into(), invocation);
        Box::pin(self.insert_batches(Box::new(runs.into_iter().map(start))))
    }

    async fn insert_batches(
        &self,
        mut starts: Box<dyn Iterator<Item = Result<Checked, Error>> + Send + '_>,
    ) -> Result<StartedAll, Error> {
        let limits = self.host().config.batch;
        let mut all = StartedAll::default();
        let mut next = None;
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < limits.plans_max.max(1) {
                let start = match next.take() {
                    Some(start) => start,
                    None => match starts.next() {
                        Some(start) => start?,
                        None => break,
                    },
                };
                let size = start.row.key.len() + start.row.args.len();
                if !batch.is_empty() && bytes + size > limits.bytes_max {
                    next = Some(start);
                    break;
                }
                bytes += size;
                batch.push(start);
            }
            if batch.is_empty() {
                return Ok(all);
            }
            barrier().await;
            let left = self.left_to_others(&batch);
            let strangers: Vec<_> = left.iter().map(|(definition, _)| *definition).collect();
            applications::enter(self.host(), &strangers).await?;
            let rows = batch.into_iter().map(|start| start.row).collect();
            self.insert_all(rows, &mut all).await?;
            for (definition, key) in left {
                self.warn_started_unserved(definition, &key).await;
            }
        }
    }

    /// The first start of each workflow that this engine does not execute.
    fn left_to_others(&self, batch: &[Checked]) -> Vec<(&'static Definition, String)> {
        let mut left: Vec<(&'static Definition, String)> = Vec::new();
        let mut last = None;
        for Checked { definition, row } in batch {
            // As a rule all are of one.
            if last.replace(definition.name) == Some(definition.name)
                || self.host().executes(definition.name, definition.queue)
                || left.iter().any(|(known, _)| known.name == definition.name)
            {
                continue;
            }
            left.push((definition, row.key.clone()));
        }
        left
    }

    async fn insert_all(&self, batch: Vec<Start>, all: &mut StartedAll) -> Result<(), Error> {
        let host = Arc::clone(self.host());
        let first = batch
            .first()
            .map(|start| (start.workflow.clone(), start.key.clone()));
        let insert = move |writer: &mut dyn Writer| {
            let started = writer.start(&batch, host.clock.now())?;
            // Here, since the caller may be gone by then.
            host.announce_due();
            Ok(started)
        };
        let started = self.host().committer().call("start_all", insert).await;
        let mut others = 0;
        for started in started.map_err(|error| self.host().explain(error))? {
            match started {
                Started::Existing { has_same_args, .. } => {
                    all.existing += 1;
                    others += u64::from(!has_same_args);
                }
                _ => all.new += 1,
            }
        }
        all.other_arguments += others;
        if let Some((workflow, key)) = first.filter(|_| others > 0) {
            tracing::warn!(target: TARGET, workflow, others, "of the runs that were started from {key:?} on, some exist with other arguments, which stay");
        }
        Ok(())
    }

    fn tell_other_arguments(&self, workflow: &str, key: &str) {
        let Some(kept_back) = self.host().other_arguments.tell() else {
            return;
        };
        tracing::warn!(target: TARGET, workflow, key, kept_back, "a start met a run that exists with other arguments, which stay: `run.has_other_arguments()` tells; `forge.retry(..).arguments(..)` gives others to a run that failed or stalled and has recorded nothing, a new key starts another");
    }

    /// What is to be inserted.
    fn start_of<T>(&self, key: String, invocation: Invocation<T>) -> Result<Checked, Error> {
        if let Some(problem) = KeyOf::Run.problem(&key) {
            return Err(Error::BadKey { key, problem });
        }
        let definition = invocation.definition;
        let workflow = definition.name;
        if let Some(state) = self.host().registry.left_out(definition) {
            return Err(Error::MissingState { workflow, state });
        }
        let args = self.checked_args(workflow, invocation.args)?;
        let row = Start {
            key,
            workflow: workflow.to_owned(),
            queue: definition.queue.to_owned(),
            level: Level::top(definition.priority),
            args,
            claim: None,
        };
        Ok(Checked { definition, row })
    }

    /// Arguments that can be stored.
    pub(super) fn checked_args(
        &self,
        workflow: &'static str,
        args: Result<Json, String>,
    ) -> Result<Json, Error> {
        let args = args.map_err(|problem| Error::Arguments { workflow, problem })?;
        let limit = self.host().config.payload_bytes_max;
        if args.len() > limit {
            return Err(Error::TooLarge {
                workflow,
                bytes: args.len(),
                limit,
            });
        }
        Ok(args)
    }

    async fn insert(&self, mut start: Start) -> Result<(RunId, Met, Option<Watch>), Error> {
        let host = Arc::clone(self.host());
        let room = DirectRoom::reserve(&host, &start);
        start.claim = room.as_ref().and_then(|_| host.holdings.worker());
        let claimed_by = start.claim;
        let name = Name::of(&start.workflow, &start.key);
        let (watcher, watched) = std::sync::mpsc::channel();
        let on_started = {
            let host = Arc::clone(&host);
            move |started: &mut Started| {
                let (id, met) = met(started);
                if !met.is_new {
                    let _ = watcher.send((id, met, None));
                    return;
                }
                // Before the run can settle.
                let _ = watcher.send((id, met, Some(host.hub.subscribe(id, name))));
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
        let (id, met) = met(&started);
        Ok(watched.try_recv().unwrap_or((id, met, None)))
    }
}

/// A start whose key and arguments can be stored.
struct Checked {
    definition: &'static Definition,
    row: Start,
}

fn met(started: &Started) -> (RunId, Met) {
    match started {
        Started::Inserted(id) => (*id, Met::NEW),
        Started::Claimed(run) => (run.id, Met::NEW),
        Started::Existing { run, has_same_args } => {
            let met = Met {
                is_new: false,
                has_other_arguments: !has_same_args,
            };
            (*run, met)
        }
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
pub(super) async fn barrier() {
    let Some(pass) = Pass::current() else { return };
    poll_fn(|cx| pass.poll_may_dispatch(cx)).await;
}
