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
}

impl Registry {
    /// The linked workflows, or the chosen ones of them. Two workflows of one name are an error
    /// that names both.
    pub fn of(chosen: Option<&[String]>) -> Result<Self, Error> {
        let mut served: HashMap<&'static str, &'static Definition> = HashMap::new();
        for definition in registered() {
            if chosen.is_some_and(|chosen| !chosen.iter().any(|name| name == definition.name)) {
                continue;
            }
            if let Some(problem) = KeyOf::Queue.problem(definition.queue) {
                let (queue, name) = (definition.queue, definition.name);
                return Err(Error::Config {
                    knob: "queue",
                    problem: format!(
                        "the name {queue:?}, of the queue of `{name}`, {problem}; use at most 512 bytes of any other text"
                    ),
                });
            }
            if let Some(first) = served.insert(definition.name, definition) {
                return Err(Error::DuplicateWorkflow {
                    name: definition.name.to_owned(),
                    first: first.path,
                    second: definition.path,
                });
            }
        }
        let missing = chosen
            .unwrap_or_default()
            .iter()
            .find(|name| !served.contains_key(&***name));
        match missing {
            Some(name) => Err(Error::UnregisteredWorkflow { name: name.clone() }),
            None => Ok(Self { served }),
        }
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
            for spec in definition.states.iter().map(|spec| spec()) {
                if !states.by_type.contains_key(&spec.id) {
                    return Err(Error::MissingState {
                        workflow: definition.name,
                        state: spec.type_name,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Injected states by type.
#[derive(Clone, Default)]
pub struct States {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl States {
    /// Adds a state; a second one of the same type replaces the first.
    pub fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        self.by_type.insert(TypeId::of::<T>(), Arc::new(state));
    }

    /// The state of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.by_type.get(&TypeId::of::<T>())?)
            .downcast()
            .ok()
    }
}
