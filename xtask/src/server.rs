//! A PostgreSQL server for the tests: the one that is named, the one of this machine, or one of their own.

mod own;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::cargo;
use crate::step::{Outcome, Step};
use own::Own;

/// Which names a server, for the tests and for us.
pub(crate) const URL: &str = "CHRONO_FORGE_TEST_POSTGRES_URL";

/// Where a machine for tests has its server.
const LOCAL: &str = "postgres://postgres@127.0.0.1:5432/test";

/// Stopped and removed with this value if it is our own.
pub(crate) struct Server {
    pub(crate) url: String,
    _own: Option<Own>,
}

impl Server {
    /// `None` when there is neither a server nor what it takes to start one.
    pub(crate) fn find() -> Result<Option<Self>> {
        let bin = programs();
        if let Ok(url) = std::env::var(URL)
            && !url.is_empty()
        {
            // Without a client nobody can ask; the tests will tell.
            let is_there = bin.as_deref().is_none_or(|bin| answers(bin, &url));
            ensure!(is_there, "no PostgreSQL server answers at {URL}={url}");
            return Ok(Some(Self { url, _own: None }));
        }
        let Some(bin) = bin else { return Ok(None) };
        if answers(&bin, LOCAL) {
            let url = LOCAL.to_owned();
            return Ok(Some(Self { url, _own: None }));
        }
        let own = Own::start(&bin)?;
        Ok(own.map(|own| Self {
            url: own.url(),
            _own: Some(own),
        }))
    }
}

/// Is there a libpq to build with?
fn has_library() -> bool {
    succeeds(Command::new("pg_config").arg("--version"))
        || succeeds(Command::new("pkg-config").args(["--exists", "libpq"]))
}

/// A step that is one cargo command and needs libpq.
pub(crate) fn with_library(name: impl Into<String>, arguments: &[&str]) -> Step {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    Step::new(name, move || {
        if !has_library() {
            return absent("libpq is not installed (Debian: libpq-dev)");
        }
        cargo::run(&arguments)
    })
}

/// CI must not pass without what it is there to test.
pub(crate) fn absent(what: &str) -> Result<Outcome> {
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("{what}");
    }
    Ok(Outcome::Skipped(what.to_owned()))
}

/// The folder of the newest installed `psql`, beside which a server's programs are if there is one.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let mut bins: Vec<(u32, PathBuf)> = versions
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("psql").exists())
        .collect();
    bins.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("psql").exists())
    };
    bins.pop().map(|(_, bin)| bin).or_else(on_path)
}

fn answers(bin: &Path, url: &str) -> bool {
    let mut client = Command::new(bin.join("psql"));
    client.args(["--no-psqlrc", "--command", r"\conninfo", url]);
    succeeds(client.env("PGCONNECT_TIMEOUT", "5"))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_server_of_our_own_answers_and_is_gone_afterwards() {
    let bin = programs();
    let own = bin
        .as_deref()
        .map(|bin| Own::start(bin).expect("it starts"));
    let (Some(bin), Some(Some(own))) = (bin, own) else {
        println!("skipped: no server is installed");
        return;
    };
    let url = own.url();
    assert!(answers(&bin, &url));
    drop(own);
    assert!(!answers(&bin, &url));
}
