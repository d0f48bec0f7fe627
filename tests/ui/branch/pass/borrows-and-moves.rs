#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn send(name: String, prefix: String) -> Result<u32> {
    drop((name, prefix));
    Ok(1)
}

struct Prefix(String);

#[workflow]
async fn moves(prefix: State<Prefix>, names: Vec<String>, more: Vec<String>) -> Result<usize> {
    let b = branch!("names", {
        let borrowed = spawn_each!("borrowed", more.clone(), |name| send(
            name,
            prefix.0.clone()
        ));
        let moved = spawn_each!("moved", names, |name| send(name, more.join(",")));
        (borrowed, moved)
    })
    .await?;
    Ok(merge!(b).await?.1.len() + more.len())
}
