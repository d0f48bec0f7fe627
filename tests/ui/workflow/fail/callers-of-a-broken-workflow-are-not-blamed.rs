use chrono_forge::prelude::*;

#[workflow]
async fn run(name: &str) -> Result<usize> {
    let parts = step!("split", { Ok(name.len()) }).await?;
    Ok(parts)
}

fn caller() {
    let invocation = run("a name");
    let _ = (invocation.erase(), <run as Workflow>::NAME);
}

fn main() {}
