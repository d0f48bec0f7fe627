//! Processes on one database, seen and sent signals from outside.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono_forge::Forge;
use rusqlite::Connection;

use crate::backend::Backend;
use crate::database::{Database, Look};
use crate::labour::{Line, lines};
use crate::rows;

/// Whatever takes longer than this hangs.
pub const HANGS: Duration = Duration::from_secs(60);

/// A database that processes share, with a side file for their effects.
pub struct Ground {
    database: Database,
    out: PathBuf,
    program: &'static str,
    /// What is asked of the database in its URL.
    option: Option<&'static str>,
}

/// Engines that are open at once: the observer's, and those of up to three processes.
const ENGINES: usize = 4;

/// A process that this test started; killed when it is dropped.
pub struct Victim {
    child: Child,
}

impl Ground {
    /// An empty database for processes of this program.
    #[must_use]
    pub fn new(backend: Backend, program: &'static str) -> Self {
        let database = Database::new(backend, crate::crash::scratch(), ENGINES);
        Self {
            out: database.folder().join("effects"),
            database,
            program,
            option: None,
        }
    }

    /// Asks this of the file in its URL.
    #[must_use]
    pub fn asking(self, option: &'static str) -> Self {
        let option = Some(option);
        Self { option, ..self }
    }

    /// As engines open it.
    #[must_use]
    pub fn url(&self) -> String {
        let url = self.database.url();
        self.option
            .map_or_else(|| url.clone(), |option| format!("{url}?{option}"))
    }

