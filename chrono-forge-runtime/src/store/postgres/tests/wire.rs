//! A wire between a store and its server that can be cut at a commit: before the server hears of it, or when it has
//! answered and nobody has heard the answer yet.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::store::conformance::backend::postgres::Schema;
use crate::store::postgres::PostgresOptions;

/// Where the next commit is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server never hears of it and rolls back.
    Before = 1,
    /// It is done, and the answer is lost.
    After = 2,
}

/// A wire for any number of connections.
pub(super) struct Wire {
    address: SocketAddr,
    /// The [`Cut`] that waits for a commit; 0 for none.
    armed: Arc<AtomicU8>,
}

impl Wire {
    pub(super) fn to(schema: &Schema) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = schema.server();
        let armed = Arc::new(AtomicU8::new(0));
        let cut = Arc::clone(&armed);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(server).unwrap();
                connect(client, server, &cut);
            }
        });
        Self { address, armed }
    }

    /// The same database by way of this wire.
    pub(super) fn options(&self, schema: &Schema) -> PostgresOptions {
        let options = schema.options();
        // The later parameter wins; the wire reads what is not encrypted.
        let (host, port) = (self.address.ip(), self.address.port());
        let way = format!("host={host}&port={port}&sslmode=disable&gssencmode=disable");
        PostgresOptions {
            url: format!("{}&{way}", options.url),
            ..options
        }
    }

    pub(super) fn cut(&self, at: Cut) {
        self.armed.store(at as u8, Ordering::SeqCst);
    }

    /// Whether a commit has come since.
    pub(super) fn was_cut(&self) -> bool {
        self.armed.load(Ordering::SeqCst) == 0
    }
}

/// What the two directions of a connection know of each other.
#[derive(Default)]
struct Line {
    /// The server waits for more of a transaction.
    in_transaction: AtomicBool,
    /// The next answer must not arrive.
    is_mute: AtomicBool,
}

/// A thread for each direction of one connection.
fn connect(client: TcpStream, server: TcpStream, armed: &Arc<AtomicU8>) {
    let (armed, line) = (Arc::clone(armed), Arc::new(Line::default()));
    let same_line = Arc::clone(&line);
    let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        // Whatever the end: both sides are told.
        let _ = requests(&up, &server, &armed, &line);
        let _ = (up.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let _ = answers(&down, &client, &same_line);
        let _ = (
            client.shutdown(Shutdown::Both),
            down.shutdown(Shutdown::Both),
        );
    });
}

/// From the client to the server, message by message.
fn requests(
    client: &TcpStream,
    mut server: &TcpStream,
    armed: &AtomicU8,
    line: &Line,
) -> std::io::Result<()> {
    server.write_all(&message(client, 0)?)?;
    let mut executes = false;
    loop {
        let message = message(client, 1)?;
        executes |= message[0] == b'E';
        let is_commit = match message[0] {
            b'Q' => message[5..].starts_with(b"COMMIT"),
            // A statement by itself is its own transaction.
            b'S' => std::mem::take(&mut executes) && !line.in_transaction.load(Ordering::SeqCst),
            _ => false,
        };
        if is_commit {
            match armed.swap(0, Ordering::SeqCst) {
                0 => {}
                cut if cut == Cut::Before as u8 => return Ok(()),
                _ => line.is_mute.store(true, Ordering::SeqCst),
            }
        }
        server.write_all(&message)?;
    }
}

/// From the server to the client, up to an answer that must not arrive.
fn answers(server: &TcpStream, mut client: &TcpStream, line: &Line) -> std::io::Result<()> {
    loop {
        let message = message(server, 1)?;
        let is_ready = message[0] == b'Z';
        if is_ready {
            let in_transaction = message[5] != b'I';
            line.in_transaction.store(in_transaction, Ordering::SeqCst);
        }
        if !line.is_mute.load(Ordering::SeqCst) {
            client.write_all(&message)?;
        } else if is_ready {
            // All of it was swallowed: the transaction is over.
            return Ok(());
        }
    }
}

/// One message: its type, if it has one, its length and the rest.
fn message(mut from: &TcpStream, type_bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; type_bytes + 4];
    from.read_exact(&mut message)?;
    let length = message.last_chunk().map_or(0, |it| u32::from_be_bytes(*it));
    message.resize(type_bytes + (length as usize).max(4), 0);
    from.read_exact(&mut message[type_bytes + 4..])?;
    Ok(message)
}
