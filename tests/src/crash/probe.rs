//! What the bodies of a site tell, and what they do to the database and its clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chrono_forge::testing::{Clock, ManualClock};
use jiff::SignedDuration;

use crate::backend::Backend;
use crate::database::{Looker, Param};
use crate::journal::Journal;
use crate::shop::{self, ShopPool};

/// What step bodies do to the world, and what the world may ask of them afterwards.
#[derive(Clone)]
pub struct Probe {
    looker: Looker,
    folder: PathBuf,
    clock: ManualClock,
    /// What bodies write down.
    pub journal: Journal,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    executions: Mutex<BTreeMap<(String, String), u32>>,
    complaints: Mutex<Vec<String>>,
    /// Wake-ups of a run that waited at its gate.
    knocks: AtomicU32,
    shop: OnceLock<ShopPool>,
}

impl Probe {
    pub(super) fn new(looker: Looker, folder: PathBuf, clock: ManualClock) -> Self {
        Self {
            looker,
            folder,
            clock,
            journal: Journal::default(),
            shared: Arc::default(),
        }
    }

    /// A table beside the engine's, opened when it is asked for first.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn shop(&self) -> &ShopPool {
        self.shared.shop.get_or_init(|| shop::open(&self.folder))
    }

    /// A body begins. `step` is the name of its row.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub fn enter(&self, run: &str, step: &str) {
        let place = (run.to_owned(), step.to_owned());
        *self
            .shared
            .executions
            .lock()
            .expect("unpoisoned")
            .entry(place)
            .or_default() += 1;
        let recorded = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ? AND l.state <> 0",
            run,
            step,
        );
        if recorded > 0 {
            self.complain(format!("{step} of {run} ran although it was recorded"));
        }
    }

    /// Something happened that may not.
    ///
    /// # Panics
    /// Never.
    pub fn complain(&self, complaint: String) {
        let mut complaints = self.shared.complaints.lock().expect("unpoisoned");
        complaints.push(complaint);
    }

    /// User code begins after the body has received this outcome, which must be durable by then.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub fn behind(&self, run: &str, what: &str, row: &str) {
        let recorded = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ? AND l.state <> 0",
            run,
            row,
        );
        if recorded == 0 {
            self.complain(format!("{what} of {run} began before {row} was durable"));
        }
    }

    /// How many failures of a row are durable.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn failures(&self, run: &str, step: &str) -> i64 {
        self.count(
            "SELECT count(*) FROM chrono_forge_error_logs AS e
            JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id
            WHERE w.key = ? AND e.step_name = ?",
            run,
            step,
        )
    }

    /// A body that succeeds.
    ///
    /// # Errors
    /// Never.
    pub async fn ok(&self, run: &str, step: &str, value: u32) -> anyhow::Result<u32> {
        self.enter(run, step);
        Ok(value)
    }

    /// A body that is pending for a while before it succeeds.
    ///
    /// # Errors
    /// Never.
    pub async fn slowly(&self, run: &str, step: &str, polls: u32) -> anyhow::Result<u32> {
        self.enter(run, step);
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        Ok(polls)
    }

    /// A body that fails until so many failures of it are recorded: what counts is what is durable,
    /// not how often it was tried.
    ///
    /// # Errors
    /// As long as it has not failed often enough.
    pub async fn flaky(&self, run: &str, step: &str, failures: i64) -> anyhow::Result<u32> {
        self.enter(run, step);
        let failed = self.failures(run, step);
        anyhow::ensure!(failed >= failures, "{step} failed");
        Ok(7)
    }

    /// A body that never ends.
    ///
    /// # Errors
    /// Never.
    pub async fn forever(&self, run: &str, step: &str) -> anyhow::Result<u32> {
        self.enter(run, step);
        std::future::pending().await
    }

    /// A condition that is true from the second wake-up on.
    ///
    /// # Errors
    /// Never.
    pub async fn gate(&self, run: &str, step: &str) -> anyhow::Result<bool> {
        self.enter(run, step);
        Ok(self.shared.knocks.load(Ordering::SeqCst) > 1)
    }

    /// A condition that is true once it was recorded as not yet true, and so much time has passed
    /// that it was polled this often: its row counts nothing, so the timer tells.
    ///
    /// # Errors
    /// Never.
    pub async fn flaky_condition(&self, run: &str, step: &str, polls: i64) -> anyhow::Result<bool> {
        self.enter(run, step);
        let spent = self.count(
            "SELECT coalesce(max((micros(l.wake_at) - micros(l.started_at)) / 300000000), 0)
            FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ?",
            run,
            step,
        );
        Ok(spent >= polls)
    }

    /// A condition that is true once so many ticks of a repeat are recorded as over.
    ///
    /// # Errors
    /// Never.
    pub async fn ticks_are_over(
        &self,
        run: &str,
        repeat: &str,
        ticks: i64,
    ) -> anyhow::Result<bool> {
        let over = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name LIKE ? AND l.state <> 0
                AND field(l.metadata, 'scheduled_for') IS NOT NULL",
            run,
            &format!("{repeat}$%"),
        );
        Ok(over >= ticks)
    }

    /// Changes rows behind the engine's back.
    ///
    /// # Panics
    /// When the database cannot be written.
    pub fn tear(&self, sql: &str) {
        self.looker.look().edit(sql, &[]);
    }

    /// The same with several statements that belong together.
    ///
    /// # Panics
    /// When the database cannot be written.
    pub fn tear_together(&self, statements: &[&str]) {
        let script = format!("BEGIN; {}; COMMIT", statements.join("; "));
        self.looker.look().script(&script);
    }

    /// Inserts of rows for which this holds are refused from now on, until they are permitted.
    ///
    /// # Panics
    /// When the database cannot be written.
    pub fn refuse(&self, table: &str, when: &str, why: &str) {
        self.looker.look().refuse(table, when, why);
    }

    /// See [`Probe::refuse`].
    ///
    /// # Panics
    /// As it does.
    pub fn permit(&self, table: &str) {
        self.looker.look().permit(table);
    }

    /// What kind of database it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.looker.look().backend()
    }

    /// Sets the clock forward, or back, by so many seconds.
    pub fn leap(&self, seconds: i64) {
        let span = SignedDuration::from_secs(seconds);
        self.clock.set(self.clock.now() + span);
    }

    /// Whether a query answers a number other than 0.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn finds(&self, sql: &str) -> bool {
        self.looker.look().number(sql, &[]) != 0
    }

    /// How often each body ran, by run and row.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn executions(&self) -> BTreeMap<(String, String), u32> {
        self.shared.executions.lock().expect("unpoisoned").clone()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().expect("unpoisoned").clone()
    }

    pub(super) fn knock(&self) {
        self.shared.knocks.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self, sql: &str, run: &str, step: &str) -> i64 {
        let params: [Param; 2] = [run.into(), step.into()];
        self.looker.look().number(sql, &params)
    }
}
