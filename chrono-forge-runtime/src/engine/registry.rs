//! Which workflows this process serves, and the states that it injects.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use crate::definition::{Definition, registered};
use crate::error::Error;
use crate::record::keys::KeyOf;

/// Served workflows by name.
#[derive(Debug, Default)]
pub struct Registry {
    served: HashMap<&'static str, &'static Definition>,
    /// Linked workflows that are not served because a state was not given, with that state.
    left_out: HashMap<&'static str, &'static str>,
}

/// Which of the linked workflows are served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'a> {
    /// Only these, unless `None`.
    pub names: Option<&'a [String]>,
    /// If any: these, and of the others those whose states are given.
    pub serving: &'a [&'static Definition],
}

impl Chosen<'_> {
    fn is_named(&self, name: &str) -> bool {
        let is_listed = |names: &[String]| names.iter().any(|listed| listed == name);
        match self.names {
            Some(names) if is_listed(names) => true,
            None if self.serving.is_empty() => true,
            _ => self.serving.iter().any(|served| served.name == name),
        }
    }
}

impl Registry {
    /// The linked workflows, or the chosen ones of them. Two workflows of one name are an error
    /// that names both.
    pub fn of(chosen: &Chosen<'_>, states: &States) -> Result<Self, Error> {
        let mut registry = Self::default();
        for definition in registered() {
            if !chosen.is_named(definition.name) {
                if chosen.serving.is_empty() {
                    continue;
                }
                if let Some(state) = states.missing(definition) {
                    registry.left_out.insert(definition.name, state);
                    continue;
                }
            }
            registry.enter(definition)?;
        }
        let mut names = chosen.names.unwrap_or_default().iter();
        match names.find(|name| !registry.served.contains_key(&***name)) {
            Some(name) => Err(Error::UnregisteredWorkflow { name: name.clone() }),
            None => Ok(registry),
        }
    }

    fn enter(&mut self, definition: &'static Definition) -> Result<(), Error> {
        if let Some(problem) = KeyOf::Queue.problem(definition.queue) {
            let (queue, name) = (definition.queue, definition.name);
            return Err(Error::Config {
                knob: "queue",
                problem: format!(
                    "the name {queue:?}, of the queue of `{name}`, {problem}; use at most 512 bytes of any other text"
                ),
            });
        }
        match self.served.insert(definition.name, definition) {
            None => Ok(()),
            Some(first) => Err(Error::DuplicateWorkflow {
                name: definition.name.to_owned(),
                first: first.path,
                second: definition.path,
            }),
        }
    }

    /// The state for want of which this workflow was left out, if it was.
    #[must_use]
    pub fn left_out(&self, definition: &Definition) -> Option<&'static str> {
        if self.left_out.is_empty() {
            return None;
        }
        self.left_out.get(definition.name).copied()
    }

    /// The queues of what is served.
    pub fn queues(&self) -> impl Iterator<Item = &'static str> {
        self.served.values().map(|definition| definition.queue)
    }

    /// The definition of this name, if it is served.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Definition> {
        self.served.get(name).copied()
    }

    /// Served names in a stable order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.served.keys().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Every state that a served workflow asks for must have been given.
    pub fn check_states(&self, states: &States) -> Result<(), Error> {
        for definition in self.served.values() {
            if let Some(state) = states.missing(definition) {
                return Err(Error::MissingState {
                    workflow: definition.name,
                    state,
                });
            }
        }
        Ok(())
    }
}

/// Injected states by type.
#[derive(Clone, Default)]
pub struct States {
    /// With how many were given before.
    by_type: HashMap<TypeId, (usize, Arc<dyn Any + Send + Sync>)>,
    given: usize,
}

impl States {
    /// Adds a state; a second one of the same type replaces the first.
    pub fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        let state = (self.given, Arc::new(state) as _);
        self.by_type.insert(TypeId::of::<T>(), state);
        self.given += 1;
    }

    /// The first state that this workflow asks for and that was not given.
    fn missing(&self, definition: &Definition) -> Option<&'static str> {
        let mut specs = definition.states.iter().map(|spec| spec());
        let is_given = |id: &TypeId| self.by_type.contains_key(id);
        let missing = specs.find(|spec| !is_given(&spec.id) && !is_given(&spec.shared_id));
        missing.map(|spec| spec.type_name)
    }

    /// The state of this type, given as it is or in an `Arc`, whichever came later.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let own = self.find::<T>();
        let shared = self.find::<Arc<T>>();
        match (own, shared) {
            (Some((own_nth, _)), Some((nth, shared))) if own_nth < nth => Some((*shared).clone()),
            (None, Some((_, shared))) => Some((*shared).clone()),
            (own, _) => own.map(|(_, state)| state),
        }
    }

    fn find<T: Send + Sync + 'static>(&self) -> Option<(usize, Arc<T>)> {
        let (nth, state) = self.by_type.get(&TypeId::of::<T>())?;
        Some((*nth, Arc::clone(state).downcast().ok()?))
    }
}
