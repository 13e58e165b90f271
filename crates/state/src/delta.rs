//! Deltas: what one transaction did, in bytes. They are the commands of the replicated log.
//!
//! ```text
//! byte      format version, 1
//! byte      flags: bit 0, the transaction claimed a revision
//! u32       number of edits, little-endian
//! integer   the revision the state must be at before
//! integer   the leader's unix time in milliseconds
//! then      the edits, each a kind and its fields:
//!             1 put           table, key, value
//!             2 put attached  table, lease, key, value
//!             3 delete        table, key
//!             4 grant         lease, owner, ttl
//!             5 checkpoint    lease, remaining
//!             6 revoke        lease
//!             7 compact       revision
//! ```
//!
//! Tables, kinds and owners are bytes, leases eight bytes little-endian, keys and values counted slices, the rest
//! variable-length integers. What a table derives (created, modified, version) is not in the delta.
//!
//! Decoding borrows and allocates nothing. It does not know which tables exist or what edits do: see
//! [`crate::State::apply`].

use crate::codec::{Broken, Input, put_counted, put_integer};
use crate::lease::LeaseId;
use crate::table::TableId;

const FORMAT_VERSION: u8 = 1;
const FLAG_CLAIMS_REVISION: u8 = 1;
const FLAGS_AT: usize = 1;
const COUNT_AT: usize = 2;

/// The most bytes a key and its value may have together. Protocols set far smaller limits of their own; this one
/// bounds what a block of a snapshot can hold.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// Most deltas put one row or two; this spares them growing.
const SMALL_DELTA_BYTES: usize = 256;

const PUT: u8 = 1;
const PUT_ATTACHED: u8 = 2;
const DELETE: u8 = 3;
const GRANT: u8 = 4;
const CHECKPOINT: u8 = 5;
const REVOKE: u8 = 6;
const COMPACT: u8 = 7;

/// Why a delta was not applied. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends inside a field.
    #[error("the delta ends inside a field")]
    Truncated,
    /// Bytes follow its last edit.
    #[error("{0} bytes follow the delta's last edit")]
    Trailing(usize),
    /// An integer is not in its shortest form or has more than 64 bits.
    #[error("the delta holds an integer that is not in its shortest form or has more than 64 bits")]
    Integer,
    /// Written by a program of another format version.
    #[error("the delta has format version {0}, this program reads version {FORMAT_VERSION}")]
    Version(u8),
    /// A flag this program does not know.
    #[error("the delta has flags {0:#04x}, of which this program knows only {FLAG_CLAIMS_REVISION:#04x}")]
    Flags(u8),
    /// An edit of a kind this program does not know.
    #[error("the delta holds an edit of the unknown kind {0}")]
    UnknownEdit(u8),
    /// A row of a table this program does not know.
    #[error("the delta changes table {0}, which this program does not know")]
    UnknownTable(TableId),
    /// A lease under the number that means none.
    #[error("the delta names lease 0, which means none")]
    NoLease,
    /// A row above [`MAX_ROW_BYTES`].
    #[error("the delta puts a row of {0} bytes, the limit is {MAX_ROW_BYTES}")]
    Oversized(usize),
    /// A row of a versioned table is changed without a revision.
    #[error("the delta changes a versioned row but claims no revision")]
    Unclaimed,
    /// It was prepared on another state than this one.
    #[error("the delta was prepared on revision {prepared_on}, this state is at {revision}")]
    OtherRevision {
        /// The revision it was prepared on.
        prepared_on: u64,
        /// The revision this state is at.
        revision: u64,
    },
    /// A compaction that is no progress or ahead of time.
    #[error("the delta compacts revision {requested}, allowed are those above {compacted} up to {revision}")]
    Compaction {
        /// The revision it names.
        requested: u64,
        /// The compaction point before it.
        compacted: u64,
        /// The newest revision.
        revision: u64,
    },
}

impl From<Broken> for Malformed {
    fn from(broken: Broken) -> Malformed {
        match broken {
            Broken::Truncated => Malformed::Truncated,
            Broken::Integer => Malformed::Integer,
        }
    }
}

