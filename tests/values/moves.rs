//! A case lives in one database, dies, goes on there, and moves to another one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_forge::testing::ManualClock;
use chrono_forge::{Builder, Forge};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::crash::scratch;
use chrono_forge_tests::database::{Database, Look, Looker};
use serde::Deserialize;

use crate::model::VALUE_BYTES_MAX;
use crate::places::PAUSE_HOURS;
use crate::shelf::Shelf;

/// A case that takes longer hangs.
const HANGS: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// What the keys of runs begin with that wait inside of their source.
pub(crate) const HELD: &str = "held-";

/// Two databases, a clock and a shelf that outlive the engines.
pub(crate) struct Tour {
    database: Database,
    file: PathBuf,
    clock: ManualClock,
    pub(crate) shelf: Shelf,
    /// It begins in the file that lies beside.
    from_file: bool,
}

/// What a row of a run says.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) state: i64,
    pub(crate) output: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) message: Option<String>,
    /// Records that have a result.
    pub(crate) results: i64,
    pub(crate) children: i64,
}

impl Tour {
    pub(crate) fn new(backend: Backend, from_file: bool, shelf: Shelf) -> Self {
        let database = Database::new(backend, scratch(), 1);
        Self {
            file: database.folder().join("beside.db"),
            database,
            clock: ManualClock::new(),
            shelf,
            from_file,
        }
    }

    fn url(&self, is_second: bool) -> String {
        match is_second == self.from_file {
            true => self.database.url(),
            false => format!("sqlite://{}", self.file.display()),
        }
    }

    pub(crate) fn look(&self, is_second: bool) -> Look {
        match is_second == self.from_file {
            true => self.database.look(),
            false => Looker::Sqlite(self.file.clone()).look(),
        }
    }

    fn builder(&self, is_second: bool) -> Builder {
        Forge::builder(&self.url(is_second))
            .state(self.shelf.clone())
            .clock(Arc::new(self.clock.clone()))
            .payload_bytes_max(VALUE_BYTES_MAX)
            // Whoever is held keeps a slot.
            .queue("default", 1_000)
            .lease(Duration::from_secs(60))
            .shutdown_grace(Duration::from_millis(20))
            .readers(1)
    }

    /// Works in the first database.
    pub(crate) async fn begin(&self, names: &[&str]) -> Forge {
        let builder = self.builder(false).workflows(names.iter().copied());
        builder.open().await.unwrap()
    }

    /// The process dies, and another one goes on behind the first pause.
    pub(crate) async fn go_on(&self, forge: Forge, names: &[&str]) -> Forge {
        forge.crash();
        drop(forge);
        if !self.from_file {
            self.database.bury_all();
        }
        self.pause_is_over();
        self.begin(names).await
    }

    /// Everything moves to the second database and goes on there behind the second pause.
    pub(crate) async fn move_on(&self, forge: Forge, names: &[&str]) -> Forge {
        forge.shutdown().await;
        drop(forge);
        let mut file = Vec::new();
        let client = self.builder(false).worker(false).open().await.unwrap();
        client.export(&mut file).await.unwrap();
        client.shutdown().await;
        drop(client);
        let client = self.builder(true).worker(false).open().await.unwrap();
        client.import(std::io::Cursor::new(&file)).await.unwrap();
        client.shutdown().await;
        drop(client);
        self.shelf.release();
        self.pause_is_over();
        let builder = self.builder(true).workflows(names.iter().copied());
        builder.open().await.unwrap()
    }

    fn pause_is_over(&self) {
        self.clock.advance(Duration::from_secs(PAUSE_HOURS * 3_600));
    }

    /// Time goes on by so much.
    pub(crate) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Waits until nothing runs and nothing is due but what is held, and until that is so far.
    pub(crate) async fn quiet(&self, is_second: bool, are_far: impl Fn(&Rows) -> bool) {
        let look = self.look(is_second);
        let begun = Instant::now();
        let mut still = 0;
        while still < 3 {
            if begun.elapsed() > HANGS {
                let rows = self.rows(is_second);
                let stuck: Vec<_> = rows.values().filter(|row| row.state < 2).collect();
                panic!("nothing moves any more: {stuck:#?}");
            }
            tokio::time::sleep(LOOK).await;
            let held = match self.shelf.is_held() {
                true => HELD,
                false => "nothing",
            };
            let busy = format!(
                "SELECT count(*) AS n FROM chrono_forge_workflows
                WHERE (state = 1 OR state = 0 AND wake_at <= instant(?)) AND key NOT LIKE '{held}%'"
            );
            let now = self.clock.now().as_microsecond();
            let is_still = look.number(&busy, &[now.into()]) == 0 && are_far(&self.rows(is_second));
            still = if is_still { still + 1 } else { 0 };
        }
    }

    /// The rows of all runs by their keys.
    pub(crate) fn rows(&self, is_second: bool) -> Rows {
        let rows: Vec<Row> = self.look(is_second).rows(ROWS, &[]);
        rows.into_iter().map(|row| (row.key.clone(), row)).collect()
    }
}

/// By their keys.
pub(crate) type Rows = BTreeMap<String, Row>;

const ROWS: &str = "SELECT w.key AS key, w.state AS state, w.output AS output, (
        SELECT max(e.error_class) FROM chrono_forge_error_logs AS e WHERE e.workflow_id = w.id
    ) AS class, (
        SELECT max(e.error_message) FROM chrono_forge_error_logs AS e WHERE e.workflow_id = w.id
    ) AS message, (
        SELECT count(*) FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = w.id AND l.result IS NOT NULL
    ) AS results, (
        SELECT count(*) FROM chrono_forge_workflows AS c
        JOIN chrono_forge_execution_logs AS l ON l.id = c.parent_execution_log_id
        WHERE l.workflow_id = w.id
    ) AS children
    FROM chrono_forge_workflows AS w";
