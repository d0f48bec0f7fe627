//! Mistakes in a workflow's definition: never a value, never retried.

use crate::record::keys::shown;

/// What the arguments of a run are read as.
pub(crate) const PARAMETERS: &str = "the workflow's parameters";

/// A rule of the vocabulary was broken. The run fails at once with an error row that holds this
/// text; user code cannot catch it, since the operation that found it never completes.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A key is empty, blank or too long, contains `$` or a null character, or a branch name
    /// contains `,`.
    #[error(
        "{place}: the key {:?} {problem}; keys name rows, so use letters, digits, `-`, `_`, `.`, `:`",
        shown(key)
    )]
    BadKey {
        place: String,
        key: String,
        problem: &'static str,
    },

    /// The key of a child is longer than 8 KiB: branches nest without end, or their names are long.
    #[error(
        "{place}: the key of a child has {bytes} bytes, {limit} are the limit; a child's key holds those of all runs above it: end the recursion, nest less deeply, or use shorter names"
    )]
    ChildKeyTooLong {
        place: String,
        bytes: usize,
        limit: usize,
    },

    /// The same key was reached twice in one pass.
    #[error(
        "{place} was reached twice in one pass; one key is one operation: put what differs into the key, as in step!(\"charge-{{i}}\", ..)"
    )]
    DuplicateKey { place: String },

    /// The block of a branch has used this key, in this pass or in an earlier one, for a step of its own.
    #[error(
        "{place}: the block of branch!({:?}) has a step of this key; a block keeps the keys of its steps for the whole run, so give this one a key of its own",
        shown(branch)
    )]
    KeyOfBlock { place: String, branch: String },

    /// A value does not survive encoding, or those bytes do not read back.
    #[error(
        "{place}: a value of type `{type_name}` cannot be stored ({problem}); store a type whose JSON reads back as itself: no NaN or infinity, string keys in maps, serde attributes that agree both ways"
    )]
    Unstorable {
        place: String,
        type_name: &'static str,
        problem: String,
    },

    /// Stored bytes do not read back as the type that the code now asks for. The run stalls at
    /// them, and loses nothing: a build that reads them goes on with `forge.retry`.
    #[error(
        "{place}: the stored value does not read as `{type_name}` ({problem}); nothing is lost: deploy a build that reads it (`Option`, #[serde(default)], #[serde(alias)] keep old values readable), then call forge.retry"
    )]
    Undecodable {
        place: String,
        type_name: &'static str,
        problem: String,
    },

    /// A value is larger than the configured limit.
    #[error(
        "{place}: {bytes} bytes exceed the limit of {limit} bytes a value; store the data elsewhere and record its address, or raise `payload_bytes_max`"
    )]
    TooLarge {
        place: String,
        bytes: usize,
        limit: usize,
    },

    /// Branches were opened, and neither merged nor given up: a join or a dispatch is given up where its
    /// future is dropped, as when it loses a `select!`.
    #[error(
        "branch {names} was opened but never merged; write merge!(..) before the body ends, or branch!(.., automerge = true, ..), or give its children up: drop(merge!(..))"
    )]
    UnmergedBranch { names: String },

    /// `merge!` of a name that no `branch!` opened in this pass.
    #[error(
        "merge of `{0}`: no branch of that name was opened in this pass; open it with branch!({0:?}, ..) first",
        shown(name)
    )]
    UnknownBranch { name: String },

    /// `spawn!` or `spawn_each!` outside a branch block.
    #[error(
        "spawn `{0}` stands outside a branch block; children belong to a branch: branch!(\"..\", {{ spawn!({0:?}, ..) }})",
        shown(name)
    )]
    SpawnOutsideBranch { name: String },

    /// A durable operation that may not stand in a branch block or a step body.
    #[error("{place} cannot stand inside {inside}; {remedy}")]
    NotHere {
        place: String,
        inside: String,
        remedy: &'static str,
    },

    /// `of` of a `spawn_each!` is zero or beyond its bound.
    #[error("spawn_each `{}`: of = {of} is not between 1 and 10000", shown(name))]
    BadBatch { name: String, of: u64 },

    /// The schedule of a `repeat!` cannot be.
    #[error("{place}: {problem}")]
    BadSchedule { place: String, problem: String },

    /// The result of another run was awaited inside a pass, where it would hold a slot.
    #[error(
        "the result of run `{key}` was awaited inside a workflow; it would hold a slot while it waits; spawn it as a child and merge it"
    )]
    AwaitedRun { key: String },

    /// `forge.settled()` was awaited inside a pass, which is itself what it would wait for.
    #[error(
        "forge.settled() was awaited inside a workflow, for whose end it would wait; await it outside of workflows"
    )]
    AwaitedItself,

    /// A child was spawned that this process would serve if it had been given a state.
    #[error(
        "{place}: it takes State<{state}>, which the builder was not given, so `serving` left it out; add .state({state} {{ .. }})"
    )]
    MissingState { place: String, state: &'static str },

    /// A child was spawned whose workflow is another application's in this database.
    #[error("{place}: {problem}")]
    OtherApplication { place: String, problem: String },

    /// The database refused this run's bytes for good.
    #[error("the database refused the data of this run: {problem}")]
    Refused { problem: String },
}

impl DefinitionError {
    /// The class under which its error row is recorded.
    pub const CLASS: &'static str = "chrono_forge::DefinitionError";
}
