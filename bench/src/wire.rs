//! A wire that counts round trips: how often a client asked and waited for the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};

/// Passes everything on, for as long as the process lives.
pub struct Wire {
    url: String,
    trips: Arc<AtomicU64>,
}

impl Wire {
    /// In front of the server of this URL, which names its host.
    pub fn before(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("a URL")?;
        let (authority, path) = rest.split_once('/').context("a URL with a database")?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), authority),
        };
        let host = match host.contains(':') {
            true => host.to_owned(),
            false => format!("{host}:5432"),
        };
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let here = listener.local_addr()?;
        let joint = if path.contains('?') { '&' } else { '?' };
        let trips = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&trips);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(&host) {
                    join(&client, &server, &counted);
                }
            }
        });
        Ok(Self {
            // What is encrypted cannot be told from a handshake, and takes more trips to begin with.
            url: format!("{scheme}://{user}{here}/{path}{joint}sslmode=disable"),
            trips,
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// So far.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }
}

fn join(client: &TcpStream, server: &TcpStream, trips: &Arc<AtomicU64>) {
    // Whether the server has spoken since the client last did.
    let answered = Arc::new(AtomicBool::new(true));
    let (asks, answers) = (Arc::clone(&answered), answered);
    let trips = Arc::clone(trips);
    pass(client, server, move || {
        if asks.swap(false, Ordering::Relaxed) {
            trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    pass(server, client, move || {
        answers.store(true, Ordering::Relaxed)
    });
}

fn pass(from: &TcpStream, to: &TcpStream, note: impl Fn() + Send + 'static) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    let _ = to.set_nodelay(true);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(bytes) = from.read(&mut buffer) {
            note();
            if bytes == 0 || to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
