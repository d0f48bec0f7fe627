//! Migrations are embedded at compile time; without this line a new folder goes unnoticed.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
