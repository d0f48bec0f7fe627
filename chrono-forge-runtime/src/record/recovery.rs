//! Recovery by hand: which of the blocked runs are meant.

use jiff::Timestamp;

use super::{RunId, RunState};

/// Which failed and stalled runs [`Forge::retry_all`](crate::forge::Forge::retry_all) retries: those
/// that meet every condition named here. Without any condition: all of them.
///
/// ```
/// # mod chrono_forge { pub use chrono_forge_runtime::record::RetryFilter; }
/// use chrono_forge::RetryFilter;
///
/// let outage = RetryFilter::new()
///     .workflow("order")
///     .stalled_by("step$charge")
///     .since("2026-11-21T09:00:00Z".parse()?);
/// # Ok::<_, jiff::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing by itself"]
pub struct RetryFilter {
    workflow: Option<String>,
    failed: bool,
    stalled: bool,
    stalled_by: Option<String>,
    error_class: Option<String>,
    since: Option<Timestamp>,
    parent: Option<RunId>,
}

impl RetryFilter {
    /// Every failed and every stalled run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs of this workflow only, by its registered name (`order::NAME`).
    pub fn workflow(mut self, name: &str) -> Self {
        self.workflow = Some(name.to_owned());
        self
    }

    /// Failed runs; with [`RetryFilter::stalled`] both.
    pub fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// Stalled runs; with [`RetryFilter::failed`] both.
    pub fn stalled(mut self) -> Self {
        self.stalled = true;
        self
    }

    /// Runs that stalled at this record: its row name (`step$charge`), or its bare key.
    pub fn stalled_by(mut self, record: &str) -> Self {
        self.stalled_by = Some(record.to_owned());
        self
    }

    /// Runs whose newest error row is of this class.
    pub fn error_class(mut self, class: &str) -> Self {
        self.error_class = Some(class.to_owned());
        self
    }

    /// Runs that failed or stalled at this instant or later.
    pub fn since(mut self, instant: Timestamp) -> Self {
        self.since = Some(instant);
        self
    }

    /// Children of this run only, of all its branches; by its [`Run::id`](crate::forge::Run::id). Costs
    /// what is blocked among them, however many other runs are blocked.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::{Forge, Run}, record::RetryFilter};
    /// # async fn example<T>(forge: &Forge, gallery: &Run<T>) -> Result<(), Error> {
    /// let blocked = RetryFilter::new().children_of(gallery.id());
    /// println!("{} children go on", forge.retry_all(blocked).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn children_of(mut self, run_id: i64) -> Self {
        self.parent = Some(RunId(run_id));
        self
    }

    /// The run whose children are meant.
    #[must_use]
    pub fn parent(&self) -> Option<RunId> {
        self.parent
    }

    /// Whether a run meets every condition but [`RetryFilter::children_of`], which says where to look.
    #[must_use]
    pub fn covers(&self, run: &BlockedRun) -> bool {
        let either = self.failed == self.stalled;
        let state = match run.state {
            RunState::Failed => either || self.failed,
            RunState::Stalled => either || self.stalled,
            _ => false,
        };
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        let stalled_by = run.stalled_by.as_deref();
        let key = stalled_by.and_then(|name| name.split_once('$'));
        state
            && is(&self.workflow, Some(&run.workflow))
            && (is(&self.stalled_by, stalled_by) || is(&self.stalled_by, key.map(|(_, key)| key)))
            && is(&self.error_class, run.error_class.as_deref())
            && self.since.is_none_or(|since| run.since >= since)
    }
}

/// A run that nothing but a person moves on.
#[derive(Clone, Debug)]
pub struct BlockedRun {
    pub id: RunId,
    pub workflow: String,
    pub state: RunState,
    pub since: Timestamp,
    pub stalled_by: Option<String>,
    /// The class of its newest error row.
    pub error_class: Option<String>,
}

/// A child that keeps its parent parked until somebody recovers it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockedChild {
    /// Its [`Run::id`](crate::forge::Run::id), by which
    /// [`Forge::by_id`](crate::forge::Forge::by_id) finds it.
    pub id: i64,
    /// The name of the parent's branch.
    pub branch: String,
    /// The child's key, as `forge.retry` and `forge.get` take it where no other run has it.
    pub key: String,
    /// The registered name of the child's workflow.
    pub workflow: String,
    /// [`RunState::Failed`], [`RunState::Stalled`] or [`RunState::Canceled`].
    pub state: RunState,
    /// When it came to that.
    pub since: Timestamp,
    /// The record that a stalled child stalled at (`step$charge`).
    pub stalled_by: Option<String>,
    /// Class and message of its newest error row.
    pub last_error: Option<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stalled() -> BlockedRun {
        BlockedRun {
            id: RunId(1),
            workflow: "order".into(),
            state: RunState::Stalled,
            since: Timestamp::UNIX_EPOCH,
            stalled_by: Some("step$charge".into()),
            error_class: Some("Declined".into()),
        }
    }

    #[test]
    fn a_filter_covers_what_meets_every_condition() {
        let new = RetryFilter::new;
        let covers = [
            new(),
            new().stalled(),
            new().stalled().failed(),
            new().workflow("order").stalled_by("step$charge"),
            new().stalled_by("charge").error_class("Declined"),
            new().since(Timestamp::UNIX_EPOCH),
        ];
        for filter in covers {
            assert!(filter.covers(&stalled()), "{filter:?}");
        }
        let leaves = [
            new().failed(),
            new().workflow("orders"),
            new().workflow("order").stalled_by("wait_until$charge"),
            new().error_class("declined"),
            new().since(Timestamp::from_microsecond(1).unwrap()),
        ];
        for filter in leaves {
            assert!(!filter.covers(&stalled()), "{filter:?}");
        }
    }

    #[test]
    fn a_failed_run_has_no_step_and_a_canceled_one_is_left_alone() {
        let failed = BlockedRun {
            state: RunState::Failed,
            stalled_by: None,
            error_class: None,
            ..stalled()
        };
        assert!(RetryFilter::new().failed().covers(&failed));
        assert!(!RetryFilter::new().stalled_by("charge").covers(&failed));
        assert!(!RetryFilter::new().error_class("E").covers(&failed));
        let canceled = BlockedRun {
            state: RunState::Canceled,
            ..stalled()
        };
        assert!(!RetryFilter::new().covers(&canceled));
    }
}
