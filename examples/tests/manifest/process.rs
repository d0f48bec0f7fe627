//! The example as a process, and what it left behind.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub(crate) const OUT: &str = "sums";
const LOG: &str = "hash.log";
const PATIENCE: Duration = Duration::from_secs(120);

/// Every file whose step is recorded. Read without joining in: from a copy.
const RECORDED: &str = "SELECT json_extract(run.args, '$.found.File') \
    FROM chrono_forge_workflows run JOIN chrono_forge_execution_logs record \
    ON record.workflow_id = run.id AND record.step_name = 'step$sha256' AND record.state = 1 \
    WHERE run.workflow = 'digest'";

const BLOCK: &str = "
UPDATE chrono_forge_workflows SET state = 3, locked_by = NULL, wake_at = NULL
WHERE workflow = 'manifest';
UPDATE chrono_forge_workflows SET state = 4, locked_by = NULL, wake_at = NULL, stalled_by = 'step$sha256'
WHERE id = (SELECT max(id) FROM chrono_forge_workflows WHERE workflow = 'digest' AND state < 2);
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
SELECT id, parent_execution_log_id, state, 0 FROM chrono_forge_workflows WHERE state IN (3, 4);";

/// Cargo builds the examples of a package with its tests, in the folder above theirs.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let program = built.join("examples").join("manifest");
    assert!(
        program.exists(),
        "not built: cargo build -p chrono-forge-examples --examples"
    );
    program
}

pub(crate) fn command(scratch: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(scratch)
        .env("MANIFEST_HASH_LOG", scratch.join(LOG))
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(scratch: &Path, arguments: &[&str]) -> Output {
    command(scratch, arguments).output().unwrap()
}

pub(crate) fn start(scratch: &Path, arguments: &[&str]) -> Child {
    let mut command = command(scratch, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The names of the hashes that were made so far, in order.
pub(crate) fn hashed(scratch: &Path) -> Vec<String> {
    let log = fs::read_to_string(scratch.join(LOG)).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

/// Waits until this many lines are in the log; false if the process ended before.
pub(crate) fn wait_for_hashes(scratch: &Path, process: &mut Child, lines: usize) -> bool {
    let begun = Instant::now();
    while hashed(scratch).len() < lines {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "no progress");
        sleep(Duration::from_millis(1));
    }
    true
}

/// The names of the files whose step is recorded in the state file.
pub(crate) fn recorded(scratch: &Path) -> HashSet<String> {
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{OUT}.db{suffix}");
        let _ = fs::copy(scratch.join(&name), copy.path().join(&name));
    }
    let path = copy.path().join(format!("{OUT}.db"));
    if !path.exists() {
        return HashSet::new();
    }
    let database = Connection::open(path).unwrap();
    // A process may be killed before it has made the tables.
    let Ok(mut statement) = database.prepare(RECORDED) else {
        return HashSet::new();
    };
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Makes the manifest's run fail, and stalls that of a file which is not done.
pub(crate) fn block(scratch: &Path) {
    let database = Connection::open(scratch.join(format!("{OUT}.db"))).unwrap();
    database.execute_batch(BLOCK).unwrap();
}

pub(crate) fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}
