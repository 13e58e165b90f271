//! The state: every table, every lease, the feed, one revision, one hash; a value.
//!
//! Everything in it is a persistent tree or a plain number, so a clone is a handful of pointers: readers get
//! clones, the leader keeps one per entry in flight, and rolling back is putting one back. While a clone lives,
//! changing the original copies the paths it touches; parts that nobody else holds are changed in place.
//!
//! Reads never wait and see one revision of everything. The state does not know who reads, what rows mean, which
//! entries of the log it covers, or what time it is.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use crate::feed::{Changes, Feed};
use crate::hash::{KeyHash, RunningHash};
use crate::history::{self, HistoryError, RangeAt};
use crate::lease::{Lease, LeaseId, LeaseIter, LeaseRows, Leases};
use crate::row::Row;
use crate::table::{Catalog, History, Table, TableId, TableSpec};
use crate::transaction::Transaction;
use crate::tree::Range;

/// The revision of a state in which nothing happened yet.
pub(crate) const FIRST_REVISION: u64 = 1;

/// All tables at one moment. See the module for what a clone costs.
#[derive(Clone)]
pub struct State {
    pub(crate) catalog: Arc<Catalog>,
    /// In the order of the catalog.
    pub(crate) tables: Vec<Table>,
    pub(crate) leases: Leases,
    pub(crate) feed: Feed,
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    pub(crate) time_milliseconds: u64,
    pub(crate) hash: RunningHash,
}

impl State {
    /// An empty state: revision 1, nothing compacted.
    ///
    /// # Panics
    /// If two tables have one number, or one a number below [`TableId::FIRST`].
    pub fn new(specs: &[TableSpec]) -> State {
        let catalog = Catalog::new(specs);
        let tables = catalog.specs().iter().map(|spec| Table::new(spec.history)).collect();
        State {
            catalog: Arc::new(catalog),
            tables,
            leases: Leases::default(),
            feed: Feed::default(),
            revision: FIRST_REVISION,
            compacted: 0,
            time_milliseconds: 0,
            hash: RunningHash::default(),
        }
    }

    /// The declared tables, in order of their numbers.
    pub fn specs(&self) -> &[TableSpec] {
        self.catalog.specs()
    }

    /// How many times rows changed, or a revision was claimed, since the beginning; starts at 1.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The compaction point: the oldest revision that can be read or watched from; 0 if there never was one.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The leader's unix time in milliseconds when the newest change was made; 0 if there was none. Clocks of
    /// successive leaders may disagree, so it may step back.
    pub fn time_milliseconds(&self) -> u64 {
        self.time_milliseconds
    }

    /// Jumps so many revisions ahead and compacts everything up to there: whoever comes with a place in the history so
    /// far is told that it is gone. For a state that becomes the beginning of another ensemble, whose revisions must
    /// never meet those that the old one may have gone on giving.
    pub fn begin_new_history(&mut self, revisions_ahead: u64) {
        self.revision = self.revision.saturating_add(revisions_ahead.max(1));
        self.edit_compact(self.revision);
        while self.reclaim(usize::MAX) > 0 {}
    }

    /// The running hash over all rows and leases, the revision and the compaction point. Equal on all members
    /// that applied the same entries.
    pub fn hash(&self) -> u128 {
        self.hash.finish(self.revision, self.compacted)
    }

    /// [`State::hash`] from scratch, by reading everything: finds rows that changed in memory by other means than
    /// edits. For tests, and for a scrub on a clone in another thread.
    pub fn recompute_hash(&self) -> u128 {
        let mut hash = RunningHash::default();
        for (spec, table) in self.catalog.specs().iter().zip(&self.tables) {
            let mut rows = table.rows.iter();
            while let Some((key, row)) = rows.next() {
                hash.add_row(KeyHash::new(spec.id, key), row);
            }
        }
        for (id, lease) in self.leases.iter() {
            hash.add_lease(id, lease);
        }
        hash.finish(self.revision, self.compacted)
    }

    /// What all live keys and rows (headers included) take, in bytes; what a quota is measured by.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// [`State::bytes`] of one table.
    pub fn table_bytes(&self, table: TableId) -> u64 {
        self.table(table).bytes
    }

    /// How many rows a table has.
    pub fn len(&self, table: TableId) -> usize {
        self.table(table).rows.len()
    }

    /// Whether a table has no rows.
    pub fn is_empty(&self, table: TableId) -> bool {
        self.table(table).rows.is_empty()
    }

    /// One row as it is now.
    pub fn get(&self, table: TableId, key: &[u8]) -> Option<&Row> {
        self.table(table).rows.get(key)
    }

    /// Rows between two bounds, in order, from either end.
    pub fn range(&self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_, Row> {
        self.table(table).rows.range(from, to)
    }

    /// Rows whose keys begin with `prefix`, in order, from either end.
    pub fn prefix(&self, table: TableId, prefix: &[u8]) -> Range<'_, Row> {
        self.table(table).rows.prefix(prefix)
    }

