//! Which room of the runtime stands on which: the arrow of ARCHITECTURE.md as a table.

/// The ground floor: nouns and pure rules. Every room may use these, and they use only each other.
pub(crate) const GROUND: &[&str] = &[
    "archive",
    "clock",
    "definition",
    "error",
    "failpoint",
    "record",
    "retry",
    "schedule",
    "telemetry",
    "testing",
];

/// The rooms above, top to bottom, each with those it may use besides the ground floor.
pub(crate) const FLOORS: &[(&str, &[&str])] = &[
    (
        "__private",
        &[
            "forge", "context", "engine", "commit", "inspect", "control", "store",
        ],
    ),
    ("forge", &["context", "engine", "commit", "store"]),
    // Not the store: what workflow code says reaches the database only through a pass.
    ("context", &["engine", "commit"]),
    ("engine", &["commit", "inspect", "control", "store"]),
    ("commit", &["store"]),
    // The operators' door: read and act on runs outside a pass.
    ("inspect", &["store"]),
    ("control", &["store"]),
    ("store", &[]),
];

/// The rooms that `room` may use besides itself and the ground floor; none if it has no floor yet.
pub(crate) fn below(room: &str) -> Option<&'static [&'static str]> {
    if GROUND.contains(&room) {
        return Some(&[]);
    }
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, below)| *below)
}

#[test]
fn the_table_runs_from_top_to_bottom() {
    for (at, (room, below)) in FLOORS.iter().enumerate() {
        for used in *below {
            let deeper = FLOORS[at + 1..].iter().any(|(name, _)| name == used);
            assert!(deeper, "`{used}` is not below `{room}`");
        }
    }
}
