//! `merge!`: joins branches.
//!
//! Event-driven: the commit that completes the last child of a sealed branch makes the parent due,
//! and the parent is not replayed while it waits. A failed, stalled or canceled child keeps it parked
//! until the child is recovered. Row: `merge$<names, sorted, joined by commas>`.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use super::branch::Branch;
use super::operation::Operation;
use super::{Context, Key};
use crate::engine::pass::{Kind, Turn};
use crate::error::JoinError;

/// What `merge!` accepts: a branch's handle, a vector of handles, a name, or several of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be merged",
    label = "not a branch",
    note = "give `merge!` a branch's handle, a `Vec` of handles, or a branch's name as a literal"
)]
pub trait Join {
    /// What the join gives.
    type Output;

    /// Adds the names of the branches.
    fn name_branches(&self, names: &mut Vec<String>);

    /// The value once every child is completed.
    fn join(self) -> Self::Output;
}

/// A branch that is merged by its name, which gives `()`.
#[derive(Debug)]
pub struct Named(String);

/// A name in `merge!`.
pub fn named(key: impl Into<NamedKey>) -> Named {
    Named(key.into().0)
}

/// What [`named`] takes: a key or a string.
#[derive(Debug)]
pub struct NamedKey(String);

impl From<Key> for NamedKey {
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

impl From<&str> for NamedKey {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<String> for NamedKey {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl Join for Named {
    type Output = ();

    fn name_branches(&self, names: &mut Vec<String>) {
        names.push(self.0.clone());
    }

    fn join(self) {}
}

impl<R> Join for Branch<R> {
    type Output = R;

    fn name_branches(&self, names: &mut Vec<String>) {
        names.push(self.name.clone());
    }

    fn join(self) -> R {
        self.value
    }
}

impl<R> Join for Vec<Branch<R>> {
    type Output = Vec<R>;

    fn name_branches(&self, names: &mut Vec<String>) {
        names.extend(self.iter().map(|branch| branch.name.clone()));
    }

    fn join(self) -> Vec<R> {
        self.into_iter().map(|branch| branch.value).collect()
    }
}

macro_rules! join_tuple {
    ($($part:ident),+) => {
        impl<$($part: Join),+> Join for ($($part,)+) {
            type Output = ($($part::Output,)+);

            fn name_branches(&self, names: &mut Vec<String>) {
                #[allow(non_snake_case)]
                let ($($part,)+) = self;
                $($part.name_branches(names);)+
            }

            fn join(self) -> Self::Output {
                #[allow(non_snake_case)]
                let ($($part,)+) = self;
                ($($part.join(),)+)
            }
        }
    };
}

join_tuple!(A, B);
join_tuple!(A, B, C);
join_tuple!(A, B, C, D);
join_tuple!(A, B, C, D, E);
join_tuple!(A, B, C, D, E, F);
join_tuple!(A, B, C, D, E, F, G);
join_tuple!(A, B, C, D, E, F, G, H);

/// The future of a `merge!`.
#[must_use = "a merge does nothing until it is awaited"]
pub struct Merge<'a, T> {
    op: Operation,
    /// Without branches there is nothing to wait for, nor a name to record it under.
    is_empty: bool,
    join: Option<Box<dyn FnOnce() -> T + Send + 'a>>,
    _run: PhantomData<&'a Context>,
}

/// What `merge!` expands to.
pub fn merge<'a, J>(cx: &'a Context, join: J) -> Merge<'a, J::Output>
where
    J: Join + Send + 'a,
{
    let mut branches = Vec::new();
    join.name_branches(&mut branches);
    branches.sort_unstable();
    branches.dedup();
    let key = branches.join(",");
    Merge {
        is_empty: branches.is_empty(),
        op: Operation::new(&cx.pass, "merge", key, Kind::Merge { branches }),
        join: Some(Box::new(move || join.join())),
        _run: PhantomData,
    }
}

impl<T> Future for Merge<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.is_empty {
            return match self.join.take() {
                Some(join) => Poll::Ready(Ok(join())),
                None => Poll::Pending,
            };
        }
        match self.op.turn(cx) {
            Turn::Deliver(_) => match self.join.take() {
                Some(join) => Poll::Ready(Ok(join())),
                None => Poll::Pending,
            },
            _ => Poll::Pending,
        }
    }
}
