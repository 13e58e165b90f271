//! The leader's pen: every write goes into the state and into the delta in one step.
//!
//! A transaction reads its own writes and has at most one revision, claimed by its first change of a versioned row. Rolling back to
//! a savepoint puts an earlier clone of the state back and cuts the delta: there is no undo code. A transaction that
//! wrote must be finished, since its delta is the only way for other members to learn of it.
//!
//! It has no clock of its own, decides nothing, and knows no limits but those of the encoding.

use std::thread;

use bytes::Bytes;

use crate::delta::{Draft, DraftMark, MAX_ROW_BYTES};
use crate::edit::Pending;
use crate::history::HistoryError;
use crate::lease::LeaseId;
use crate::state::State;
use crate::table::TableId;

/// One change in the making, of any number of rows.
#[must_use = "a transaction that wrote must be finished"]
pub struct Transaction<'a> {
    state: &'a mut State,
    time_milliseconds: u64,
    prepared_on: u64,
    draft: Draft,
    pending: Pending,
}

/// A transaction as it was at one point, to go back to. Holding one makes later writes copy what they touch.
pub struct Savepoint {
    state: State,
    prepared_on: u64,
    draft: DraftMark,
    changes: usize,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(state: &'a mut State, time_milliseconds: u64) -> Transaction<'a> {
        let prepared_on = state.revision;
        Transaction { state, time_milliseconds, prepared_on, draft: Draft::default(), pending: Pending::default() }
    }

    /// The state with this transaction's writes in it. Its feed does not show them before the transaction is
    /// finished.
    pub fn state(&self) -> &State {
        self.state
    }

    /// The leader's unix time that the delta carries.
    pub fn time_milliseconds(&self) -> u64 {
        self.time_milliseconds
    }

    /// The revision of this transaction. Asking for it claims it: the delta then moves the revision on by one even
    /// if no row changes.
    pub fn revision(&mut self) -> u64 {
        if !self.claimed() {
            self.open();
            self.state.claim();
        }
        self.state.revision
    }

    /// Puts a row: creates it, or replaces its value and its lease.
    ///
    /// # Panics
    /// If the table was not declared, or key and value together exceed [`MAX_ROW_BYTES`].
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8], lease: LeaseId) {
        self.put_parts(table, key, &[value], lease);
    }

    /// [`Transaction::put`] of a value that lies in several pieces.
    ///
    /// # Panics
    /// As [`Transaction::put`].
    pub fn put_parts(&mut self, table: TableId, key: &[u8], value: &[&[u8]], lease: LeaseId) {
        let bytes = key.len() + value.iter().map(|part| part.len()).sum::<usize>();
        assert!(bytes <= MAX_ROW_BYTES, "a row of {bytes} bytes, the limit is {MAX_ROW_BYTES}");
        debug_assert!(
            lease == LeaseId::NONE || self.state.lease(lease).is_some(),
            "a row is attached to lease {lease}, which does not exist"
        );
        self.open_for(table);
        self.draft.put(table, key, value, lease);
        self.state.edit_put(&mut self.pending, table, key, value, lease);
    }

    /// Deletes a row; says whether it was there. Nothing is written if it was not.
    ///
    /// # Panics
    /// If the table was not declared.
    pub fn delete(&mut self, table: TableId, key: &[u8]) -> bool {
        if self.state.get(table, key).is_none() {
            return false;
        }
        self.open_for(table);
        self.draft.delete(table, key);
        self.state.edit_delete(&mut self.pending, table, key);
        true
    }

    /// Grants a lease. One that exists already is granted anew and keeps its rows.
    ///
    /// # Panics
    /// If the lease is [`LeaseId::NONE`].
    pub fn grant(&mut self, lease: LeaseId, ttl_milliseconds: u64, owner: u8) {
        assert_ne!(lease, LeaseId::NONE, "lease 0 means none");
        self.open();
        self.draft.grant(lease, ttl_milliseconds, owner);
        self.state.edit_grant(lease, ttl_milliseconds, owner);
    }

    /// Notes what is left of a lease, for a leader to come; says whether the lease exists.
    pub fn checkpoint(&mut self, lease: LeaseId, remaining_milliseconds: u64) -> bool {
        if self.state.lease(lease).is_none() {
            return false;
        }
        self.open();
        self.draft.checkpoint(lease, remaining_milliseconds);
        self.state.edit_checkpoint(lease, remaining_milliseconds);
        true
    }

    /// Ends a lease; says whether it existed. Rows still attached to it are deleted first, ordered by table and
    /// key, as changes like any other.
    pub fn revoke(&mut self, lease: LeaseId) -> bool {
        if self.state.lease(lease).is_none() {
            return false;
        }
        let before = self.state.leases.clone();
        let mut rows = before.rows(lease);
        while let Some((table, key)) = rows.next() {
            let deleted = self.delete(table, key);
            assert!(deleted, "the index of lease {lease} names a row of {table} that is not there");
        }
        self.open();
        self.draft.revoke(lease);
        self.state.edit_revoke(lease);
        true
    }

    /// Moves the compaction point to `revision`: reads there and above still work, those below do not any more.
    ///
    /// # Errors
    /// `Compacted` if the compaction point is there or above already; `Future` if the revision is yet to come.
    /// Nothing is written then.
    pub fn compact(&mut self, revision: u64) -> Result<(), HistoryError> {
        if revision <= self.state.compacted {
            return Err(HistoryError::Compacted { compacted: self.state.compacted });
        }
        if revision > self.state.revision {
            return Err(HistoryError::Future { revision: self.state.revision });
        }
        self.open();
        self.draft.compact(revision);
        self.state.edit_compact(revision);
        Ok(())
    }

    /// This point, to roll back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            state: self.state.clone(),
            prepared_on: self.prepared_on,
            draft: self.draft.mark(),
            changes: self.pending.changes.len(),
        }
    }

    /// Takes back everything since `savepoint`, the claim of a revision included.
    ///
    /// # Panics
    /// If the savepoint is of another transaction, or of a point that was itself rolled back.
    pub fn rollback(&mut self, savepoint: &Savepoint) {
        assert_eq!(savepoint.prepared_on, self.prepared_on, "a savepoint of another transaction");
        self.draft.cut(savepoint.draft);
        self.pending.changes.truncate(savepoint.changes);
        self.state.clone_from(&savepoint.state);
    }

    /// Ends the transaction and gives its delta; `None` if nothing was changed or claimed.
    pub fn finish(mut self) -> Option<Bytes> {
        if !self.wrote() {
            return None;
        }
        let claimed = self.claimed();
        self.state.seal(self.time_milliseconds, std::mem::take(&mut self.pending));
        // From here on there is nothing left that dropping could lose.
        self.prepared_on = self.state.revision;
        Some(Bytes::from(std::mem::take(&mut self.draft).finish(claimed)))
    }

    /// Rows change at a revision of their own, except where a table is unversioned.
    fn open_for(&mut self, table: TableId) {
        if self.state.is_versioned(table) {
            self.revision();
        } else {
            self.open();
        }
    }

    fn claimed(&self) -> bool {
        self.state.revision != self.prepared_on
    }

    fn wrote(&self) -> bool {
        self.claimed() || !self.draft.is_empty()
    }

    fn open(&mut self) {
        self.draft.open(self.prepared_on, self.time_milliseconds);
    }
}

/// A transaction that wrote and is dropped would leave a change in the leader's state that no other member ever
/// hears of.
impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        assert!(!self.wrote() || thread::panicking(), "a transaction wrote and was dropped without being finished");
    }
}