/// One change that a delta makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what their names say, and described at the transaction's methods")]
pub enum Edit<'a> {
    /// Create or replace a row. `lease` may be [`LeaseId::NONE`].
    Put { table: TableId, key: &'a [u8], value: &'a [u8], lease: LeaseId },
    /// Delete a row.
    Delete { table: TableId, key: &'a [u8] },
    /// Grant a lease.
    Grant { lease: LeaseId, ttl_milliseconds: u64, owner: u8 },
    /// Note what is left of a lease.
    Checkpoint { lease: LeaseId, remaining_milliseconds: u64 },
    /// End a lease. Its rows are deleted by edits of their own before.
    Revoke { lease: LeaseId },
    /// Move the compaction point.
    Compact { revision: u64 },
}

/// An encoded delta whose head was read. The edits follow on demand, for whoever has to know what a delta does
/// beside applying it: which leases it grants, for example.
#[derive(Clone, Copy)]
pub struct Delta<'a> {
    claims_revision: bool,
    prepared_on: u64,
    time_milliseconds: u64,
    edits: Edits<'a>,
}

impl<'a> Delta<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// If the head is not one of this format version.
    pub fn decode(bytes: &'a [u8]) -> Result<Delta<'a>, Malformed> {
        let mut input = Input::new(bytes);
        let version = input.byte()?;
        if version != FORMAT_VERSION {
            return Err(Malformed::Version(version));
        }
        let flags = input.byte()?;
        if flags & !FLAG_CLAIMS_REVISION != 0 {
            return Err(Malformed::Flags(flags));
        }
        let left = u32::from_le_bytes(input.array()?);
        let prepared_on = input.integer()?;
        let time_milliseconds = input.integer()?;
        let claims_revision = flags & FLAG_CLAIMS_REVISION != 0;
        Ok(Delta { claims_revision, prepared_on, time_milliseconds, edits: Edits { left, input } })
    }

    /// Whether applying it moves the revision on by one.
    pub fn claims_revision(&self) -> bool {
        self.claims_revision
    }

    /// The revision of the state it was prepared on.
    pub fn prepared_on(&self) -> u64 {
        self.prepared_on
    }

    /// The leader's unix time when it was prepared.
    pub fn time_milliseconds(&self) -> u64 {
        self.time_milliseconds
    }

    /// What it does, in order. Ends after the first error.
    pub fn edits(&self) -> Edits<'a> {
        self.edits
    }
}

/// The edits of a delta.
#[derive(Clone, Copy)]
pub struct Edits<'a> {
    left: u32,
    input: Input<'a>,
}

impl<'a> Iterator for Edits<'a> {
    type Item = Result<Edit<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let trailing = self.input.len();
            self.input = Input::new(&[]);
            return (trailing > 0).then_some(Err(Malformed::Trailing(trailing)));
        }
        self.left -= 1;
        let edit = decode_edit(&mut self.input);
        if edit.is_err() {
            *self = Edits { left: 0, input: Input::new(&[]) };
        }
        Some(edit)
    }
}

fn decode_edit<'a>(input: &mut Input<'a>) -> Result<Edit<'a>, Malformed> {
    Ok(match input.byte()? {
        PUT => {
            let table = TableId(input.byte()?);
            Edit::Put { table, key: input.counted()?, value: input.counted()?, lease: LeaseId::NONE }
        }
        PUT_ATTACHED => {
            let table = TableId(input.byte()?);
            let lease = decode_lease(input)?;
            Edit::Put { table, key: input.counted()?, value: input.counted()?, lease }
        }
        DELETE => Edit::Delete { table: TableId(input.byte()?), key: input.counted()? },
        GRANT => {
            let lease = decode_lease(input)?;
            Edit::Grant { lease, owner: input.byte()?, ttl_milliseconds: input.integer()? }
        }
        CHECKPOINT => Edit::Checkpoint { lease: decode_lease(input)?, remaining_milliseconds: input.integer()? },
        REVOKE => Edit::Revoke { lease: decode_lease(input)? },
        COMPACT => Edit::Compact { revision: input.integer()? },
        kind => return Err(Malformed::UnknownEdit(kind)),
    })
}

