//! The file of an export: JSON lines, written and read one at a time.
//!
//! ```text
//! {"chrono_forge":"export","version":2,"id":"..","exported_at":..}    the header
//! {"run":{"id":7,"workflow":"order","key":"o17",..}}                  a run, after its parent
//! {"record":{"name":"step$charge",..}}                                records of the run above
//! {"error":{"name":"step$charge","attempt":1,..}}                     and its failed attempts
//! {"end":{"runs":1,"records":1,"errors":1}}                           the closing line
//! ```
//!
//! A row is a line, so that nobody has to hold a long history at once. The closing line counts the others:
//! a file that was cut off has none, and one that lost lines does not add up.

pub mod batches;
pub mod lines;
pub mod reader;

pub use batches::{Batch, Batches};
pub use lines::{Header, Line, LineRef, Totals, write};
pub use reader::Reader;