    /// How many rows lie between two bounds, without visiting them.
    pub fn count(&self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> usize {
        self.table(table).rows.count(from, to)
    }

    /// One row as it was at `revision`.
    ///
    /// # Errors
    /// If the revision is below the compaction point or yet to come.
    ///
    /// # Panics
    /// If the table keeps no history and the revision is not the present one.
    pub fn get_at(&self, table: TableId, key: &[u8], revision: u64) -> Result<Option<&Row>, HistoryError> {
        let table = self.readable_at(table, revision)?;
        Ok(history::row_at(table, key, revision))
    }

    /// Rows between two bounds as they were at `revision`, in order.
    ///
    /// # Errors
    /// If the revision is below the compaction point or yet to come.
    ///
    /// # Panics
    /// If the table keeps no history and the revision is not the present one.
    pub fn range_at(
        &self,
        table: TableId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        revision: u64,
    ) -> Result<RangeAt<'_>, HistoryError> {
        let table = self.readable_at(table, revision)?;
        Ok(RangeAt::new(table, from, to, revision))
    }

    /// How many rows lay between two bounds at `revision`. Takes time in proportion to the changes since then, or
    /// to the rows and filed versions between the bounds if those are fewer.
    ///
    /// # Errors
    /// If the revision is below the compaction point or yet to come.
    ///
    /// # Panics
    /// If the table keeps no history and the revision is not the present one.
    pub fn count_at(
        &self,
        table: TableId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        revision: u64,
    ) -> Result<usize, HistoryError> {
        let rows = self.readable_at(table, revision)?;
        let present = rows.rows.count(from, to);
        let filed = rows.past.as_ref().map_or(0, |past| past.count(from, to));
        if present + filed < self.feed.count_above(revision) {
            let mut range = RangeAt::new(rows, from, to, revision);
            return Ok(std::iter::from_fn(|| range.next().map(|_| ())).count());
        }
        // Every change since then moved the count by what it created or deleted. Deletions are put back first, so
        // that the sum never falls below zero on the way.
        let (mut created, mut deleted) = (0, 0);
        for change in self.feed.changes(revision + 1) {
            if change.table != table || !within(&change.key, from, to) {
                continue;
            }
            match (&change.before, &change.after) {
                (None, Some(_)) => created += 1,
                (Some(_), None) => deleted += 1,
                _ => {}
            }
        }
        debug_assert!(
            present + deleted >= created,
            "{created} rows of {table} were created since revision {revision}, more than there can be"
        );
        Ok((present + deleted).saturating_sub(created))
    }

    /// What changed from `from_revision` on, the newest revision included, in order.
    ///
    /// # Errors
    /// If `from_revision` is below the compaction point: a part of what is asked for is gone. A revision above the
    /// newest gives nothing, and no error.
    pub fn changes(&self, from_revision: u64) -> Result<Changes<'_>, HistoryError> {
        if from_revision < self.compacted {
            return Err(HistoryError::Compacted { compacted: self.compacted });
        }
        Ok(self.feed.changes(from_revision))
    }

    /// One lease.
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// All leases, in order of their ids.
    pub fn leases(&self) -> LeaseIter<'_> {
        self.leases.iter()
    }

    /// How many leases there are.
    pub fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// Rows attached to a lease, ordered by table and key.
    pub fn lease_rows(&self, id: LeaseId) -> LeaseRows<'_> {
        self.leases.rows(id)
    }

    /// Starts the leader's side of a change. `time_milliseconds` is the leader's unix time and goes into the
    /// delta.
    pub fn begin(&mut self, time_milliseconds: u64) -> Transaction<'_> {
        Transaction::new(self, time_milliseconds)
    }

    /// Where a table lies in `tables`.
    ///
    /// # Panics
    /// If it was not declared: which tables there are is part of the program, not of anything it receives.
    pub(crate) fn position(&self, table: TableId) -> usize {
        self.catalog.position(table).unwrap_or_else(|| panic!("table {table} was not declared"))
    }

    /// Whether a change of this table's rows is a revision.
    pub(crate) fn is_versioned(&self, table: TableId) -> bool {
        self.catalog.specs()[self.position(table)].history != History::Unversioned
    }

    fn table(&self, table: TableId) -> &Table {
        &self.tables[self.position(table)]
    }

    fn readable_at(&self, id: TableId, revision: u64) -> Result<&Table, HistoryError> {
        if revision < self.compacted {
            return Err(HistoryError::Compacted { compacted: self.compacted });
        }
        if revision > self.revision {
            return Err(HistoryError::Future { revision: self.revision });
        }
        let position = self.position(id);
        let kept = self.catalog.specs()[position].history == History::Kept;
        assert!(kept || revision == self.revision, "table {id} keeps no history, revision {revision} cannot be read");
        Ok(&self.tables[position])
    }
}

/// Whether a key lies between two bounds.
fn within(key: &[u8], from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    let above = match from {
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
        Bound::Unbounded => true,
    };
    let below = match to {
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
        Bound::Unbounded => true,
    };
    above && below
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("revision", &self.revision)
            .field("compacted", &self.compacted)
            .field("hash", &format_args!("{:032x}", self.hash()))
            .field("bytes", &self.bytes())
            .field("leases", &self.leases.len())
            .finish_non_exhaustive()
    }
}
