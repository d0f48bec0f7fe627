//! What a session is told before it is used: where the tables are, how long anything may take, how to plan.

use std::time::Duration;

use crate::store::postgres::location::PostgresOptions;

/// How long a look may take.
const READ_MAX: Duration = Duration::from_secs(30);

/// How long an export may wait for its file between two looks; until then nothing is vacuumed behind it.
const EXPORT_IDLE_MAX: Duration = Duration::from_secs(600);

/// How long a change of the schema waits for a lock: whoever comes behind it has to wait, too, a
/// heartbeat among them, which waits somewhat longer before it gives up. Longer than the second
/// after which a server takes the lock from a vacuum of its own (`deadlock_timeout`), unless the
/// lease is short.
const CHANGE_LOCK_MAX: Duration = Duration::from_millis(1500);

/// How long a batch waits for a lock. A commit of somebody else who works holds one for a few milliseconds; who
/// holds it for longer is left behind, and the others of the batch go on.
const BATCH_LOCK_MIN: Duration = Duration::from_millis(20);
const BATCH_LOCK_MAX: Duration = Duration::from_millis(250);

/// A name and its value, as SQL.
pub(super) type Setting = (&'static str, String);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::postgres) enum Purpose {
    /// As [`Write`](Self::Write), for heartbeats.
    Beat,
    /// Writes: statements pinned to the indexes, each done well before half a lease.
    Write,
    /// The same for batches: a lock is waited for only so long that whoever shares the batch can wait, too.
    Batch,
    /// The same for calls: whoever comes behind one can wait no longer than a batch does.
    Call,
    Read,
    /// As [`Read`](Self::Read), to hear others.
    Listen,
    /// Reads one state of everything, at the pace of whoever writes it down.
    Export,
    /// Changes the schema: takes the time it takes, but for locks.
    Migrate,
}

impl Purpose {
    /// In a word, for the server's operator.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Beat => "heartbeat",
            Self::Write => "writes",
            Self::Batch => "commits",
            Self::Call => "claims",
            Self::Read => "reads",
            Self::Listen => "listens",
            Self::Export => "exports",
            Self::Migrate => "migrates",
        }
    }
}

/// Every statement walks indexes, from end to end. A plan is made once and may outlive the size that tables had
/// then, so that nothing is read whole because it is small: not even into memory.
const PLANS: [(&str, &str); 7] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_material", "off"),
];

/// What a session is told. No statement of a writer, and no pause between two of them, may last half a lease: one that is
/// frozen or cut off is rolled back by the server before anybody is declared dead in vain. Batches know their indexes: with a planner free to choose, one
/// cost up to twice as much. Who has waited for a lock looks again, and must see what it waited for: the isolation is
/// not the role's to choose.
pub(super) fn settings(options: &PostgresOptions, purpose: Purpose) -> Vec<Setting> {
    let millis = |span: Duration| span.as_millis().max(1).to_string();
    let mut settings = vec![
        ("search_path", format!("\"{}\"", options.schema)),
        ("client_min_messages", "warning".to_owned()),
        // A row that a policy hides would be taken for one that does not exist: then rather an error.
        ("row_security", "off".to_owned()),
    ];
    if purpose != Purpose::Export {
        settings.push((
            "default_transaction_isolation",
            "'read committed'".to_owned(),
        ));
    }
    match purpose {
        Purpose::Write | Purpose::Beat | Purpose::Batch | Purpose::Call => {
            let most = statement_max(options);
            settings.extend([
                ("statement_timeout", millis(most)),
                ("idle_in_transaction_session_timeout", millis(most)),
                ("lock_timeout", millis(lock_wait(options, purpose))),
            ]);
        }
        Purpose::Read | Purpose::Listen => settings.extend([
            ("statement_timeout", millis(READ_MAX)),
            ("idle_in_transaction_session_timeout", millis(READ_MAX)),
            ("default_transaction_read_only", "on".to_owned()),
        ]),
        Purpose::Export => {
            settings.extend([
                ("statement_timeout", millis(READ_MAX)),
                (
                    "idle_in_transaction_session_timeout",
                    millis(EXPORT_IDLE_MAX),
                ),
                ("jit", "off".to_owned()),
                ("enable_seqscan", "off".to_owned()),
                // Each page would merge its few runs with an index from its beginning.
                ("enable_hashjoin", "off".to_owned()),
                ("enable_mergejoin", "off".to_owned()),
            ]);
            return settings;
        }
        Purpose::Migrate => {
            // What the role allows its queries is too short for an index over millions of rows.
            settings.extend([
                ("statement_timeout", "0".to_owned()),
                ("idle_in_transaction_session_timeout", "0".to_owned()),
                ("lock_timeout", millis(lock_wait(options, purpose))),
            ]);
            return settings;
        }
    }
    settings.extend(PLANS.map(|(name, value)| (name, value.to_owned())));
    settings
}

/// How long a statement of a writer may take.
pub(super) fn statement_max(options: &PostgresOptions) -> Duration {
    options.lease * 2 / 5
}

/// How long a session waits for a lock.
pub(super) fn lock_wait(options: &PostgresOptions, purpose: Purpose) -> Duration {
    match purpose {
        Purpose::Batch | Purpose::Call => {
            (options.lease / 40).clamp(BATCH_LOCK_MIN, BATCH_LOCK_MAX)
        }
        Purpose::Migrate => (lock_max(options) * 3 / 4).min(CHANGE_LOCK_MAX),
        _ => lock_max(options),
    }
}

/// How long a session goes on trying to get a lock. A call that waits longer is done again
/// elsewhere, and a change of the schema once its way is free.
pub(super) fn lock_patience(options: &PostgresOptions, purpose: Purpose) -> Duration {
    match purpose {
        Purpose::Batch | Purpose::Call | Purpose::Migrate => Duration::ZERO,
        _ => lock_max(options),
    }
}

/// How long a writer waits for a lock: the shortest of its limits.
fn lock_max(options: &PostgresOptions) -> Duration {
    options.lease / 5
}

/// The same for one transaction; what is called a default speaks of the next one only.
pub(super) fn local(settings: &[Setting]) -> String {
    settings
        .iter()
        .map(|(name, value)| {
            let name = name.strip_prefix("default_").unwrap_or(name);
            format!("SET LOCAL {name} TO {value};")
        })
        .collect()
}
