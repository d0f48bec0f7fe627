//! Records that need few columns.

use crate::record::{Record, RecordState};

/// Whether the columns that a short statement leaves out are null: nearly every record of a large fan-out is
/// a completed step with nothing to tell but its result.
pub(in crate::store) fn is_plain(record: &Record) -> bool {
    record.state == RecordState::Completed
        && record.wake_at.is_none()
        && record.error_class.is_none()
        && record.error_message.is_none()
        && record.metadata.is_none()
        && record.context_delta.is_none()
}
