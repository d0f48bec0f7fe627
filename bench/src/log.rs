//! A subscriber to the engine's log, if the command line asks for one: its cost is then measured,
//! too.

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;

/// The environment variable that hands the level to the processes that measure.
pub const VARIABLE: &str = "CHRONO_FORGE_BENCH_LOG";

static LEVEL: OnceLock<LevelFilter> = OnceLock::new();

/// Writes events up to this level to the standard error, from now on.
pub fn subscribe(level: LevelFilter) {
    if LEVEL.set(level).is_ok() {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            .init();
    }
}

/// The level, where one was asked for.
pub fn level() -> Option<String> {
    LEVEL.get().map(|level| level.to_string().to_lowercase())
}

/// The variable of a process that is to log as this one does.
pub fn variable() -> Option<(&'static str, String)> {
    level().map(|level| (VARIABLE, level))
}
