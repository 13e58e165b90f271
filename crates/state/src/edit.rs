//! The one place where a change meets the state.
//!
//! Every edit has one function here, run by the leader's transaction and by whoever applies its delta, so both end
//! equal. The functions are total: whatever edits come in whatever order, they keep the invariants of the state:
//!
//! - `hash` is the sum over all live rows and all leases;
//! - the lease index holds exactly the live rows that name a lease;
//! - a revision is claimed before the first row of a versioned table changes, and its changes enter the feed together,
//!   by `seal`.
//!
//! It knows nothing of encodings and decides nothing.

use crate::feed::{Change, ChangeKind};
use crate::hash::KeyHash;
use crate::key::Key;
use crate::lease::{Lease, LeaseId};
use crate::state::{FIRST_REVISION, State};
use crate::table::{History, TableId};

/// Changes of the revision that is being written, on their way to the feed.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) changes: Vec<Change>,
}

impl State {
    /// Moves on to the next revision: what changes rows from here on happens there.
    pub(crate) fn claim(&mut self) {
        self.revision += 1;
    }

    /// At which revision a row of this table changes now. Unversioned rows stay at the first one for ever, so that it
    /// makes no difference whether the transaction claims a revision before or after it writes them.
    fn revision_of(&self, table: TableId) -> u64 {
        if self.catalog.is_versioned(table) { self.revision } else { FIRST_REVISION }
    }

    pub(crate) fn edit_put(
        &mut self,
        pending: &mut Pending,
        table: TableId,
        key: &[u8],
        value: &[&[u8]],
        lease: LeaseId,
    ) {
        let (revision, position) = (self.revision_of(table), self.position(table));
        let replaced = self.tables[position].put(key, value, lease, revision);
        let key_hash = KeyHash::new(table, key);
        let mut before_lease = LeaseId::NONE;
        if let Some(before) = &replaced.before {
            self.hash.subtract_row(key_hash, before);
            before_lease = before.lease();
        }
        self.hash.add_row(key_hash, &replaced.after);
        self.leases.reattach(before_lease, lease, table, key);
        if !self.catalog.is_versioned(table) {
            return;
        }
        pending.changes.push(Change {
            revision,
            table,
            kind: ChangeKind::Put,
            key: Key::from(key),
            before: replaced.before.filter(|_| self.catalog.specs()[position].history == History::Kept),
            after: Some(replaced.after),
        });
    }

    pub(crate) fn edit_delete(&mut self, pending: &mut Pending, table: TableId, key: &[u8]) {
        let (revision, position) = (self.revision_of(table), self.position(table));
        let Some(before) = self.tables[position].delete(key, revision) else {
            return;
        };
        self.hash.subtract_row(KeyHash::new(table, key), &before);
        self.leases.reattach(before.lease(), LeaseId::NONE, table, key);
        if !self.catalog.is_versioned(table) {
            return;
        }
        pending.changes.push(Change {
            revision,
            table,
            kind: ChangeKind::Delete,
            key: Key::from(key),
            before: Some(before).filter(|_| self.catalog.specs()[position].history == History::Kept),
            after: None,
        });
    }

    /// Grants a lease. One that exists already is granted anew and keeps its rows.
    pub(crate) fn edit_grant(&mut self, id: LeaseId, ttl_milliseconds: u64, owner: u8) {
        self.set_lease(id, Lease { ttl_milliseconds, remaining_milliseconds: ttl_milliseconds, owner });
    }

    /// Notes what is left of a lease, if it exists.
    pub(crate) fn edit_checkpoint(&mut self, id: LeaseId, remaining_milliseconds: u64) {
        if let Some(&lease) = self.leases.get(id) {
            self.set_lease(id, Lease { remaining_milliseconds, ..lease });
        }
    }

    /// Ends a lease, if it exists. Rows that still name it stay: their deletions are edits of their own.
    pub(crate) fn edit_revoke(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(id) {
            self.hash.subtract_lease(id, &lease);
        }
    }

    pub(crate) fn set_lease(&mut self, id: LeaseId, lease: Lease) {
        if let Some(before) = self.leases.insert(id, lease) {
            self.hash.subtract_lease(id, &before);
        }
        self.hash.add_lease(id, &lease);
    }

    /// Moves the compaction point. Effective at once for every reader; memory is given back by `reclaim`.
    pub(crate) fn edit_compact(&mut self, revision: u64) {
        assert!(self.compacted < revision && revision <= self.revision, "a compaction point moves forward");
        self.compacted = revision;
        self.feed.compact(revision);
    }

    /// Ends a transaction: its changes enter the feed, and its time becomes the state's.
    pub(crate) fn seal(&mut self, time_milliseconds: u64, pending: Pending) {
        self.time_milliseconds = time_milliseconds;
        if !pending.changes.is_empty() {
            let catalog = &self.catalog;
            let history = |table| catalog.history(table);
            self.feed.push(self.revision, time_milliseconds, pending.changes, history);
            // The transaction may have compacted its own revision, before that was in the feed.
            if self.compacted == self.revision {
                self.feed.compact(self.compacted);
            }
        }
    }
}
