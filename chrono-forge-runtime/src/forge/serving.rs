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
    /// [`Error::Signals`] when the process may not listen for signals.
    pub async fn serve(&self) -> Result<(), Error> {
        let refused = |error: std::io::Error| Error::Signals {
            problem: error.to_string(),
        };
        let mut signals = Signals::new().map_err(refused)?;
        let name = tokio::select! {
            name = signals.next() => name.map_err(refused)?,
            () = self.lifecycle.ended() => return Ok(()),
        };
        tracing::info!(target: TARGET, signal = name, "asked to stop: passes are brought to a durable point");
        let shutdown = async {
            self.shutdown().await;
            self.lifecycle.ended().await;
        };
        tokio::pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            _ = signals.next() => {}
        }
        tracing::warn!(target: TARGET, "asked to stop again: what still executes is cut off");
        self.lifecycle.cut_off();
        shutdown.await;
        Ok(())
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
