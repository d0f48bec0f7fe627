//! A process to be killed: `victim <db> [--lease-ms n] [--heartbeat-ms n] [--queue name]`.
//!
//! Works until SIGTERM, and then shuts down gracefully. Says `ready` once it is open.

use std::io::Write;
use std::time::Duration;

use chrono_forge::Forge;
use chrono_forge::prelude::*;
// Links the workflows.
use chrono_forge_tests as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let db = words.next().unwrap_or_default();
    let mut builder = Forge::builder(&format!("sqlite://{db}"));
    let millis = |text: &str| Ok::<_, anyhow::Error>(Duration::from_millis(text.parse()?));
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        builder = match &*flag {
            "--lease-ms" => builder.lease(millis(&value)?),
            "--heartbeat-ms" => builder.heartbeat(millis(&value)?),
            "--queue" => builder.queue(&value, 16),
            _ => anyhow::bail!("unknown flag {flag}"),
        };
    }
    let forge = builder.open().await?;
    writeln!(std::io::stdout(), "ready")?;
    terminated().await?;
    forge.shutdown().await;
    Ok(())
}

#[cfg(unix)]
async fn terminated() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminated() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
