//! Sleeping until the server sends something, or until the end.
//!
//! libpq gives the descriptor of its socket to unsafe code only. But it is the one socket that this
//! process has once it is connected and had not before; only where others open theirs at the same
//! moment nobody knows which one it is. Then, and on systems that do not list descriptors, the
//! socket is looked at now and then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

/// Between two looks at a socket that is not known, while somebody waits for what may come.
const LOOK_SOON: Duration = Duration::from_millis(3);

/// Between two such looks otherwise. Each wakes a thread, which is all that an idle process does.
const LOOK_LATE: Duration = Duration::from_millis(50);

const SOCKET: Token = Token(0);
const END: Token = Token(1);

/// Ends every sleep of the one that it belongs to.
#[derive(Clone, Debug)]
pub(in crate::store::postgres) struct End(Arc<Waker>);

impl End {
    pub(in crate::store::postgres) fn tell(&self) {
        // Who cannot be woken wakes up soon.
        let _ = self.0.wake();
    }
}

pub(super) struct Sleep {
    poll: Poll,
    events: Events,
    /// The descriptor of the connection's socket.
    socket: Option<i32>,
    is_over: bool,
}

impl Sleep {
    pub(super) fn new() -> io::Result<(Self, End)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), END)?;
        let sleep = Self {
            poll,
            events: Events::with_capacity(2),
            socket: None,
            is_over: false,
        };
        Ok((sleep, End(Arc::new(waker))))
    }

    /// Whether it ends with what the server sends.
    pub(super) fn is_told(&self) -> bool {
        self.socket.is_some()
    }

    /// Of a connection that is made anew by this. A socket that was known is closed, and with it
    /// forgotten.
    pub(super) fn connecting<T, E>(
        &mut self,
        connect: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.socket = None;
        let before = sockets::open();
        // Without a connection what is new is somebody else's.
        let connected = connect()?;
        let mut new = sockets::open();
        new.retain(|number, _| !before.contains_key(number));
        let mut new = new.into_values();
        if let (Some(socket), None) = (new.next(), new.next()) {
            let is_known = sockets::register(&self.poll, socket, SOCKET);
            self.socket = is_known.then_some(socket);
        }
        Ok(connected)
    }

    /// Sleeps for so long at most; while somebody is `awaited`, a socket that is not known is
    /// looked at more often. Whether it was told of its end.
    pub(super) fn until_told(&mut self, at_most: Duration, is_awaited: bool) -> bool {
        if self.is_over {
            return true;
        }
        let is_armed = self
            .socket
            .is_some_and(|socket| sockets::rearm(&self.poll, socket, SOCKET));
        if !is_armed {
            self.socket = None;
        }
        let look = if is_awaited { LOOK_SOON } else { LOOK_LATE };
        let at_most = if is_armed { at_most } else { at_most.min(look) };
        // A signal may end it early, which is no harm; what cannot sleep must not run in circles.
        if let Err(error) = self.poll.poll(&mut self.events, Some(at_most))
            && error.kind() != io::ErrorKind::Interrupted
        {
            std::thread::sleep(at_most.min(LOOK_LATE));
        }
        self.is_over = self.events.iter().any(|event| event.token() == END);
        self.is_over
    }
}

/// Sockets by number and place: a number stands for one socket as long as the system is up.
#[cfg(target_os = "linux")]
mod sockets {
    use std::collections::BTreeMap;

    use mio::unix::SourceFd;
    use mio::{Interest, Poll, Token};

    /// Those that this process has open.
    pub(super) fn open() -> BTreeMap<u64, i32> {
        let Ok(all) = std::fs::read_dir("/proc/self/fd") else {
            return BTreeMap::new();
        };
        let socket = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            let target = std::fs::read_link(entry.path()).ok()?;
            let number = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            let at = entry.file_name().to_str()?.parse().ok()?;
            Some((number.parse().ok()?, at))
        };
        all.filter_map(socket).collect()
    }

    pub(super) fn register(poll: &Poll, socket: i32, token: Token) -> bool {
        let source = &mut SourceFd(&socket);
        poll.registry()
            .register(source, token, Interest::READABLE)
            .is_ok()
    }

    /// What came while nobody slept ends the next sleep, too. Of a socket that was closed this
    /// fails.
    pub(super) fn rearm(poll: &Poll, socket: i32, token: Token) -> bool {
        let source = &mut SourceFd(&socket);
        poll.registry()
            .reregister(source, token, Interest::READABLE)
            .is_ok()
    }
}

/// Where nobody lists them.
#[cfg(not(target_os = "linux"))]
mod sockets {
    use std::collections::BTreeMap;

    use mio::{Poll, Token};

    pub(super) fn open() -> BTreeMap<u64, i32> {
        BTreeMap::new()
    }

    pub(super) fn register(_: &Poll, _: i32, _: Token) -> bool {
        false
    }

    pub(super) fn rearm(_: &Poll, _: i32, _: Token) -> bool {
        false
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    /// The other tests of this process open sockets, too.
    fn known() -> (Sleep, End, UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut sleep, end) = Sleep::new().unwrap();
        assert!(sockets::register(&sleep.poll, near.as_raw_fd(), SOCKET));
        sleep.socket = Some(near.as_raw_fd());
        (sleep, end, near, far)
    }

    #[test]
    fn what_came_before_a_sleep_or_within_it_ends_it() {
        let (mut sleep, _end, mut near, mut far) = known();
        far.write_all(b"one").unwrap();
        sleep.until_told(LONG, false);
        // What was not taken is not forgotten.
        sleep.until_told(LONG, false);
        near.read_exact(&mut [0; 3]).unwrap();
        let begun = Instant::now();
        sleep.until_told(SHORT, false);
        assert!(begun.elapsed() >= SHORT && sleep.is_told());
        let late = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            far.write_all(b"two").unwrap();
            far
        });
        sleep.until_told(LONG, false);
        drop(late.join().unwrap());
        // The end of a connection is something that comes, too.
        sleep.until_told(LONG, false);
    }

    #[test]
    fn the_end_is_told_to_who_sleeps_and_to_who_will() {
        let (mut sleep, end, _near, _far) = known();
        end.tell();
        assert!(sleep.until_told(LONG, false));
        let late = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            end.tell();
        });
        assert!(sleep.until_told(LONG, false));
        late.join().unwrap();
    }

    #[test]
    fn a_socket_that_is_not_known_is_looked_at_now_and_then() {
        let (mut sleep, _end, near, _far) = known();
        drop(near);
        let begun = Instant::now();
        sleep.until_told(LONG, false);
        assert!(!sleep.is_told() && begun.elapsed() < LONG / 2);
    }

    #[test]
    fn the_socket_of_a_connection_is_the_only_one_that_is_new() {
        let (mut sleep, _end) = Sleep::new().unwrap();
        // Another test may open one just then: then none is taken, and never a wrong one.
        let is_found = (0..1_000).any(|_| {
            let made = sleep.connecting(UnixDatagram::unbound).unwrap();
            assert!(sleep.socket.is_none_or(|socket| socket == made.as_raw_fd()));
            sleep.is_told()
        });
        assert!(is_found);
        let _two = sleep.connecting(UnixStream::pair).unwrap();
        assert!(!sleep.is_told());
        let old = UnixDatagram::unbound().unwrap();
        let _same = sleep.connecting(|| old.try_clone()).unwrap();
        assert!(!sleep.is_told());
    }
}
