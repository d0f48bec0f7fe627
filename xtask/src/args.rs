//! The command line.

use clap::{Parser, Subcommand};

/// Longer than any example takes on a busy machine, short enough to notice one that hangs.
pub(crate) const EXAMPLE_SECONDS: u64 = 120;

/// The tasks of the Chrono-Forge workspace that are more than one cargo command.
///
/// A task runs all of its steps, also after one has failed, and closes with a line `N passed, N failed`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Everything that CI checks
    Ci,
    /// Format all packages
    Fmt {
        /// Only look, and fail if anything would change
        #[arg(long)]
        check: bool,
    },
    /// Run clippy with warnings denied, on all features together and on each alone; and cargo-deny if it is
    /// installed
    Lint,
    /// Build the documentation of all packages with warnings denied
    Doc,
    /// Test all packages
    Test,
    /// Compile the runtime and the facade with each feature alone, as their users do
    Features,
    /// Run the examples that examples/README.md lists, each in an empty folder
    Examples {
        /// How long one example may take before it is stopped and has failed
        #[arg(long = "time-limit", value_name = "SECONDS", default_value_t = EXAMPLE_SECONDS)]
        seconds: u64,
    },
    /// Build and run the programs beside other SQLite crates, and test the runtime with the oldest SQLite that it takes
    Beside,
    /// Check what the published crates would contain, above all the migrations' SQL
    Package {
        /// Also build the crates from their packages, as crates.io's users would (slow)
        #[arg(long)]
        verify: bool,
    },
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory;
    Args::command().debug_assert();
}
