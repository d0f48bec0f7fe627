//! A schema that is changed while others read and write.

use diesel::connection::SimpleConnection;

use super::open;
use crate::store::conformance::fixture::*;
use crate::store::conformance::later::Later;

/// A reader keeps its own state of the file, and a writer finds what is new.
#[test]
fn a_deploy_beside_a_reader_waits_for_nobody() {
    let (mut forge, scratch) = open();
    let before = forge.start_at("before", 1, at(1));
    let mut reader = scratch.raw();
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM chrono_forge_workers")
        .unwrap();
    let up = "ALTER TABLE chrono_forge_workers ADD COLUMN note TEXT";
    let down = "ALTER TABLE chrono_forge_workers DROP COLUMN note";
    let later = Later::new().with("2999-01-01-000000_a_note", up, down);
    forge.database.upgrade(&later.migrations(), &[]).unwrap();
    forge.writer.heartbeat(forge.worker, &[], at(2)).unwrap();
    let claimed = forge.claim(at(2));
    assert_eq!(
        claimed.iter().map(|run| run.id).collect::<Vec<_>>(),
        [before]
    );
    let noted = "SELECT note FROM chrono_forge_workers";
    assert!(
        reader.batch_execute(noted).is_err(),
        "as it was when it began to read"
    );
    reader.batch_execute("COMMIT").unwrap();
    reader.batch_execute(noted).unwrap();
}
