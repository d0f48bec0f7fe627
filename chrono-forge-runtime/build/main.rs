//! Migrations are embedded at compile time; without this a new folder goes unnoticed. And a program
//! that lacks libpq should hear of it now, not from the linker once everything is compiled.

#![allow(
    clippy::print_stdout,
    reason = "cargo hears a build script by what it prints"
)]

mod libpq;

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed={}", libpq::SKIP);
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !has("POSTGRES") || has("POSTGRES_BUNDLED") {
        return;
    }
    if let Some(problem) = libpq::problem(&|name| env::var(name).ok()) {
        println!("cargo::error={problem}");
    }
}
