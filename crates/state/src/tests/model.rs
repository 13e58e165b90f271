//! The naive model: every version and every event in plain lists, nothing ever thrown away.
//!
//! Compaction only moves a number here; what it makes unreadable is still there, so a read that should fail and a
//! read that should work are told apart by the number alone.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::history::Past;
use crate::{Change, ChangeKind, History, HistoryError, LeaseId, Row, State, TableId};

use super::script::{Bounds, EVENTS, KEPT};

pub(super) const TABLES: [TableId; 2] = [KEPT, EVENTS];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelRow {
    created: u64,
    modified: u64,
    version: u64,
    pub(super) lease: i64,
    value: Vec<u8>,
}

impl ModelRow {
    fn of(row: &Row) -> ModelRow {
        ModelRow {
            created: row.created(),
            modified: row.modified(),
            version: row.version(),
            lease: row.lease().0,
            value: row.value().to_vec(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    revision: u64,
    table: TableId,
    key: Vec<u8>,
    before: Option<ModelRow>,
    after: Option<ModelRow>,
}

type Versions = Vec<(u64, Option<ModelRow>)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) revision: u64,
    pub(super) compacted: u64,
    versions: BTreeMap<(TableId, Vec<u8>), Versions>,
    /// Span, rest and owner by id.
    pub(super) leases: BTreeMap<i64, (u64, u64, u8)>,
    events: Vec<Event>,
    times: Vec<(u64, u64)>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model { revision: 1, ..Model::default() }
    }

    pub(super) fn row(&self, table: TableId, key: &[u8]) -> Option<&ModelRow> {
        self.row_at(table, key, self.revision)
    }

    fn row_at(&self, table: TableId, key: &[u8], revision: u64) -> Option<&ModelRow> {
        let versions = self.versions.get(&(table, key.to_vec()))?;
        versions.iter().rev().find(|(of, _)| *of <= revision)?.1.as_ref()
    }

    pub(super) fn put(&mut self, table: TableId, key: &[u8], value: &[u8], lease: i64) {
        let before = self.row(table, key).cloned();
        let row = ModelRow {
            created: before.as_ref().map_or(self.revision, |row| row.created),
            modified: self.revision,
            version: before.as_ref().map_or(1, |row| row.version + 1),
            lease,
            value: value.to_vec(),
        };
        self.record(table, key, before, Some(row));
    }

    pub(super) fn delete(&mut self, table: TableId, key: &[u8]) {
        if let Some(before) = self.row(table, key).cloned() {
            self.record(table, key, Some(before), None);
        }
    }

    fn record(&mut self, table: TableId, key: &[u8], before: Option<ModelRow>, after: Option<ModelRow>) {
        let revision = self.revision;
        self.versions.entry((table, key.to_vec())).or_default().push((revision, after.clone()));
        let before = before.filter(|_| table == KEPT);
        self.events.push(Event { revision, table, key: key.to_vec(), before, after });
    }

    pub(super) fn attached(&self, lease: i64) -> Vec<(TableId, Vec<u8>)> {
        let attached = |(table, key): &&(TableId, Vec<u8>)| self.row(*table, key).is_some_and(|row| row.lease == lease);
        self.versions.keys().filter(attached).cloned().collect()
    }

    pub(super) fn revoke(&mut self, lease: i64) {
        for (table, key) in self.attached(lease) {
            self.delete(table, &key);
        }
        self.leases.remove(&lease);
    }

    pub(super) fn changed_since(&self, before: &Model) -> bool {
        self.events.len() > before.events.len()
    }

    pub(super) fn sealed(&mut self, time: u64) {
        self.times.push((self.revision, time));
    }

    fn rows_at(&self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>, revision: u64) -> Rows {
        let keys = self.versions.keys().filter(|(of, key)| *of == table && inside(key, from, to));
        keys.filter_map(|(_, key)| Some((key.clone(), self.row_at(table, key, revision)?.clone()))).collect()
    }

