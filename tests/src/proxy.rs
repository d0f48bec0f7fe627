//! A stretch of network between workers and a server that a test can cut, freeze, or rob of one reply.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Forwards connections to a server's port.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Nothing passes in either direction; what is sent waits.
    is_frozen: AtomicBool,
    /// New connections are closed at once.
    is_cut: AtomicBool,
    /// The next request that contains this text still reaches the server; its reply does not come back.
    robbed: Mutex<Option<Robbery>>,
    robberies: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

struct Robbery {
    text: Vec<u8>,
    /// Of those requests, how many pass first.
    spared: usize,
}

impl Proxy {
    /// A proxy to this port of this machine.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !shared.is_cut.load(Ordering::Acquire) {
                    forward(client, server_port, &shared);
                }
            }
        });
        Self { port, state }
    }

    /// Its own port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing pass any more, and tells nobody: as a cable that is pulled.
    pub fn freeze(&self) {
        self.state.is_frozen.store(true, Ordering::Release);
    }

    /// Lets pass again what is sent, and what waited.
    pub fn thaw(&self) {
        self.state.is_frozen.store(false, Ordering::Release);
    }

    /// Closes every connection, and refuses new ones.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::Release);
        self.state.close_all();
    }

    /// Accepts connections again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::Release);
    }

    /// The reply to a request that contains this text is lost, and the connection with it; `spared` such
    /// requests pass first.
    pub fn rob(&self, text: &str, spared: usize) {
        let robbery = Robbery {
            text: text.as_bytes().to_vec(),
            spared,
        };
        *self.state.lock_robbery() = Some(robbery);
    }

    /// How many replies were lost so far.
    #[must_use]
    pub fn robberies(&self) -> usize {
        self.state.robberies.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.thaw();
    }
}

impl State {
    fn lock_robbery(&self) -> std::sync::MutexGuard<'_, Option<Robbery>> {
        self.robbed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_all(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for stream in open {
            // The other side may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether the reply to this request is to be lost.
    fn robs(&self, request: &[u8]) -> bool {
        let mut robbery = self.lock_robbery();
        let Some(planned) = robbery.as_mut() else {
            return false;
        };
        let length = planned.text.len();
        // An empty text means any request.
        let is_meant = length == 0 || request.windows(length).any(|piece| piece == planned.text);
        if !is_meant {
            return false;
        }
        if planned.spared > 0 {
            planned.spared -= 1;
            return false;
        }
        *robbery = None;
        true
    }

    fn await_thaw(&self) {
        while self.is_frozen.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn forward(client: TcpStream, server_port: u16, state: &Arc<State>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else {
        return;
    };
    let copies = (client.try_clone(), server.try_clone());
    let (Ok(client_copy), Ok(server_copy)) = copies else {
        return;
    };
    if let (Ok(one), Ok(other)) = (client.try_clone(), server.try_clone()) {
        let mut open = state.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend([one, other]);
    }
    let is_robbed = Arc::new(AtomicBool::new(false));
    let (up, down) = (Arc::clone(state), Arc::clone(state));
    let told = Arc::clone(&is_robbed);
    std::thread::spawn(move || {
        copy(client, server, &up, |bytes| {
            if up.robs(bytes) {
                told.store(true, Ordering::Release);
            }
            true
        });
    });
    std::thread::spawn(move || {
        copy(server_copy, client_copy, &down, |_| {
            let lost = is_robbed.load(Ordering::Acquire);
            if lost {
                down.robberies.fetch_add(1, Ordering::AcqRel);
            }
            !lost
        });
    });
}

/// Copies until one side ends, or `passes` says that this piece is lost: then both sides are closed.
fn copy(mut from: TcpStream, mut to: TcpStream, state: &State, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        state.await_thaw();
        if !passes(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
