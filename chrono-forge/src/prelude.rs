//! What a workflow's file needs, and its tests: `use chrono_forge::prelude::*;`.

#[cfg(feature = "testing")]
pub use crate::testing::ManualClock;
pub use crate::{
    Branch, Child, Children, Context, Forge, Invocation, Keyset, OnError, Result, RetryFilter,
    RetryPolicy, Run, RunError, RunState, State, StepError, Workflow, branch, calendar_days,
    continue_if, days, hours, merge, minutes, months, pages, repeat, secs, spawn, spawn_each, step,
    stream, wait, wait_until, workflow,
};
