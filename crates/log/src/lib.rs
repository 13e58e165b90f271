//! The write-ahead log of one node: opaque records of numbered groups, in one order, on disk.
//!
//! It knows nothing of consensus, of the meaning of a record, of threads or of time. What it promises:
//!
//! - **Acknowledged is durable.** [`Log::append`] returns after one vectored write and one data sync. What it
//!   acknowledged is found again by [`Log::open`], in order, or `open` fails and names the file and the offset.
//! - **Nothing is invented.** Space is recycled, writes are torn and reordered by crashes; none of that is ever read
//!   as a record. Whatever recovery cuts off is erased before the log opens, so it cannot come back later.
//! - **The first failure is final.** After a failed write or sync nobody knows what the disk holds; every later call
//!   returns that first error. (A full disk is no such failure: see [`AppendError::Full`].)
//!
//! # How it lies on disk
//!
//! A log is a folder of *segments* of one size, named by their *generation* (1, 2, 3, …): the live ones are always
//! contiguous. A segment begins with a block of 4 KiB holding its header; records follow, each with a header of 48
//! bytes, padded to 8. `format.rs` has the exact layout. Four things make a record believable:
//!
//! 1. a checksum of its header and one of its body, both begun with the log's own salt, so that bytes which a client
//!    stores can never pass for a record;
//! 2. the segment's generation, so that what a recycled segment held before is not read as live;
//! 3. its sequence number and the checksum of the record before it, so that a lost or misdirected write shows as a
//!    gap, and not as a shorter log;
//! 4. the highest sequence that was durable when it was written: evidence, kept in later records, that an earlier one
//!    had been acknowledged.
//!
//! A full segment ends with a *seal*; a segment that has a live successor must be sealed. After each sync a *mark*
//! (a header without a body) is written behind the records, without a sync of its own; the next batch overwrites it.
//!
//! # The rule of the tail
//!
//! Recovery follows the chain until it breaks, at the place where record `n` should stand, and then looks at
//! everything behind that place.
//!
//! - If anything intact there (a record, a mark, the header of a later segment) says that `n` or a later record was
//!   durable, then `n` was acknowledged and is gone: [`OpenError::Damaged`]. The log is not shortened.
//! - Otherwise `n` belonged to a batch whose sync had not returned, as far as anybody can tell: the tail is cut there.
//!
//! So damage to the *last* batch is told from a torn write exactly if the mark behind it survived. The mark is in the
//! page cache at once (it survives the death of the process) and reaches the disk with the system's own write-back or
//! with the next batch; in between, a power loss together with damage to the last batch is taken for a torn tail.
//!
//! # Caveats
//!
//! - A batch is not atomic: after a crash a prefix of an unacknowledged batch may be there.
//! - Recovery reads a whole segment into memory at a time, and returns all records in memory.
//! - Space is reserved when a segment is made, so that appending cannot find the disk full. Where the file system
//!   copies on write it can all the same, and then that is a failure like any other.
//! - Damage is found and refused here, not healed: that takes peers, of whom this room knows nothing. What can still
//!   be read, and how a log is cut before the damage and continued, stands in [`salvage`](mod@salvage).
//! - A segment header has a copy and is written anew from it; [`Report::mended`] says so.

mod batch;
mod disk;
mod error;
mod folder;
mod format;
pub mod identity;
pub mod inspect;

mod load;
mod log;
pub mod memory;
mod mutants;
mod options;
mod recovery;
pub mod replace;
pub mod salvage;
mod segment;

mod storage;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;

pub use batch::Append;
pub use error::{AppendError, Failure, OpenError, Operation};
pub use folder::{Folder, FolderError};
pub use format::{Fault, Kind, NOTE_MAX, RecordHeader, SegmentHeader};
pub use identity::open_identity;
pub use log::{Log, Record, Sequence, Status};
pub use options::Options;
pub use recovery::{Cut, Opened, Refused, Report};
pub use salvage::{Salvage, salvage};
pub use storage::Storage;
