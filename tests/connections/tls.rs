//! TLS is libpq's: the URL says how much of it is wanted.

use std::path::Path;
use std::process::Command;

use chrono_forge::StoreErrorKind;
use chrono_forge_tests::server::Server;

use crate::world::{bounded, connect, engine, prove, refusal, server_of, text};

/// A certificate for 127.0.0.1 that is its own authority, with its key: at `<name>.crt` and `<name>.key`.
fn certificate(folder: &Path, name: &str) -> Result<(), String> {
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .arg("-keyout")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.crt")))
        .output()
        .map_err(|error| format!("openssl does not run: {error}"))?;
    match made.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
    }
}

fn encrypted(folder: &Path) -> Result<Server, String> {
    certificate(folder, "server")?;
    certificate(folder, "stranger")?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (certificate, key) = (read("server.crt"), read("server.key"));
    Server::start_with(
        "ssl = on",
        &[("server.crt", &certificate), ("server.key", &key)],
    )
}

#[test]
fn a_server_is_trusted_by_its_certificate_only() {
    let test = "a_server_is_trusted_by_its_certificate_only";
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = server_of(test, encrypted(folder.path())) else {
        return;
    };
    let of = |root: &str| {
        let root = folder.path().join(root).display().to_string();
        server.url(&format!("sslmode=verify-full&sslrootcert={root}"))
    };
    bounded(async {
        let forge = engine(&of("server.crt")).open().await.unwrap();
        prove(&forge, "a").await;
        let mut conn = connect(&server.url("sslmode=require"));
        let plain = "SELECT count(*) FILTER (WHERE NOT ssl) || ' of ' || (count(*) > 1) AS text
            FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend'";
        assert_eq!(text(&mut conn, plain), "0 of true");
        forge.shutdown().await;

        let (kind, text) = refusal(engine(&of("stranger.crt"))).await;
        assert_eq!(kind, StoreErrorKind::Access, "{text}");
        assert!(text.contains("certificate verify failed"), "{text}");
        let (kind, text) = refusal(engine(&of("missing.crt"))).await;
        assert_eq!(kind, StoreErrorKind::Access, "{text}");
        assert!(text.contains("missing.crt"), "{text}");
        assert!(
            text.contains("`sslrootcert=`") && !text.contains("migrate"),
            "{text}"
        );
    });
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    let test = "a_server_without_tls_is_refused_where_tls_is_required";
    let Some(server) = server_of(test, Server::start()) else {
        return;
    };
    bounded(async {
        let (kind, text) = refusal(engine(&server.url("sslmode=require"))).await;
        assert_eq!(kind, StoreErrorKind::Access, "{text}");
        assert!(text.contains("does not support SSL"), "{text}");
    });
}
