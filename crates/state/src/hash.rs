//! The running hash: one 128-bit number over everything that is alive, kept up to date change by change.
//!
//! Each row contributes the XXH3-128 of (table, hash of its key, hash of its row), and the contributions are *added*
//! modulo 2^128. Addition commutes and can be taken back by subtraction, so the sum depends on which rows are
//! alive and not on the order in which they came or what was there before: a put costs one subtraction and one
//! addition, and a scan from scratch gives the same number.
//!
//! Why it is sound for its purpose: the mix binds table, key, header and value into one contribution before the
//! sum, with lengths fixed by hashing the parts first, so bytes cannot move between key and row or between rows
//! unnoticed. Two states that differ by accident have sums that differ by a combination of unrelated 128-bit
//! numbers, which is zero with a chance of about 2^-128. It is no defence against somebody who searches for
//! collisions: members guard against their own faults with it, not against each other.
//!
//! It knows nothing of history or of the feed, which are functions of the same changes.

use xxhash_rust::xxh3::xxh3_128;

use crate::lease::{Lease, LeaseId};
use crate::row::Row;
use crate::table::TableId;

/// Leases are hashed as if they were rows of this table, which no protocol can declare.
const LEASES: TableId = TableId(0x00);

/// The sum over everything that is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunningHash(u128);

/// The hash of a key within its table, so that replacing a row hashes the key once.
#[derive(Clone, Copy)]
pub(crate) struct KeyHash {
    table: TableId,
    key: u128,
}

impl KeyHash {
    pub(crate) fn new(table: TableId, key: &[u8]) -> KeyHash {
        KeyHash { table, key: xxh3_128(key) }
    }

    fn with(self, content: &[u8]) -> u128 {
        let mut bound = [0; 33];
        bound[0] = self.table.0;
        bound[1..17].copy_from_slice(&self.key.to_le_bytes());
        bound[17..].copy_from_slice(&xxh3_128(content).to_le_bytes());
        xxh3_128(&bound)
    }
}

impl RunningHash {
    pub(crate) fn add_row(&mut self, key: KeyHash, row: &Row) {
        self.0 = self.0.wrapping_add(key.with(row.encoded()));
    }

    pub(crate) fn subtract_row(&mut self, key: KeyHash, row: &Row) {
        self.0 = self.0.wrapping_sub(key.with(row.encoded()));
    }

    pub(crate) fn add_lease(&mut self, id: LeaseId, lease: &Lease) {
        self.0 = self.0.wrapping_add(lease_contribution(id, lease));
    }

    pub(crate) fn subtract_lease(&mut self, id: LeaseId, lease: &Lease) {
        self.0 = self.0.wrapping_sub(lease_contribution(id, lease));
    }

    /// The number members compare: the sum bound to the revision and the compaction point it belongs to.
    pub(crate) fn finish(self, revision: u64, compacted: u64) -> u128 {
        let mut bound = [0; 32];
        bound[..16].copy_from_slice(&self.0.to_le_bytes());
        bound[16..24].copy_from_slice(&revision.to_le_bytes());
        bound[24..].copy_from_slice(&compacted.to_le_bytes());
        xxh3_128(&bound)
    }
}

fn lease_contribution(id: LeaseId, lease: &Lease) -> u128 {
    let mut content = [0; 17];
    content[..8].copy_from_slice(&lease.ttl_milliseconds.to_le_bytes());
    content[8..16].copy_from_slice(&lease.remaining_milliseconds.to_le_bytes());
    content[16] = lease.owner;
    KeyHash::new(LEASES, &id.to_key()).with(&content)
}
