//! A pooler in transaction mode: each transaction may meet another session, and leaves nothing in it.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono_forge_tests::server::Server;
use tempfile::TempDir;

use crate::world::{bounded, connect, engine, prove, server, text};

/// A running pgbouncer; ended when it is dropped.
struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// A pooler with three sessions for everybody, or why there is none.
    fn before(server: &Server) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\n\
            listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
            pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 100\n",
            server.port()
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, settings).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let process = command(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("pgbouncer does not run: {error}"))?;
        let mut pooler = Self {
            process,
            port,
            _folder: folder,
        };
        pooler.await_port()?;
        Ok(pooler)
    }

    fn await_port(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("no pgbouncer runs here: {status}"));
            }
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("pgbouncer does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// It refuses root, as the server does; `setpriv` becomes it instead of starting a child, so that it can be killed.
fn command(settings: &Path) -> Command {
    let id = Command::new("id").arg("-u").output();
    if !id.is_ok_and(|output| output.stdout == b"0\n") {
        let mut command = Command::new("pgbouncer");
        command.arg(settings);
        return command;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg("pgbouncer").arg(settings);
    command
}

#[test]
fn nothing_is_kept_in_a_session_of_a_pooler() {
    let test = "nothing_is_kept_in_a_session_of_a_pooler";
    let Some(server) = server(test) else {
        return;
    };
    let pooler = match Pooler::before(&server) {
        Ok(pooler) => pooler,
        Err(reason) => return eprintln!("skipped: {test}: {reason}"),
    };
    let url = server.url_at(pooler.port, "schema=forge&pooler=transaction");
    bounded(async {
        let first = engine(&url).open().await.unwrap();
        let second = engine(&url).open().await.unwrap();
        prove(&first, "a").await;
        prove(&second, "b").await;
        first.shutdown().await;
        prove(&second, "c").await;
        second.shutdown().await;
    });
    let mut conn = connect(&server.url("application_name=observer"));
    let sessions = "SELECT count(*)::text AS text FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'observer'";
    let sessions: u32 = text(&mut conn, sessions).parse().unwrap();
    assert!(sessions <= 3, "{sessions} sessions");
    let mut pooled = connect(&server.url_at(pooler.port, ""));
    let kept = "SELECT current_setting('search_path') || ' ' || current_setting('statement_timeout')
        || ' ' || (SELECT count(*) FROM pg_prepared_statements WHERE name LIKE '\\_\\_diesel%') AS text";
    let kept = text(&mut pooled, kept);
    assert!(kept.starts_with("\"$user\", public 0 "), "{kept}");
}
