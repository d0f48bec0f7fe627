//! What only PostgreSQL has: many sessions on the same rows, calls between them, connections that are lost.

/// Leaves a test that needs a server, by name, where there is none.
macro_rules! skip_without_server {
    () => {
        if let Some(remedy) = crate::store::conformance::backend::postgres::missing() {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            crate::store::conformance::tell_skipped(&name, remedy);
            return;
        }
    };
}

mod calls;
mod claims;
mod deaths;
mod deploys;
mod lent;
mod locks;
mod lost;
mod parents;
mod plans;
mod recounts;
mod settings;
mod side;
mod wire;
