//! A PostgreSQL server of a test's own: to be stopped, restarted and cut off without harm to others.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Where to look for the server's programs beside the search path.
pub const BIN: &str = "CHRONO_FORGE_TEST_POSTGRES_BIN";

/// The account that runs the server when the test itself is root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";

/// A running server; stopped and removed when it is dropped.
pub struct Server {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
}

/// How a server is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Sessions are cut off, what was written is kept in order.
    Fast,
    /// As if the power failed: the next start recovers from the log.
    Immediate,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

impl Server {
    /// Starts a server of its own, or tells why this machine cannot.
    ///
    /// # Errors
    /// Without the programs, without an account that may run them, or when they fail.
    pub fn start() -> Result<Self, String> {
        Self::start_with("", &[])
    }

    /// The same with these lines of configuration, and these files beside it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(configuration: &str, files: &[(&str, &str)]) -> Result<Self, String> {
        Self::without_data(&std::env::temp_dir())?.furnished(configuration, files)
    }

    /// Starts a server whose files stand in a folder of their own in this one.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_within(parent: &Path) -> Result<Self, String> {
        Self::without_data(parent)?.furnished("", &[])
    }

    fn furnished(self, configuration: &str, files: &[(&str, &str)]) -> Result<Self, String> {
        let server = self;
        let data = server.data().display().to_string();
        let initdb = [
            "-D",
            &data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ];
        server.run("initdb", &initdb)?;
        server
            .put(configuration, files)
            .map_err(|error| error.to_string())?;
        server.begin()?;
        Ok(server)
    }

    /// Starts another server that follows this one, until it is promoted.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_standby(&self) -> Result<Self, String> {
        let standby = Self::without_data(&std::env::temp_dir())?;
        let (data, port) = (standby.data().display().to_string(), self.port.to_string());
        let words = [
            "-D",
            &data,
            "-R",
            "-c",
            "fast",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
        ];
        standby.run("pg_basebackup", &words)?;
        standby.begin()?;
        Ok(standby)
    }

    /// Its folder is there, its data are not.
    fn without_data(parent: &Path) -> Result<Self, String> {
        let bin = programs().ok_or_else(|| {
            format!("no PostgreSQL server is installed (initdb, pg_ctl); {BIN} may name its folder")
        })?;
        let folder = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
        let server = Self {
            bin,
            folder,
            port: free_port()?,
        };
        if is_root() {
            let owner = Command::new("chown")
                .args(["-R", ACCOUNT])
                .arg(server.folder.path())
                .output();
            told("chown", owner)?;
        }
        Ok(server)
    }

    /// One of the programs beside the server's, such as `pg_dump`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// The URL of this server's database, with these parameters (`schema=..&notify=off`).
    #[must_use]
    pub fn url(&self, parameters: &str) -> String {
        self.url_at(self.port, parameters)
    }

    /// For a look behind the back of engines that were opened at [`Server::url`] without a schema.
    #[must_use]
    pub fn look_url(&self) -> String {
        self.url("options=-c%20search_path%3Dchrono_forge")
    }

    /// The same through another port, that of a proxy.
    #[must_use]
    pub fn url_at(&self, port: u16, parameters: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres?{parameters}")
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it and starts it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&self, stop: Stop) {
        self.stop(stop);
        self.resume();
    }

    /// Stops it.
    ///
    /// # Panics
    /// When it cannot be stopped.
    pub fn stop(&self, stop: Stop) {
        let data = self.data().display().to_string();
        let words = ["stop", "-D", &data, "-m", stop.name(), "-w", "-t", "60"];
        self.run("pg_ctl", &words).expect("the server stops");
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn resume(&self) {
        self.begin().expect("the server starts again");
    }

    /// Starts it again if it has stopped by itself, as one does whose disk was full.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn revive(&self) {
        let data = self.data().display().to_string();
        for _ in 0..60 {
            let is_up = self.run("pg_ctl", &["status", "-D", &data]).is_ok();
            if is_up || self.begin().is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        panic!("the server does not come back");
    }

    /// Into the folder of the data; readable by the server's account only, since it refuses keys that others can read.
    fn put(&self, configuration: &str, files: &[(&str, &str)]) -> std::io::Result<()> {
        for (name, text) in files {
            let path = self.data().join(name);
            std::fs::write(&path, text)?;
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            }
            if is_root() {
                Command::new("chown").arg(ACCOUNT).arg(&path).status()?;
            }
        }
        let path = self.data().join("postgresql.conf");
        let given = std::fs::read_to_string(&path)?;
        let settings = format!("{given}\nmax_connections = 200\n{configuration}\n");
        std::fs::write(&path, settings)
    }

    fn begin(&self) -> Result<(), String> {
        let data = self.data().display().to_string();
        let log = self.folder.path().join("log").display().to_string();
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=",
            self.port
        );
        let words = [
            "start", "-D", &data, "-l", &log, "-o", &settings, "-w", "-t", "60",
        ];
        self.run("pg_ctl", &words)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of the server's programs, under an account that it accepts.
    fn run(&self, program: &str, words: &[&str]) -> Result<(), String> {
        let path = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", ACCOUNT, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // The server keeps what it inherits: a pipe would never end.
        let done = command
            .args(words)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .output();
        told(program, done)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data().display().to_string();
        // It may be stopped already.
        let _ = self.run("pg_ctl", &["stop", "-D", &data, "-m", "immediate", "-w"]);
    }
}

fn told(program: &str, done: std::io::Result<Output>) -> Result<(), String> {
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} failed: {}", output.status)),
        Err(error) => Err(format!("{program} does not run: {error}")),
    }
}

/// The folder with the server's programs: the one that the environment names, that of `pg_config`, or one of the
/// search path.
fn programs() -> Option<PathBuf> {
    let named = std::env::var_os(BIN).map(PathBuf::from);
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    named
        .into_iter()
        .chain(configured)
        .chain(std::env::split_paths(&path))
        .find(|folder| has_server(folder))
}

fn has_server(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}
