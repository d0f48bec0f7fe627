//! A process to be killed: `victim <url> [--lease-ms n] [--heartbeat-ms n] [--poll-ms n] [--grace-ms n]
//! [--wal-bytes-max n] [--queue name] [--clock file] [--backup file]`.
//!
//! Serves until SIGTERM, and then shuts down gracefully. Says `ready` once it is open.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono_forge::Forge;
use chrono_forge::prelude::*;
// Links the workflows, too.
use chrono_forge_tests::soak::SetClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let url = words.next().unwrap_or_default();
    let mut builder = Forge::builder(&url);
    let millis = |text: &str| Ok::<_, anyhow::Error>(Duration::from_millis(text.parse()?));
    let mut backup = None;
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        builder = match &*flag {
            "--lease-ms" => builder.lease(millis(&value)?),
            "--heartbeat-ms" => builder.heartbeat(millis(&value)?),
            "--poll-ms" => builder.poll_interval(millis(&value)?),
            "--grace-ms" => builder.shutdown_grace(millis(&value)?),
            "--clock" => builder.clock(Arc::new(SetClock::by(&value))),
            "--wal-bytes-max" => builder.wal_bytes_max(value.parse()?),
            "--backup" => {
                backup = Some(value);
                builder
            }
            "--queue" => builder.queue(&value, 16),
            _ => anyhow::bail!("unknown flag {flag}"),
        };
    }
    let forge = builder.open().await?;
    writeln!(std::io::stdout(), "ready")?;
    if let Some(path) = backup {
        forge.backup(path).await?;
    }
    forge.serve().await?;
    Ok(())
}
