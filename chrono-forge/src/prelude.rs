//! What a workflow's file needs: `use chrono_forge::prelude::*;`.

pub use crate::{
    Branch, Child, Children, Context, Forge, Invocation, Keyset, Result, RetryPolicy, Run, State,
    StepError, Workflow, branch, calendar_days, continue_if, days, hours, merge, minutes, months,
    pages, repeat, secs, spawn, spawn_each, step, stream, wait, wait_until, workflow,
};
