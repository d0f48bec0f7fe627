//! Waiting for a session: told while it lasts, since whatever needs the session waits, too.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::Source;
use crate::telemetry::TARGET;

/// A session is there within milliseconds. Longer than this it is waited for in a line, as before a
/// pooler whose sessions are all taken.
const SOON: Duration = Duration::from_secs(2);

/// Tells if this takes long.
pub(super) fn told<T>(source: &Source, open: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    // Whoever hears this thread hears that one, too.
    let ear = tracing::dispatcher::get_default(Clone::clone);
    std::thread::scope(|scope| {
        // Who cannot be watched is opened all the same.
        let _ = std::thread::Builder::new()
            .name("chrono-forge-wait".to_owned())
            .spawn_scoped(scope, move || {
                if is_done.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
                    tracing::dispatcher::with_default(&ear, || tell(source));
                }
            });
        let opened = open();
        drop(done);
        opened
    })
}

fn tell(source: &Source) {
    let options = &source.options;
    match &source.lender {
        Some(lender) => {
            let needed = options.connections(options.executes);
            let pool = lender.told();
            tracing::warn!(target: TARGET, needed, pool, "no session for 2 s: this engine keeps up to `needed` of the pool that lends its connections; give it a larger `max_size`, or ask for fewer (`.readers(..)`, `.writers(..)`)");
        }
        None => {
            let needed = options.sessions();
            tracing::warn!(target: TARGET, needed, "no session for 2 s: this engine keeps up to `needed` of them; raise `max_connections` of the server (`default_pool_size` of a pooler), or ask for fewer (`.readers(..)`, `.writers(..)`)");
        }
    }
}
