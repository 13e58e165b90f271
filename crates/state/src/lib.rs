//! Timeline tables: ordered maps with revisions, history, leases, a change feed and a running hash.
//!
//! # What it is
//! A [`State`] is a value: a few tables of rows in persistent radix trees ([`tree`]). The leader changes it with a
//! [`Transaction`], which yields an encoded delta; everybody else puts that delta with [`State::apply`]. Both run the
//! same function for each change, so both end equal, and [`State::hash`] shows it.
//!
//! - A **row** carries the revisions of its birth and of its last change, its version, its lease and a value.
//! - A **revision** counts transactions that changed rows. Tables with [`History::Kept`] can be read at every
//!   revision from the compaction point on; the **feed** ([`State::changes`]) tells what happened since any of them.
//! - A **lease** is a life span with rows attached to it. Its deadline is somebody else's business.
//! - A **snapshot** ([`snapshot`]) is the whole state in checksummed blocks.
//! - The **interest index** ([`interest`]) answers who wants to hear of a key.
//!
//! # What it does not know
//! No protocol, no network, no file, no thread, no clock and no random number: whatever is chosen is chosen outside
//! and written into the delta. Nothing here waits. It does not know of the log, of terms or of indexes either; who
//! applies deltas remembers how far he is.
//!
//! # What it takes from outside
//! Deltas and snapshots may be any bytes: the answer is an error, never a panic and never memory beyond the
//! input's own size. Table numbers in calls, on the other hand, are part of the program, and a wrong one panics.
//!
//! # In use
//! ```
//! use conclave_state::{History, LeaseId, State, TableId, TableSpec};
//!
//! const ROWS: TableId = TableId(0x10);
//! let specs = [TableSpec { id: ROWS, name: "rows", history: History::Kept }];
//! let (mut leader, mut follower) = (State::new(&specs), State::new(&specs));
//!
//! let mut transaction = leader.begin(1_763_600_000_000);
//! transaction.put(ROWS, b"key", b"value", LeaseId::NONE);
//! let delta = transaction.finish().expect("a row changed");
//!
//! follower.apply(&delta)?;
//! assert_eq!(follower.get(ROWS, b"key").expect("put above").value(), b"value");
//! assert_eq!(follower.hash(), leader.hash());
//! assert_eq!(follower.changes(2).expect("not compacted").count(), 1);
//! # Ok::<(), conclave_state::Malformed>(())
//! ```
//!
//! # Caveats
//! - The running hash tells accidents apart, not forgeries.
//! - Counting rows at an old revision takes time in proportion to the changes since then.
//! - One transaction's changes are forgotten in bounded steps, but the list itself is freed in one.

mod apply;
mod check;
mod codec;
#[cfg(debug_assertions)]
mod damage;
mod delta;
mod edit;
mod feed;
mod hash;
mod history;
mod key;
mod lease;
mod retention;
mod row;
mod state;
mod table;
mod transaction;

#[cfg(test)]
mod tests;

pub mod interest;
pub mod snapshot;
pub mod tree;

#[cfg(debug_assertions)]
pub use damage::Damage;
pub use delta::{Delta, Edit, Edits, MAX_ROW_BYTES, Malformed};
pub use feed::{Change, ChangeKind, Changes};
pub use history::{HistoryError, RangeAt};
pub use interest::Interest;
pub use key::Key;
pub use lease::{Lease, LeaseId, LeaseIter, LeaseRows};
pub use row::Row;
pub use state::State;
pub use table::{History, TableId, TableSpec};
pub use transaction::{Savepoint, Transaction};
pub use tree::{Range, Tree};