    /// Asserts that a state shows exactly what this model does, now and at every revision that is not compacted.
    pub(super) fn assert_shown_by(&self, state: &State, bounds: &[Bounds]) {
        assert_eq!((state.revision(), state.compacted()), (self.revision, self.compacted));
        state.check();
        for table in TABLES {
            self.assert_table(state, table, bounds);
        }
        self.assert_leases(state);
        self.assert_feed(state);
        for (from, to) in bounds {
            self.assert_past(state, from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        }
    }

    fn assert_table(&self, state: &State, table: TableId, bounds: &[Bounds]) {
        let all = self.rows_at(table, Bound::Unbounded, Bound::Unbounded, self.revision);
        assert_eq!(state.len(table), all.len());
        let mut bytes = 0;
        for (key, row) in &all {
            let found = state.get(table, key).expect("the model has this row");
            assert_eq!(ModelRow::of(found), *row);
            assert_eq!(found.value_bytes(), row.value);
            bytes += (key.len() + found.encoded().len()) as u64;
        }
        assert_eq!(state.table_bytes(table), bytes);
        for (from, to) in bounds {
            let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
            let expected = self.rows_at(table, from, to, self.revision);
            let mut range = state.range(table, from, to);
            let mut found = Vec::new();
            while let Some((key, row)) = range.next() {
                found.push((key.to_vec(), ModelRow::of(row)));
            }
            assert_eq!(found, expected);
            assert_eq!(state.count(table, from, to), expected.len());
        }
    }

    fn assert_past(&self, state: &State, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        for revision in self.compacted..=self.revision {
            let expected = self.rows_at(KEPT, from, to, revision);
            let mut range = state.range_at(KEPT, from, to, revision).expect("not compacted");
            let mut found = Vec::new();
            while let Some((key, row)) = range.next() {
                found.push((key.to_vec(), ModelRow::of(row)));
            }
            assert_eq!(found, expected, "at revision {revision} of {}", self.revision);
            assert_eq!(state.count_at(KEPT, from, to, revision), Ok(expected.len()));
            for (_, key) in self.versions.keys().filter(|(table, _)| *table == KEPT) {
                let row = state.get_at(KEPT, key, revision).expect("not compacted");
                assert_eq!(row.map(ModelRow::of).as_ref(), self.row_at(KEPT, key, revision));
            }
        }
        let future = Err(HistoryError::Future { revision: self.revision });
        assert_eq!(state.get_at(KEPT, b"", self.revision + 1), future);
        if self.compacted > 0 {
            let compacted = HistoryError::Compacted { compacted: self.compacted };
            assert_eq!(state.get_at(KEPT, b"", self.compacted - 1), Err(compacted));
            assert_eq!(state.range_at(KEPT, from, to, self.compacted - 1).err(), Some(compacted));
            assert_eq!(state.count_at(KEPT, from, to, self.compacted - 1), Err(compacted));
            assert_eq!(state.changes(self.compacted - 1).err(), Some(compacted));
        }
    }

    fn assert_feed(&self, state: &State) {
        for from in self.compacted..=self.revision + 1 {
            let found: Vec<Event> = state.changes(from).expect("not compacted").map(event_of).collect();
            let expected: Vec<Event> = self.events.iter().filter(|event| event.revision >= from).cloned().collect();
            assert_eq!(found, expected, "changes from {from}");
        }
        let changed: Vec<u64> = self.times.iter().map(|(revision, _)| *revision).collect();
        let above = changed.iter().filter(|revision| **revision > self.compacted).count();
        assert_eq!(state.history_revisions(), above);
        assert_eq!(state.history_bytes() == 0, above == 0);
        assert_eq!(state.revision_leaving(u64::MAX), self.compacted);
        for limit in [0, 300, 1_000, 3_000] {
            self.assert_compaction_target(state, state.revision_leaving(limit), limit);
        }
        for &(_, time) in &self.times {
            let before = self.times.iter().rev().find(|(_, of)| *of < time).map(|(revision, _)| *revision);
            let expected = before.filter(|revision| *revision > self.compacted);
            assert_eq!(state.revision_before(time), expected, "before time {time}");
        }
    }

    /// Compacting the revision leaves at most so much history, and compacting any older one leaves more.
    fn assert_compaction_target(&self, state: &State, target: u64, limit: u64) {
        let left = |revision: u64| {
            let mut copy = state.clone();
            let mut transaction = copy.begin(0);
            if revision > self.compacted {
                transaction.compact(revision).expect("within the history");
            }
            transaction.finish();
            copy.history_bytes()
        };
        assert!(left(target) <= limit);
        assert!(target == self.compacted || left(target - 1) > limit);
    }

    fn assert_leases(&self, state: &State) {
        let found: Vec<_> = state
            .leases()
            .map(|(id, lease)| (id.0, (lease.ttl_milliseconds, lease.remaining_milliseconds, lease.owner)))
            .collect();
        let expected: Vec<_> = self.leases.iter().map(|(id, lease)| (*id, *lease)).collect();
        assert_eq!(found, expected);
        assert_eq!(state.lease_count(), expected.len());
        let mut attached = 0;
        for &id in self.leases.keys() {
            let mut rows = state.lease_rows(LeaseId(id));
            let mut found = Vec::new();
            while let Some((table, key)) = rows.next() {
                found.push((table, key.to_vec()));
            }
            attached += found.len();
            assert_eq!(found, self.attached(id));
        }
        assert_eq!(state.leases.attached_len(), attached);
    }
}

type Rows = Vec<(Vec<u8>, ModelRow)>;

fn event_of(change: &Change) -> Event {
    assert_eq!(change.kind == ChangeKind::Delete, change.after.is_none());
    Event {
        revision: change.revision,
        table: change.table,
        key: change.key.to_vec(),
        before: change.before.as_ref().map(ModelRow::of),
        after: change.after.as_ref().map(ModelRow::of),
    }
}

fn inside(key: &[u8], from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    let start_fits = match from {
        Bound::Included(from) => from <= key,
        Bound::Excluded(from) => from < key,
        Bound::Unbounded => true,
    };
    start_fits
        && match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        }
}

/// Asserts that two states are the same in everything that is not the progress of forgetting, and after both forgot
/// all they may, in what they hold inside as well.
pub(super) fn assert_same(left: &State, right: &State) {
    assert_eq!(left.hash(), right.hash());
    assert_eq!(left.bytes(), right.bytes());
    assert_eq!(left.time_milliseconds(), right.time_milliseconds());
    assert_eq!(left.history_bytes(), right.history_bytes());
    let changes = |state: &State| -> Vec<Change> {
        state.changes(state.compacted()).expect("the compaction point").cloned().collect()
    };
    assert_eq!(changes(left), changes(right));
    let (mut left, mut right) = (left.clone(), right.clone());
    assert_eq!((left.reclaim(usize::MAX), right.reclaim(usize::MAX)), (0, 0));
    for (position, spec) in left.specs().iter().enumerate() {
        assert_eq!(spec.history == History::Kept, left.tables[position].past.is_some());
        let filed = |state: &State| state.tables[position].past.as_ref().map(Past::dump);
        assert_eq!(filed(&left), filed(&right), "filed versions of {}", spec.name);
    }
}
