//! Snapshots: the whole state as a stream of checksummed blocks of about 64 KiB, for files and for peers.
//!
//! ```text
//! block     byte kind, u32 sequence from 0, u32 length of the payload, payload, u64 checksum
//! checksum  XXH3-64 of all before it in the block, seeded with the checksum of the block before (0 for the first),
//!           so that a block that is missing, repeated or of another snapshot shows
//!
//! 1 begin   magic, u16 format version, revision, compaction point, time,
//!           number of tables, then id, history mode and number of rows of each
//! 2 rows    table, then rows in order of their keys: length shared with the key before in this block,
//!           rest of the key, row
//! 3 leases  in order of their ids: id, owner, span, rest
//! 4 feed    from the compaction point on, in order:
//!             0 revision, time, number of changes      then so many of
//!             1 what and how, table, key, row before, row after
//! 5 end     running hash; numbers of leases and of changes
//! ```
//!
//! Plain numbers are variable-length integers; u16, u32, u64 and the hash are little-endian; ids are bytes, leases
//! eight of them.
//!
//! The past of tables is not written: it is a function of the feed. Every version of a row is written once: a change
//! whose row after is still current names the live row, and one whose row before came with an earlier change of the
//! feed names that. What was compacted but not yet reclaimed is left out, so members at different points of
//! forgetting write the same stream.
//!
//! It does not know where blocks go, how they are framed on their way, or which entry of the log they stand for.

mod feed;
mod reader;
mod writer;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::codec::Broken;
use crate::state::State;
use crate::table::{TableId, TableSpec};

pub use reader::Restore;
pub use writer::Blocks;

/// How many bytes of a block have to be known to know its length.
pub const HEADER_BYTES: usize = 9;

/// The longest block that is written or read. A block is about 64 KiB unless one row or change is longer.
pub const MAX_BLOCK_BYTES: usize = 64 << 20;

const MAGIC: [u8; 8] = *b"conclave";
const FORMAT_VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 8;

const BEGIN: u8 = 1;
const ROWS: u8 = 2;
const LEASES: u8 = 3;
const FEED: u8 = 4;
const END: u8 = 5;

const MOMENT: u8 = 0;
const CHANGE: u8 = 1;

/// A change's row after: none since it was deleted, written here, or the live one.
const AFTER_DELETED: u8 = 0;
const AFTER_HERE: u8 = 1;
const AFTER_LIVE: u8 = 2;
/// A change's row before: none, written here, or one that an earlier change of the stream left behind.
const BEFORE_NONE: u8 = 0;
const BEFORE_HERE: u8 = 4;
const BEFORE_EARLIER: u8 = 8;

/// Why a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// A block is shorter or longer than its header says, or a field in it ends early.
    #[error("block {0} of the snapshot is cut or has a wrong length")]
    Length(u32),
    /// A block says it is longer than any block may be.
    #[error("a block of the snapshot has {0} bytes, the limit is {MAX_BLOCK_BYTES}")]
    Oversized(usize),
    /// A block's checksum is wrong, or it belongs to another snapshot or another place in it.
    #[error("block {0} of the snapshot has a wrong checksum or does not follow the block before it")]
    Checksum(u32),
    /// The stream does not begin like a snapshot.
    #[error("this is not a snapshot of a state")]
    Magic,
    /// Written by a program of another format version.
    #[error("the snapshot has format version {0}, this program reads version {FORMAT_VERSION}")]
    Version(u16),
    /// A block of a kind that is unknown or out of place.
    #[error("block {sequence} of the snapshot is of kind {kind}, which is unknown or out of place")]
    Kind {
        /// The block's place in the stream.
        sequence: u32,
        /// What it says it is.
        kind: u8,
    },
    /// It has rows of a table this program does not know, or whose past it keeps differently.
    #[error("the snapshot has table {0}, which this program does not know or keeps differently")]
    Table(TableId),
    /// The parts of a block contradict each other or what came before.
    #[error("block {sequence} of the snapshot is inconsistent: {what}")]
    Inconsistent {
        /// The block's place in the stream.
        sequence: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// The stream ended before its last block.
    #[error("the snapshot ends after {0} blocks, before its last one")]
    Incomplete(u32),
    /// All blocks are whole, but together they are not the state that was written.
    #[error("the snapshot's rows hash to {restored:032x}, written was {written:032x}")]
    Hash {
        /// The hash in the last block.
        written: u128,
        /// The hash of what was read.
        restored: u128,
    },
}

impl State {
    /// Everything a member needs to be where this state is. The stream is of this moment, whatever is written to the
    /// state while it is drawn; it may be drawn in another thread.
    pub fn snapshot(&self) -> Blocks {
        Blocks::new(self.clone())
    }

    /// The state of a whole snapshot. See [`Restore`] for blocks that arrive one by one.
    ///
    /// # Errors
    /// If it is not a whole and undamaged snapshot that fits these tables.
    pub fn restore<B: AsRef<[u8]>>(specs: &[TableSpec], blocks: impl IntoIterator<Item = B>) -> Result<State, Corrupt> {
        let mut restore = Restore::new(specs);
        for block in blocks {
            restore.push(block.as_ref())?;
        }
        restore.finish()
    }
}

/// How long the block is that begins so: header, payload and checksum.
///
/// # Errors
/// If it is longer than any block may be.
pub fn block_bytes(header: &[u8; HEADER_BYTES]) -> Result<usize, Corrupt> {
    let &[_, _, _, _, _, a, b, c, d] = header;
    let payload = u32::from_le_bytes([a, b, c, d]) as usize;
    let whole = payload.saturating_add(HEADER_BYTES + CHECKSUM_BYTES);
    if whole > MAX_BLOCK_BYTES { Err(Corrupt::Oversized(whole)) } else { Ok(whole) }
}

fn checksum(previous: u64, block: &[u8]) -> u64 {
    xxh3_64_with_seed(block, previous)
}

/// What reading a block's payload can run into, before the block's place is known.
enum Flaw {
    Broken,
    Inconsistent(&'static str),
    Table(TableId),
    Version(u16),
}

impl From<Broken> for Flaw {
    fn from(_: Broken) -> Flaw {
        Flaw::Broken
    }
}
