//! A server in a temporary folder, on a port that is free.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Who may not run a server, and who does so instead.
const ROOT: &str = "0";
const USERS: [&str; 2] = ["postgres", "nobody"];

pub(super) struct Own {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    user: Option<&'static str>,
}

impl Own {
    /// `None` where no server is installed.
    pub(super) fn start(bin: &Path) -> Result<Option<Self>> {
        if !bin.join("initdb").exists() {
            return Ok(None);
        }
        let folder = format!("chrono-forge-postgres-{}", std::process::id());
        let own = Self {
            bin: bin.to_owned(),
            folder: std::env::temp_dir().join(folder),
            port: free_port()?,
            user: other_user()?,
        };
        std::fs::create_dir_all(&own.folder).context("cannot make the server's folder")?;
        if let Some(user) = own.user {
            succeed(Command::new("chown").arg(user).arg(&own.folder))?;
        }
        let data = own.data();
        // The default of `initdb` is the machine's locale, which may be one that is not installed.
        let options = ["--username=postgres", "--auth=trust", "--encoding=UTF8"];
        let locale = ["--locale=C", "--pgdata", &data];
        succeed(own.program("initdb").args(options).args(locale))?;
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=on",
            own.port
        );
        let log = own.folder.join("log").display().to_string();
        let start = ["start", "--wait", "--pgdata", &data, "--log", &log];
        succeed(own.program("pg_ctl").args(start).args(["-o", &options]))?;
        println!("a PostgreSQL server was started at {}", own.url());
        Ok(Some(own))
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    /// One of the server's programs, as whoever may run it.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
        };
        // Not the folder that we are in, which that user may not enter.
        command.current_dir("/");
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let data = self.data();
        let stop = ["stop", "--wait", "--mode=immediate", "--pgdata", &data];
        if let Err(error) = succeed(self.program("pg_ctl").args(stop)) {
            println!("the server at {} is still there: {error:#}", self.url());
            return;
        }
        // What is left is a temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `None` unless we are root.
fn other_user() -> Result<Option<&'static str>> {
    if said(Command::new("id").arg("-u"))?.trim() != ROOT {
        return Ok(None);
    }
    let is_known = |user: &&&str| said(Command::new("id").args(["-u", user])).is_ok();
    let user = USERS.iter().find(is_known);
    let user = user.context("PostgreSQL refuses to run as root, and there is no other user")?;
    Ok(Some(*user))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::null()).output()?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// With its output unless it fails: `pg_ctl` would otherwise hand ours on to the server.
fn succeed(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
