//! Which application a workflow belongs to. In one database a workflow's name belongs to a single
//! application: the one that served, started or spawned it first. A process of another application
//! that has a function of that name would claim its runs and fail them for good.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::host::Host;
use crate::definition::Definition;
use crate::error::Error;
use crate::record::Belonging;
use crate::store::{StoreResult, Writer};

/// What this process knows of the owners of workflow names.
#[derive(Debug, Default)]
pub struct Applications {
    /// What the builder says; without it, each workflow is its package's.
    own: Option<String>,
    /// The owner of each name in this database, as far as it was asked. Owners do not change while
    /// the database is open.
    known: Mutex<HashMap<String, String>>,
    /// Some linked workflow is not known to be this application's. As a rule all are, and spawning
    /// a child then takes no lock.
    has_strangers: AtomicBool,
}

impl Applications {
    /// With what the builder says.
    #[must_use]
    pub fn new(own: Option<String>) -> Self {
        Self {
            own,
            known: Mutex::default(),
            has_strangers: AtomicBool::new(false),
        }
    }

    fn of<'a>(&'a self, definition: &'static Definition) -> &'a str {
        self.own.as_deref().unwrap_or(definition.application)
    }

    /// Whether this process may work with this name; `None` if the database was not asked yet.
    pub fn check(&self, definition: &'static Definition) -> Option<Result<(), Error>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = known.get(definition.name)?;
        let application = self.of(definition);
        Some(match owner == application {
            true => Ok(()),
            false => Err(Error::OtherApplication {
                workflow: definition.name,
                owner: owner.clone(),
                application: application.to_owned(),
            }),
        })
    }

    /// Whether a workflow that is spawned has to be looked at by [`check`](Self::check).
    pub fn has_strangers(&self) -> bool {
        self.has_strangers.load(Ordering::Acquire)
    }

    fn note(&self, owners: Vec<Belonging>) {
        let owners = owners.into_iter().map(|it| (it.workflow, it.application));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(owners);
    }
}

/// Claims the names of these workflows for this process's application, each unless it has an owner.
/// One of another application is refused, and then no name is claimed.
pub async fn enter(host: &Arc<Host>, definitions: &[&'static Definition]) -> Result<(), Error> {
    let claimed = claim(host, definitions).await;
    claimed.map_err(|error| host.explain(error))?;
    let mut checks = definitions.iter().map(|it| host.applications.check(it));
    checks.find_map(|check| check?.err()).map_or(Ok(()), Err)
}

/// As [`enter`]; [`Applications::check`] tells of each what came of it.
pub async fn claim(host: &Arc<Host>, definitions: &[&'static Definition]) -> StoreResult<()> {
    let belonging = |definition: &&'static Definition| Belonging {
        workflow: definition.name.to_owned(),
        application: host.applications.of(definition).to_owned(),
    };
    let is_new = |it: &&&'static Definition| host.applications.check(it).is_none();
    let new: Vec<Belonging> = definitions.iter().filter(is_new).map(belonging).collect();
    if !new.is_empty() {
        let now = host.real_now();
        let enter = move |writer: &mut dyn Writer| writer.enter_workflows(&new, now);
        let owners = host.committer().call("enter_workflows", enter).await;
        host.applications.note(owners?);
    }
    Ok(())
}

/// Refuses a workflow of another application. One without an owner passes: nothing of it is there.
pub async fn look(host: &Arc<Host>, definition: &'static Definition) -> Result<(), Error> {
    if host.applications.check(definition).is_none() {
        find_owners(host, vec![definition.name.to_owned()]).await?;
    }
    host.applications.check(definition).unwrap_or(Ok(()))
}

/// Asks the database for the owners of these names, of linked workflows that are not served: a body
/// may spawn them. One without an owner is claimed by whoever spawns it first, not by all who have
/// it linked.
pub async fn look_at_others(host: &Arc<Host>, others: &[&'static Definition]) -> Result<(), Error> {
    if others.is_empty() {
        return Ok(());
    }
    find_owners(host, others.iter().map(|it| it.name.to_owned()).collect()).await?;
    let is_ours = |it: &&'static Definition| matches!(host.applications.check(it), Some(Ok(())));
    let has_strangers = !others.iter().all(is_ours);
    let place = &host.applications.has_strangers;
    place.store(has_strangers, Ordering::Release);
    Ok(())
}

async fn find_owners(host: &Arc<Host>, workflows: Vec<String>) -> Result<(), Error> {
    let read = host.read_for_user(move |store| store.applications(&workflows));
    let owners = read.await.map_err(|error| host.explain(error))?;
    host.applications.note(owners);
    Ok(())
}
