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
    /// A batch of claims: one row of `chrono_forge_claims`, unique within its worker.
    ClaimId
);
id!(
    /// Tells one life of a worker from another that was given the same id: a random number in its row. A database
    /// that is set back to an older copy gives ids out again, but not these.
    Incarnation
);
id!(
    /// The lock of one claim of a run. Its upper half counts the claims, so that every claim raises it and a write
    /// that carries an older one comes from a pass that lost the run. Its lower half is random, and new for each
    /// batch of claims: on a database that was set back to an older copy, run, worker and count may all be those
    /// of a claim that this copy has never seen, and a pass of that claim must find nothing to write to.
    Epoch
);

impl Incarnation {
    /// That of a new life.
    #[must_use]
    pub fn draw() -> Self {
        Self(fastrand::i64(1..))
    }
}

/// A worker: one row of `chrono_forge_workers`, in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub i64, pub Incarnation);

impl WorkerId {
    /// Not a worker: no row has this id.
    pub const NOBODY: Self = Self(0, Incarnation(0));
}

impl std::fmt::Display for WorkerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The random half of an [`Epoch`].
#[derive(Clone, Copy, Debug)]
pub struct Nonce(i64);

impl Nonce {
    /// That of a new batch of claims.
    #[must_use]
    pub fn draw() -> Self {
        // Never 0, which runs have that nobody holds.
        Self(fastrand::u32(1..).into())
    }

    /// As statements take it.
    #[must_use]
    pub fn bits(self) -> i64 {
        self.0
    }
}

impl Epoch {
    /// That of a run which is claimed as it is inserted.
    #[must_use]
    pub fn first(nonce: Nonce) -> Self {
        Self(0).next(nonce)
    }

    /// That of the claim which follows.
    #[must_use]
    pub fn next(self, nonce: Nonce) -> Self {
        Self(((self.0 >> 32).wrapping_add(1) << 32) | nonce.0)
    }

    /// How often the run was claimed, or taken from who held it.
    #[must_use]
    pub fn claims(self) -> i64 {
        self.0 >> 32
    }
}
