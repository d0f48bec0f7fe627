//! Whether the tests of PostgreSQL can run: the runner lists those that cannot as ignored, and only the
//! compiler can tell it so.

const URL: &str = "CHRONO_FORGE_TEST_POSTGRES_URL";

fn main() {
    println!("cargo::rerun-if-env-changed={URL}");
    println!("cargo::rustc-check-cfg=cfg(postgres_under_test)");
    let has_server = std::env::var(URL).is_ok_and(|url| !url.is_empty());
    if has_server && std::env::var_os("CARGO_FEATURE_POSTGRES").is_some() {
        println!("cargo::rustc-cfg=postgres_under_test");
    }
}
