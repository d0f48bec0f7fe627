//! Opens a database as whoever it is started as, and says what came of it: `opened`, or the error's kind and its text.
#![allow(clippy::print_stdout, reason = "this is its answer")]

use chrono_forge::{Error, Forge};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_default();
    let is_worker = arguments.next().as_deref() != Some("client");
    match Forge::builder(&url).worker(is_worker).open().await {
        Ok(forge) => {
            forge.shutdown().await;
            println!("opened");
        }
        Err(Error::Store(error)) => println!("{:?} {error}", error.kind),
        Err(error) => println!("{error:?}"),
    }
}