fn decode_lease(input: &mut Input<'_>) -> Result<LeaseId, Malformed> {
    match LeaseId(i64::from_le_bytes(input.array()?)) {
        LeaseId::NONE => Err(Malformed::NoLease),
        lease => Ok(lease),
    }
}

/// A delta in the making. Nothing is allocated before the first edit.
#[derive(Default)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    edits: u32,
}

/// How far a draft had come, to cut it back to.
#[derive(Clone, Copy)]
pub(crate) struct DraftMark {
    bytes: usize,
    edits: u32,
}

impl Draft {
    /// Writes the head if it is not there yet.
    pub(crate) fn open(&mut self, prepared_on: u64, time_milliseconds: u64) {
        if self.bytes.is_empty() {
            self.bytes.reserve(SMALL_DELTA_BYTES);
            self.bytes.extend_from_slice(&[FORMAT_VERSION, 0, 0, 0, 0, 0]);
            put_integer(&mut self.bytes, prepared_on);
            put_integer(&mut self.bytes, time_milliseconds);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits == 0
    }

    pub(crate) fn mark(&self) -> DraftMark {
        DraftMark { bytes: self.bytes.len(), edits: self.edits }
    }

    pub(crate) fn cut(&mut self, mark: DraftMark) {
        assert!(mark.bytes <= self.bytes.len() && mark.edits <= self.edits, "a savepoint of another transaction");
        self.bytes.truncate(mark.bytes);
        self.edits = mark.edits;
    }

    pub(crate) fn put(&mut self, table: TableId, key: &[u8], value: &[&[u8]], lease: LeaseId) {
        if lease == LeaseId::NONE {
            self.begin_edit(PUT).push(table.0);
        } else {
            self.begin_edit(PUT_ATTACHED).push(table.0);
            self.bytes.extend_from_slice(&lease.0.to_le_bytes());
        }
        put_counted(&mut self.bytes, &[key]);
        put_counted(&mut self.bytes, value);
    }

    pub(crate) fn delete(&mut self, table: TableId, key: &[u8]) {
        self.begin_edit(DELETE).push(table.0);
        put_counted(&mut self.bytes, &[key]);
    }

    pub(crate) fn grant(&mut self, lease: LeaseId, ttl_milliseconds: u64, owner: u8) {
        self.begin_edit(GRANT).extend_from_slice(&lease.0.to_le_bytes());
        self.bytes.push(owner);
        put_integer(&mut self.bytes, ttl_milliseconds);
    }

    pub(crate) fn checkpoint(&mut self, lease: LeaseId, remaining_milliseconds: u64) {
        self.begin_edit(CHECKPOINT).extend_from_slice(&lease.0.to_le_bytes());
        put_integer(&mut self.bytes, remaining_milliseconds);
    }

    pub(crate) fn revoke(&mut self, lease: LeaseId) {
        self.begin_edit(REVOKE).extend_from_slice(&lease.0.to_le_bytes());
    }

    pub(crate) fn compact(&mut self, revision: u64) {
        self.begin_edit(COMPACT);
        put_integer(&mut self.bytes, revision);
    }

    fn begin_edit(&mut self, kind: u8) -> &mut Vec<u8> {
        assert!(!self.bytes.is_empty(), "an edit follows the head");
        self.edits = self.edits.checked_add(1).expect("fewer edits than a transaction has bytes");
        self.bytes.push(kind);
        &mut self.bytes
    }

    /// Completes the head.
    pub(crate) fn finish(mut self, claims_revision: bool) -> Vec<u8> {
        assert!(!self.bytes.is_empty(), "only an opened draft is finished");
        if claims_revision {
            self.bytes[FLAGS_AT] |= FLAG_CLAIMS_REVISION;
        }
        self.bytes[COUNT_AT..COUNT_AT + 4].copy_from_slice(&self.edits.to_le_bytes());
        self.bytes
    }
}
