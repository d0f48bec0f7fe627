//! Handles of children: names, stored with the branch's value, that read results once merged.
//!
//! Reading is replay-safe: after the join the children are completed and cannot change.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec;
use crate::engine::driver;
use crate::engine::pass::{Pass, Place};
use crate::error::{DefinitionError, JoinError};
use crate::record::RunId;

/// Outputs read at once, each in a short transaction.
const PAGE: u32 = 1_000;

/// One child; [`Child::output`] gives its result after the merge.
pub struct Child<T> {
    handle: Handle,
    _output: PhantomData<fn() -> T>,
}

/// The children of one `spawn_each!`.
pub struct Children<T> {
    handle: Handle,
    len: u64,
    _output: PhantomData<fn() -> T>,
}

/// What both handles are: a place in a branch of the run that is being polled.
#[derive(Clone)]
struct Handle {
    pass: Option<Arc<Pass>>,
    branch: String,
    spawn: String,
}

impl<T> Child<T> {
    pub(super) fn new(pass: &Arc<Pass>, branch: String, spawn: String) -> Self {
        Self {
            handle: Handle {
                pass: Some(Arc::clone(pass)),
                branch,
                spawn,
            },
            _output: PhantomData,
        }
    }

    /// The child's result.
    ///
    /// # Errors
    /// [`JoinError::Child`] when the child is not completed, which a merged branch rules out.
    pub async fn output(&self) -> Result<T, JoinError>
    where
        T: DeserializeOwned,
    {
        let first = self.handle.page(RunId(0), 1).await;
        match first.into_iter().next() {
            Some((_, _, json)) => Ok(self.handle.decode(&json).await),
            None => Err(JoinError::Child {
                key: self.handle.key(),
            }),
        }
    }
}

impl<T> Children<T> {
    pub(super) fn new(pass: &Arc<Pass>, branch: String, spawn: String, len: u64) -> Self {
        Self {
            handle: Handle {
                pass: Some(Arc::clone(pass)),
                branch,
                spawn,
            },
            len,
            _output: PhantomData,
        }
    }

    /// How many children were dispatched.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "counts fit the address space they were made in"
    )]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every result, in order of dispatch. Holds all of them in memory.
    ///
    /// # Errors
    /// [`JoinError::Child`] when a child is not completed, which a merged branch rules out.
    pub async fn collect(&self) -> Result<Vec<T>, JoinError>
    where
        T: DeserializeOwned,
    {
        let mut outputs = Vec::with_capacity(self.len());
        let mut after = RunId(0);
        loop {
            let page = self.handle.page(after, PAGE).await;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            for (_, _, json) in &page {
                outputs.push(self.handle.decode(json).await);
            }
        }
        if outputs.len() < self.len() {
            return Err(JoinError::Child {
                key: self.handle.key(),
            });
        }
        Ok(outputs)
    }
}

impl Handle {
    fn key(&self) -> String {
        let parent = self.pass.as_ref().map_or("", |pass| &pass.run.key);
        format!("{parent}${}${}", self.branch, self.spawn)
    }

    async fn page(&self, after: RunId, limit: u32) -> Vec<(RunId, String, crate::record::Json)> {
        let Some(pass) = &self.pass else {
            return Vec::new();
        };
        let _hold = pass.hold();
        let run = pass.run.id;
        let branch = Place {
            kind: "branch",
            key: self.branch.clone(),
        }
        .step_name();
        let spawn_key = pass.spawn_key(&self.branch, &self.spawn);
        let read = driver::read(pass, move |store| {
            store.outputs(run, &branch, &spawn_key, after, limit)
        });
        match read.await {
            Some(page) => page,
            // The pass is over; the driver drops the body.
            None => std::future::pending().await,
        }
    }

    async fn decode<T: DeserializeOwned>(&self, json: &str) -> T {
        match (codec::decode(json), &self.pass) {
            (Ok(value), _) => value,
            (Err(problem), Some(pass)) => {
                pass.break_rule(DefinitionError::Undecodable {
                    place: format!("the output of child {:?}", self.key()),
                    type_name: std::any::type_name::<T>(),
                    problem,
                });
                std::future::pending().await
            }
            (Err(_), None) => std::future::pending().await,
        }
    }
}

/// A handle as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    branch: String,
    spawn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
}

impl Stored {
    /// A handle of the run whose body is being polled.
    fn handle(self) -> (Handle, u64) {
        let len = self.len.unwrap_or(0);
        (
            Handle {
                pass: Pass::current(),
                branch: self.branch,
                spawn: self.spawn,
            },
            len,
        )
    }
}

macro_rules! handle_impls {
    ($name:ident, $len:expr, $make:expr) => {
        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Handle { branch, spawn, .. } = self.handle.clone();
                let len: fn(&Self) -> Option<u64> = $len;
                Stored {
                    branch,
                    spawn,
                    len: len(self),
                }
                .serialize(serializer)
            }
        }

        impl<'de, T> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (handle, len) = Stored::deserialize(deserializer)?.handle();
                let make: fn(Handle, u64) -> Self = $make;
                Ok(make(handle, len))
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                let make: fn(Handle, u64) -> Self = $make;
                let len: fn(&Self) -> Option<u64> = $len;
                make(self.handle.clone(), len(self).unwrap_or(0))
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.handle.key())
            }
        }
    };
}

handle_impls!(Child, |_| None, |handle, _| Child {
    handle,
    _output: PhantomData
});
handle_impls!(Children, |children| Some(children.len), |handle, len| {
    Children {
        handle,
        len,
        _output: PhantomData,
    }
});
