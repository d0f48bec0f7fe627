#![deny(warnings, clippy::all)]
// Everything that generated code could name carelessly, taken by the user.
#![allow(dead_code, unused_macros, clippy::all)]

struct Result;
struct Option;
struct String;
struct Vec;
struct Box;
struct Ok;
struct Some;
struct None;
struct Context;
struct Clone;
struct Send;
mod core {}
mod std {}

macro_rules! format {
    ($($tokens:tt)*) => {
        compile_error!("the user's own")
    };
}

macro_rules! concat {
    ($($tokens:tt)*) => {
        compile_error!("the user's own")
    };
}

macro_rules! module_path {
    ($($tokens:tt)*) => {
        compile_error!("the user's own")
    };
}

type Outcome<T> = ::std::result::Result<T, ::std::io::Error>;

async fn double(n: u32) -> Outcome<u32> {
    Outcome::Ok(2 * n)
}

#[chrono_forge::workflow]
async fn shadowed(n: u32) -> ::std::result::Result<u32, chrono_forge::StepError> {
    let a = chrono_forge::step!("double-{n}", double(n)).await?;
    chrono_forge::step!("block", { ::std::result::Result::Ok(double(n).await?) }).await?;
    let children = chrono_forge::branch!("b", {
        chrono_forge::spawn_each!("c", [1u32], |n| shadowed(n))
    })
    .await;
    drop(children);
    Outcome::Ok(a).map_err(|_| ::core::unreachable!())
}
