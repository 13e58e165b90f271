//! Leases: a life span, an owner, and the rows that go when it ends.
//!
//! Two ordered trees: leases by id, and an index (lease, table, key) of attached rows. The index holds exactly one
//! entry for every live row whose header names a lease, whether or not that lease exists, so it is a function of
//! the rows and is rebuilt from them.
//!
//! It knows no clock: deadlines live in the leader's memory, and running out is a change like any other. Which ids
//! and spans are allowed, and what a lease stands for, is the protocols' business.

use std::fmt;
use std::ops::Bound;

use crate::table::TableId;
use crate::tree::{Range, Tree, Value};

/// A lease's number, chosen by its protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// No lease: what a row says that is attached to none. No lease can be granted under it.
    pub const NONE: LeaseId = LeaseId(0);

    /// Eight bytes that sort as the numbers do, negative ones first.
    pub(crate) fn to_key(self) -> [u8; 8] {
        (self.0.cast_unsigned() ^ 1 << 63).to_be_bytes()
    }

    pub(crate) fn from_key(key: [u8; 8]) -> LeaseId {
        LeaseId((u64::from_be_bytes(key) ^ 1 << 63).cast_signed())
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The span it was granted, in milliseconds. A new leader starts the lease with `remaining_milliseconds`.
    pub ttl_milliseconds: u64,
    /// What of the span was left at the last checkpoint, in milliseconds; the whole span if there was none since
    /// the grant.
    pub remaining_milliseconds: u64,
    /// The protocol it belongs to.
    pub owner: u8,
}

impl Value for Lease {}

/// Every lease and what is attached to it. Clone is two pointers.
#[derive(Clone, Default)]
pub(crate) struct Leases {
    by_id: Tree<Lease>,
    attached: Tree<()>,
}

impl Leases {
    pub(crate) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.by_id.get(&id.to_key())
    }

    pub(crate) fn insert(&mut self, id: LeaseId, lease: Lease) -> Option<Lease> {
        self.by_id.insert(&id.to_key(), lease)
    }

    pub(crate) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        self.by_id.remove(&id.to_key())
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> LeaseIter<'_> {
        LeaseIter { range: self.by_id.iter() }
    }

    /// Leases whose ids are above `id`, in order.
    pub(crate) fn after(&self, id: Option<LeaseId>) -> LeaseIter<'_> {
        let range = match id {
            Some(id) => self.by_id.range(Bound::Excluded(&id.to_key()), Bound::Unbounded),
            None => self.by_id.iter(),
        };
        LeaseIter { range }
    }

    /// Moves a row's place in the index from one lease to another; either may be [`LeaseId::NONE`].
    pub(crate) fn reattach(&mut self, from: LeaseId, to: LeaseId, table: TableId, key: &[u8]) {
        if from == to {
            return;
        }
        if from != LeaseId::NONE {
            let removed = self.attached.remove(&attached_key(from, table, key));
            assert!(removed.is_some(), "a row names lease {from} but the index does not know it");
        }
        if to != LeaseId::NONE {
            let replaced = self.attached.insert(&attached_key(to, table, key), ());
            assert!(replaced.is_none(), "the index knows a row of lease {to} that did not name it");
        }
    }

    pub(crate) fn rows(&self, id: LeaseId) -> LeaseRows<'_> {
        LeaseRows { range: self.attached.prefix(&id.to_key()) }
    }

    /// Whether the index knows this row of this lease.
    pub(crate) fn names(&self, id: LeaseId, table: TableId, key: &[u8]) -> bool {
        id != LeaseId::NONE && self.attached.get(&attached_key(id, table, key)).is_some()
    }

    /// How many rows are attached to any lease.
    pub(crate) fn attached_len(&self) -> usize {
        self.attached.len()
    }
}

fn attached_key(id: LeaseId, table: TableId, key: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(9 + key.len());
    whole.extend_from_slice(&id.to_key());
    whole.push(table.0);
    whole.extend_from_slice(key);
    whole
}

/// Leases in order of their ids.
pub struct LeaseIter<'a> {
    range: Range<'a, Lease>,
}

impl<'a> Iterator for LeaseIter<'a> {
    type Item = (LeaseId, &'a Lease);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, lease) = self.range.next()?;
        let key = key.try_into().expect("lease keys are eight bytes");
        Some((LeaseId::from_key(key), lease))
    }
}

/// The rows attached to one lease, ordered by table and key. A lending cursor: a key lives until the next call.
pub struct LeaseRows<'a> {
    range: Range<'a, ()>,
}

impl LeaseRows<'_> {
    /// The next attached row's table and key.
    #[expect(clippy::should_implement_trait, reason = "a lending cursor cannot be an Iterator")]
    pub fn next(&mut self) -> Option<(TableId, &[u8])> {
        let (key, ()) = self.range.next()?;
        Some((TableId(key[8]), &key[9..]))
    }
}
