//! Handles of children: names, stored with the branch's value, that read results once merged.
//!
//! Reading is replay-safe: after the join the children are completed and cannot change, and nothing
//! else is delivered to the body while a read is under way ([`Reading`](crate::engine::reading::Reading)).

mod failures;
mod order;
mod outputs;
mod pages;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec;
use crate::engine::pass::{Pass, Place};
use crate::error::{DefinitionError, JoinError};
use crate::record::SpawnPath;
pub use failures::Failures;
use order::Order;
pub use outputs::Outputs;

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
        match Outputs::new(self.handle.clone(), Order::of_dispatch(1))
            .next()
            .await
        {
            Some(result) => result.map(|(_, output)| output),
            None => Err(self.handle.missing()),
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

    /// The results, each with its child's key, in order of dispatch: a [`Stream`] that reads page after
    /// page, so its memory does not grow with the number of children.
    ///
    /// What is not recorded is read again by every replay: a result that a long body goes on with is
    /// best made in a step.
    ///
    /// [`Stream`]: https://docs.rs/futures-core/0.3/futures_core/stream/trait.Stream.html
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::children::Children, error::JoinError};
    /// # async fn example(children: Children<u64>) -> Result<(), JoinError> {
    /// let mut largest: Option<(String, u64)> = None;
    /// let mut outputs = children.outputs();
    /// while let Some(result) = outputs.next().await {
    ///     let (key, size) = result?;
    ///     if largest.as_ref().is_none_or(|(_, most)| size > *most) {
    ///         largest = Some((key, size));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn outputs(&self) -> Outputs<T> {
        Outputs::new(self.handle.clone(), Order::of_dispatch(self.len))
    }

    /// As [`Children::outputs`], in the order in which the children completed (those that completed at
    /// the same instant in order of dispatch), the same on every replay.
    ///
    /// The order is found first: every child is looked at, and the stream holds 8 bytes a child from then
    /// on, twice as many while it sorts. Order of dispatch costs neither.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::children::Children, error::JoinError};
    /// # async fn example(bids: Children<u64>) -> Result<(), JoinError> {
    /// if let Some(first) = bids.outputs_by_completion().next().await {
    ///     let (bidder, bid) = first?;
    ///     println!("{bidder} was the first to bid: {bid}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn outputs_by_completion(&self) -> Outputs<T> {
        Outputs::new(self.handle.clone(), Order::of_completion(self.len))
    }

    /// What went wrong on the way: every failed attempt of these children, all of which have completed
    /// since, be it by their policies or because somebody retried them. By child in order of dispatch; of
    /// a child the attempts of its body first, then those of each step (by name), in order of attempts. A
    /// [`Stream`] that reads page after page, the same on every replay.
    ///
    /// [`Stream`]: https://docs.rs/futures-core/0.3/futures_core/stream/trait.Stream.html
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::children::Children, error::JoinError};
    /// # async fn example(children: Children<u64>) -> Result<(), JoinError> {
    /// let mut failures = children.failures();
    /// while let Some(failure) = failures.next().await {
    ///     let failure = failure?;
    ///     println!("{} {:?} {}: {}", failure.child, failure.step, failure.attempt, failure.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn failures(&self) -> Failures {
        Failures::new(self.handle.clone(), self.len)
    }

    /// One value made of all results, in order of dispatch, without holding them in memory.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::children::Children, error::JoinError};
    /// # async fn example(children: Children<u64>) -> Result<(), JoinError> {
    /// let bytes = children.fold(0, |sum, size| sum + size).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`JoinError::Child`] when a child is not completed, which a merged branch rules out.
    pub async fn fold<A>(&self, init: A, mut f: impl FnMut(A, T) -> A) -> Result<A, JoinError>
    where
        T: DeserializeOwned,
    {
        let mut folded = init;
        let mut outputs = self.outputs();
        while let Some(result) = outputs.next().await {
            folded = f(folded, result?.1);
        }
        Ok(folded)
    }

    /// Every result, in order of dispatch. Holds all of them in memory; [`Children::fold`] and
    /// [`Children::outputs`] do not.
    ///
    /// # Errors
    /// [`JoinError::Child`] when a child is not completed, which a merged branch rules out.
    pub async fn collect(&self) -> Result<Vec<T>, JoinError>
    where
        T: DeserializeOwned,
    {
        let all = Vec::with_capacity(self.len());
        self.fold(all, |mut all, output| {
            all.push(output);
            all
        })
        .await
    }
}

impl Handle {
    fn key(&self) -> String {
        let parent = self.pass.as_ref().map_or("", |pass| &pass.run.key);
        format!("{parent}${}${}", self.branch, self.spawn)
    }

    fn missing(&self) -> JoinError {
        JoinError::Child { key: self.key() }
    }

    /// Whose children they are and where; `None` for a handle that was not decoded in a body.
    fn place(&self) -> Option<(&Arc<Pass>, SpawnPath)> {
        let pass = self.pass.as_ref()?;
        let branch = Place {
            kind: "branch",
            key: self.branch.clone(),
        };
        let spawn = SpawnPath {
            run: pass.run.id,
            branch: pass.name_of(&branch),
            key: pass.spawn_key(&self.branch, &self.spawn),
        };
        Some((pass, spawn))
    }

    /// The value, or `None` after it has ended the run because the text does not read as `T`.
    fn decode<T: DeserializeOwned>(&self, child: &str, json: &str) -> Option<T> {
        let problem = match codec::decode(json) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        if let Some(pass) = &self.pass {
            pass.break_rule(DefinitionError::Undecodable {
                place: format!("the output of child {child:?}"),
                type_name: std::any::type_name::<T>(),
                problem,
            });
        }
        None
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
