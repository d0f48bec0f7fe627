//! Databases to move between, and what a file of an export says.

use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono_forge::testing::ManualClock;
use chrono_forge::{Builder, ExportError, Exported, Forge, ImportError, Imported};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::database::Database;
use chrono_forge_tests::scenario::Probe;

/// Real time after which a test hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Engines that one test has open at once.
const ENGINES: usize = 3;

/// An empty database.
pub(crate) struct Place {
    url: String,
}

impl Place {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// What the databases of one test share.
pub(crate) struct Ground {
    pub(crate) clock: ManualClock,
    pub(crate) probe: Probe,
    /// Of the kind that is tested; the places lie beside it.
    database: Database,
    places: AtomicU32,
}

impl Ground {
    pub(crate) fn new(backend: Backend) -> Self {
        Self {
            clock: ManualClock::new(),
            probe: Probe::default(),
            database: Database::new(backend, tempfile::tempdir().unwrap(), ENGINES),
            places: AtomicU32::new(0),
        }
    }

    /// An empty database of the kind that is tested.
    pub(crate) fn place(&self) -> Place {
        Place {
            url: self.database.url_beside(&self.next()),
        }
    }

    /// The one place whose workers can be made to look silent.
    pub(crate) fn home(&self) -> Place {
        Place {
            url: self.database.url(),
        }
    }

    /// Makes the workers at home look as if they had been silent for long, until their next heartbeat; those of a
    /// file hold its locks.
    pub(crate) fn silence(&self) {
        self.database.bury();
    }

    /// An empty file.
    pub(crate) fn file(&self) -> Place {
        let path = self
            .database
            .folder()
            .join(format!("forge{}.db", self.next()));
        let url = format!("sqlite://{}", path.display());
        Place { url }
    }

    fn next(&self) -> String {
        format!("p{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    /// Serves everything, and looks for due runs once an hour: a run that it should know of and does not
    /// hangs.
    pub(crate) fn builder(&self, place: &Place) -> Builder {
        Forge::builder(place.url())
            .clock(Arc::new(self.clock.clone()))
            .state(self.probe.clone())
            .readers(1)
            .poll_interval(Duration::from_secs(3_600))
    }

    pub(crate) async fn worker(&self, place: &Place) -> Forge {
        // Known to be dead soon, where only the lease tells.
        let lease = Duration::from_millis(1_000);
        let worker = self.builder(place).lease(lease).heartbeat(lease / 4);
        worker.open().await.unwrap()
    }

    /// Executes nothing.
    pub(crate) async fn client(&self, place: &Place) -> Forge {
        self.builder(place).worker(false).open().await.unwrap()
    }

    /// Waits until this was noted so many times.
    pub(crate) async fn noted(&self, what: &str, times: usize) {
        while self.probe.count(what) < times {
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn export(&self, place: &Place) -> (Vec<u8>, Exported) {
        let mut file = Vec::new();
        let exported = self.client(place).await.export(&mut file).await.unwrap();
        (file, exported)
    }

    /// As [`Ground::export`], once it is known that the workers are dead: a file tells at once, a server when
    /// the lease is over.
    pub(crate) async fn export_of_the_dead(&self, place: &Place) -> Vec<u8> {
        let client = self.client(place).await;
        loop {
            let mut file = Vec::new();
            match client.export(&mut file).await {
                Ok(_) => return file,
                Err(ExportError::WorkersAlive { .. }) => tokio::time::sleep(LOOK).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn import(&self, place: &Place, file: &[u8]) -> Result<Imported, ImportError> {
        self.client(place).await.import(Cursor::new(file)).await
    }

    /// What an export of this place says of its runs.
    pub(crate) async fn told(&self, place: &Place) -> Vec<Told> {
        told(&self.export(place).await.0)
    }
}

pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(PATIENCE, test).await;
    assert!(ended.is_ok(), "the test hangs");
}

/// The lines of one run: its own, its records by name, its errors in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) run: String,
    pub(crate) records: Vec<String>,
    pub(crate) errors: Vec<String>,
}

/// The runs of a file. Databases sort names differently, so their order says nothing.
pub(crate) fn told(file: &[u8]) -> Vec<Told> {
    let mut runs: Vec<Told> = Vec::new();
    for line in std::str::from_utf8(file).unwrap().lines().skip(1) {
        if line.starts_with("{\"run\":") {
            runs.push(Told {
                run: unnumbered(line),
                records: Vec::new(),
                errors: Vec::new(),
            });
        } else if line.starts_with("{\"record\":") {
            runs.last_mut().unwrap().records.push(line.to_owned());
        } else if line.starts_with("{\"error\":") {
            runs.last_mut().unwrap().errors.push(line.to_owned());
        }
    }
    for run in &mut runs {
        run.records.sort();
    }
    runs
}

/// The line of a run without the numbers that runs have in one file.
pub(crate) fn unnumbered(line: &str) -> String {
    let mut line = line.to_owned();
    for before in ["{\"run\":{\"id\":", "\"parent\":{\"run\":"] {
        let Some(begin) = line.find(before).map(|at| at + before.len()) else {
            continue;
        };
        let behind = line[begin..].find(',').unwrap() + 1;
        let name = before.rfind("\"").unwrap() - before.rfind("{").unwrap();
        line.replace_range(begin - name - 1..begin + behind, "");
    }
    line
}

/// The file, line by line.
pub(crate) fn lines(file: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(file).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}
