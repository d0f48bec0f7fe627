//! Which kind of database a test runs on.

pub use chrono_forge_tests_macros::backends;

/// A kind of database that the engine supports. Each test is one function and runs on all of them: see
/// [`scenario`](macro@crate::scenario::scenario) and [`backends`](macro@backends).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A schema of its own on the server that `CHRONO_FORGE_TEST_POSTGRES_URL` names.
    Postgres,
}

impl Backend {
    /// A sweep crashes at every so many commits. On a server one costs a new schema and a wait for leases;
    /// `CHRONO_FORGE_CRASH_STRIDE=1` crashes at each.
    ///
    /// # Panics
    /// When that is no number.
    #[must_use]
    pub fn crash_stride(self) -> u64 {
        match (self, std::env::var("CHRONO_FORGE_CRASH_STRIDE")) {
            (_, Ok(stride)) => stride.parse().expect("a number"),
            (Self::Sqlite, Err(_)) => 1,
            (Self::Postgres, Err(_)) => 4,
        }
    }
}

/// Runs a test.
pub fn run(backend: Backend, test: impl FnOnce(Backend)) {
    test(backend);
}

/// Runs a test on a runtime of its own.
///
/// # Panics
/// When the test does.
pub fn play(backend: Backend, threads: usize, test: impl AsyncFnOnce(Backend)) {
    runtime(threads).block_on(test(backend));
}

/// A runtime of so many threads.
///
/// # Panics
/// When the host has no thread left.
pub(crate) fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let builder = builder.worker_threads(threads.max(1)).enable_all();
    builder.build().expect("a runtime")
}
