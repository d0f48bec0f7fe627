//! Row identities. Each table has its own type, so that one id cannot stand in for another.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A run: one row of `chrono_forge_workflows`.
    RunId
);
id!(
    /// A record: one row of `chrono_forge_execution_logs`.
    RecordId
);
id!(
    /// A worker: one row of `chrono_forge_workers`.
    WorkerId
);
id!(
    /// A batch of claims: one row of `chrono_forge_claims`, unique within its worker.
    ClaimId
);
id!(
    /// The claim counter of a run. Every claim raises it, so a write that carries an older
    /// epoch comes from a pass that lost the run.
    Epoch
);