    /// The database.
    ///
    /// # Panics
    /// When it is no file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.database.file()
    }

    /// The folder that the files stand in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.database.folder()
    }

    /// The side file, as workflows take it.
    #[must_use]
    pub fn out(&self) -> String {
        self.out.display().to_string()
    }

    /// Flags of a worker whose death is noticed before its lease ends wherever the database can tell: there
    /// the lease is so long that a test which waits for it fails.
    #[must_use]
    pub fn lease(&self) -> &'static [&'static str] {
        match self.database.backend() {
            Backend::Sqlite => &["--lease-ms", "60000"],
            Backend::Postgres => &["--lease-ms", "1500", "--heartbeat-ms", "500"],
        }
    }

    /// Starts a process and waits until it is open; one with failpoints may die before.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn victim(&self, flags: &[&str], failpoints: &str) -> Victim {
        self.victim_in(flags, &[("CHRONO_FORGE_FAILPOINTS", failpoints)])
    }

    /// Starts a process that may be killed by what it executes, even before it says it is open.
    #[must_use]
    pub fn doomed(&self, flags: &[&str]) -> Victim {
        Victim::spawn(self.program, &self.url(), flags, &[]).0
    }

    /// As [`Ground::victim`], with these variables in its environment.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn victim_in(&self, flags: &[&str], variables: &[(&str, &str)]) -> Victim {
        let url = self.url();
        let (victim, said) = Victim::spawn(self.program, &url, flags, variables);
        let may_die = variables
            .iter()
            .any(|(name, value)| *name == "CHRONO_FORGE_FAILPOINTS" && !value.is_empty());
        assert!(said == "ready\n" || may_die, "{said:?}");
        victim
    }

    /// An engine in this process that starts and reads, but executes nothing.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn observer(&self) -> Forge {
        Forge::builder(&self.url())
            .worker(false)
            .poll_interval(Duration::from_millis(20))
            .open()
            .await
            .expect("the database opens")
    }

    /// A connection that only looks.
    #[must_use]
    pub fn look(&self) -> Look {
        self.database.look()
    }

    /// Effects so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        lines(&self.out)
    }

    /// Whether somebody could write now. A process that is stopped inside a write transaction on a file
    /// blocks all others until it goes on or dies, which no engine can help; a server ends its session.
    ///
    /// # Panics
    /// When the file cannot be opened.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        if self.database.backend() == Backend::Postgres {
            return true;
        }
        let connection = Connection::open(self.database.file()).expect("the file opens");
        let patience = Duration::from_millis(200);
        connection.busy_timeout(patience).expect("a timeout is set");
        connection
            .execute_batch("BEGIN IMMEDIATE; ROLLBACK")
            .is_ok()
    }

    /// Waits until a query answers a number other than zero.
    ///
    /// # Panics
    /// When it never does.
    pub fn await_row(&self, what: &str, sql: &str) {
        let look = self.look();
        self.await_that(what, || look.number(sql, &[]) != 0);
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it never is.
    pub fn await_that(&self, what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < HANGS, "never: {what}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Rows and effects, for the message of a failure.
    #[must_use]
    pub fn story(&self) -> String {
        let look = self.look();
        let workers = look.texts(
            "SELECT 'worker ' || id || ' pid=' || pid || ' stopped=' || flag(stopped_at IS NOT NULL)
            FROM chrono_forge_workers",
            &[],
        );
        let mut story = rows::dump(&look);
        story.extend(workers);
        story.extend(
            self.lines()
                .iter()
                .rev()
                .take(40)
                .map(|line| format!("{line:?}")),
        );
        story.join("\n")
    }

    /// Fails unless every run is completed, rows add up, and each effect ran once for each of its
    /// executions at most `again` more often.
    ///
    /// # Panics
    /// When something is wrong.
    pub fn assert_whole(&self, again: usize) {
        let look = self.look();
        let mut complaints = rows::broken(&look);
        complaints.extend(look.texts(
            "SELECT key || ' is in state ' || state FROM chrono_forge_workflows WHERE state <> 2",
            &[],
        ));
        let lines = self.lines();
        let begins = lines.iter().filter(|line| line.edge == "begin");
        let mut counts = std::collections::BTreeMap::<_, usize>::new();
        for line in begins {
            *counts.entry((&line.run, &line.step)).or_default() += 1;
        }
        let often = counts.iter().filter(|(_, count)| **count > 1 + again);
        complaints.extend(often.map(|(place, count)| format!("{place:?} ran {count} times")));
        assert!(
            complaints.is_empty(),
            "{}\n{}",
            complaints.join("\n"),
            self.story()
        );
    }
}

impl Victim {
    /// Starts a process of this program on the database of this URL, and waits until it is open.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(program: &str, url: &str, flags: &[&str]) -> Self {
        let (victim, said) = Self::spawn(program, url, flags, &[]);
        assert_eq!(said, "ready\n");
        victim
    }

    /// The same where it may fail to open: then `None`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn try_start(program: &str, url: &str, flags: &[&str]) -> Option<Self> {
        let (victim, said) = Self::spawn(program, url, flags, &[]);
        (said == "ready\n").then_some(victim)
    }

    /// Starts a process that may never be open, and waits for nothing.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn unwatched(program: &str, url: &str) -> Self {
        let child = command(program, url).stdout(Stdio::null()).spawn();
        Self {
            child: child.expect("the victim starts"),
        }
    }

    /// Starts a process; answers what it said first.
    fn spawn(
        program: &str,
        url: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> (Self, String) {
        let mut child = command(program, url)
            .args(flags)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the victim starts");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("its output is text");
        (Self { child }, said)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name (`STOP`, `CONT`, `TERM`, `KILL`).
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Whether it has not ended by itself.
    ///
    /// # Panics
    /// When nobody can tell.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(begun.elapsed() < HANGS, "the victim does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str, url: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(url).env("CHRONO_FORGE_FAILPOINTS", "");
    command
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a test's body, which must not take longer than [`HANGS`] allows.
///
/// # Panics
/// When it does.
pub fn bounded<F: Future>(body: F) -> F::Output {
    bounded_by(HANGS * 2, body)
}

/// As [`bounded`], for so long.
///
/// # Panics
/// When it takes longer.
pub fn bounded_by<F: Future>(limit: Duration, body: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let bounded = async { tokio::time::timeout(limit, body).await };
    runtime.block_on(bounded).expect("the test hangs")
}

/// Waits for one part of a test, so that one that hangs says which.
///
/// # Panics
/// When it takes longer than [`HANGS`] allows.
pub async fn within<F: IntoFuture>(what: &str, part: F) -> F::Output {
    let part = tokio::time::timeout(HANGS, part).await;
    part.unwrap_or_else(|_| panic!("it hangs: {what}"))
}
