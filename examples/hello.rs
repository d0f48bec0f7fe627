//! The smallest workflow: two steps, each done once, whatever happens in between.

use chrono_forge::prelude::*;

#[workflow]
async fn hello(name: String) -> Result<String> {
    // A step's result is recorded before the body goes on. After a crash the body runs again from
    // its top, and gets recorded results instead of doing their work twice.
    let greeting = step!(greet(&name)).await?;
    let length = step!("measure", { Ok(greeting.len()) }).await?;
    Ok(format!("{greeting} ({length} bytes)"))
}

async fn greet(name: &str) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "this is the application")]
async fn main() -> Result<()> {
    anyhow::ensure!(
        std::env::args().len() == 1,
        "this example takes no arguments"
    );
    // A file, "sqlite://hello.db", would outlive the process; memory is enough to see it work.
    let forge = Forge::open("sqlite::memory:").await?;
    let run = forge.start("first", hello("world".into())).await?;
    println!("{}", run.result().await?);
    // The key is taken: this is the same run, and its result is the recorded one.
    let same = forge.start("first", hello("moon".into())).await?;
    println!("{}", same.result().await?);
    forge.shutdown().await;
    Ok(())
}
