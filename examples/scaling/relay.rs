//! A stretch of network between two addresses of one machine.

use std::net::SocketAddr;

use chrono_forge::prelude::*;
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on until the process ends. Stopped by a signal it lets nothing pass and tells nobody.
pub(crate) async fn pass_on(from: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(from).await?;
    loop {
        let (mut near, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                // Either side may go at any time.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
