//! Working until the process is asked to stop.

use super::Forge;
use crate::error::Error;
use crate::telemetry::TARGET;

impl Forge {
    /// Works until the process is asked to stop, by SIGTERM or SIGINT (Ctrl-C elsewhere than on Unix), and then
    /// shuts down as [`Forge::shutdown`] does: passes reach a durable point within the
    /// [grace](super::Builder::shutdown_grace), what still executes is cut off and goes on elsewhere at once. A
    /// second signal ends the grace. Returns when everything is handed back, also when somebody else called
    /// `shutdown`: the process may end.
    ///
    /// ```no_run
    /// # use chrono_forge_runtime::{error::Error, forge::Forge};
    /// # async fn example() -> Result<(), Error> {
    /// let forge = Forge::builder("sqlite://jobs.db").open().await?;
    /// forge.serve().await
    /// # }
    /// ```
    ///
    /// Set the time that your platform gives a process between SIGTERM and SIGKILL to a little more than the
    /// grace.
    ///
    /// # Errors
    /// [`Error::ServedFromWithin`] in a step or a body of this very engine, which the shutdown
    /// would wait for; [`Error::Signals`] when the process may not listen for signals;
    /// [`Error::Stopped`] when a part of the engine died, so that there is nothing left to serve.
    pub async fn serve(&self) -> Result<(), Error> {
        if self.lifecycle.is_asked_from_within() {
            return Err(Error::ServedFromWithin);
        }
        let refused = |error: std::io::Error| Error::Signals {
            problem: error.to_string(),
        };
        let mut signals = self.signals().map_err(refused)?;
        let name = tokio::select! {
            name = signals.next() => name.map_err(refused)?,
            ended = self.lifecycle.ended() => return ended,
        };
        tracing::info!(target: TARGET, signal = name, "asked to stop: passes are brought to a durable point");
        let shutdown = async {
            self.shutdown().await;
            self.lifecycle.ended().await
        };
        tokio::pin!(shutdown);
        tokio::select! {
            ended = &mut shutdown => return ended,
            _ = signals.next() => {}
        }
        tracing::warn!(target: TARGET, "asked to stop again: what still executes is cut off");
        self.lifecycle.cut_off();
        shutdown.await
    }

    /// On the engine's runtime, since the caller may live elsewhere. Without a driver for them tokio panics.
    fn signals(&self) -> std::io::Result<Signals> {
        let _entered = self.host().runtime().enter();
        std::panic::catch_unwind(Signals::new).unwrap_or_else(|_| {
            let problem =
                "the engine's runtime has no driver for them (build it with `enable_all()`)";
            Err(std::io::Error::other(problem))
        })
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next request to stop.
    async fn next(&mut self) -> std::io::Result<&'static str> {
        tokio::select! {
            _ = self.terminate.recv() => Ok("SIGTERM"),
            _ = self.interrupt.recv() => Ok("SIGINT"),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// The next request to stop.
    async fn next(&mut self) -> std::io::Result<&'static str> {
        tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
    }
}
