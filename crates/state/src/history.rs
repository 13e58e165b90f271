//! The past of one table: superseded versions, readable at the revisions at which they were current.
//!
//! A version is filed under (key, revision at which it became current); the value is the row, or `None` where the
//! key was deleted. What is current lies in the live tree and not here, except that a deletion has no live row and
//! so is filed at once. A read at revision `r` takes the live row if it is not younger than `r`, and otherwise the
//! newest filed version that is not younger.
//!
//! Filed keys order as (key, revision): the key's bytes with every `00` written as `00 ff`, then `00 00`, then the
//! revision in eight bytes, big-endian. Keys with common beginnings keep them in common, which the tree stores once.
//!
//! It does not know when something may be forgotten: the feed does, and says so change by change.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::row::Row;
use crate::table::Table;
use crate::tree::{Range, Tree, Value};

/// Why a read of the past is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The revision is below the compaction point.
    #[error("the revision asked for is gone: everything below revision {compacted} was compacted")]
    Compacted {
        /// The oldest revision that can still be read.
        compacted: u64,
    },
    /// The revision is yet to come.
    #[error("the revision asked for is yet to come: the newest is {revision}")]
    Future {
        /// The newest revision.
        revision: u64,
    },
}

/// Superseded versions of one table's rows. Clone is a pointer.
#[derive(Clone, Default)]
pub(crate) struct Past {
    filed: Tree<Option<Row>>,
    /// The newest revision at which a key was deleted.
    last_deletion: u64,
}

impl Past {
    /// Files what a put at `revision` superseded. A version that was current at no revision's end is not filed.
    pub(crate) fn superseded_by_put(&mut self, key: &[u8], before: Option<&Row>, revision: u64) {
        match before {
            Some(before) if before.modified() < revision => {
                self.file(key, before.modified(), Some(before.clone()));
            }
            Some(_) => {}
            // The key may have been deleted earlier in this same revision; at its end it lives.
            None if self.last_deletion == revision => {
                self.filed.remove(&filed_key(key, revision));
            }
            None => {}
        }
    }

    /// Files what a deletion at `revision` superseded, and the deletion itself.
    pub(crate) fn superseded_by_delete(&mut self, key: &[u8], before: &Row, revision: u64) {
        if before.modified() < revision {
            self.file(key, before.modified(), Some(before.clone()));
        }
        self.file(key, revision, None);
        self.last_deletion = revision;
    }

    fn file(&mut self, key: &[u8], revision: u64, version: Option<Row>) {
        self.filed.insert(&filed_key(key, revision), version);
    }

    /// Forgets what the change at `revision` superseded, once nobody may read below that revision any more.
    pub(crate) fn forget(&mut self, key: &[u8], before: Option<&Row>, deleted: bool, revision: u64) {
        if let Some(before) = before
            && before.modified() < revision
        {
            self.filed.remove(&filed_key(key, before.modified()));
        }
        if deleted {
            let tombstone = filed_key(key, revision);
            // The key may have come back in the same revision; then this is a version, and not ours to forget.
            if matches!(self.filed.get(&tombstone), Some(None)) {
                self.filed.remove(&tombstone);
            }
        }
    }

    /// Files what a snapshot tells of a key at the end of `revision`, in place of what it told before.
    pub(crate) fn restore(&mut self, key: &[u8], revision: u64, version: Restored) {
        match version {
            Restored::Version(row) => self.file(key, revision, Some(row)),
            Restored::Tombstone => self.file(key, revision, None),
            Restored::Nothing => {
                self.filed.remove(&filed_key(key, revision));
            }
        }
    }

    /// The version that was current at `revision`, the live row left aside.
    pub(crate) fn at(&self, key: &[u8], revision: u64) -> Option<&Row> {
        let (first, last) = (filed_key(key, 0), filed_key(key, revision));
        let (_, version) = self.filed.range(Bound::Included(&first), Bound::Included(&last)).next_back()?;
        version.as_ref()
    }

    /// How many versions are filed of keys between two bounds.
    pub(crate) fn count(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> usize {
        let (from, to) = filed_bounds(from, to);
        self.filed.count(as_slice(&from), as_slice(&to))
    }

    /// How many versions are filed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.filed.len()
    }

    /// All that is filed, in order.
    #[cfg(test)]
    pub(crate) fn dump(&self) -> Vec<(Vec<u8>, Option<Row>)> {
        let mut filed = self.filed.iter();
        let mut dump = Vec::new();
        while let Some((key, version)) = filed.next() {
            dump.push((key.to_vec(), version.clone()));
        }
        dump
    }
}

/// What a snapshot tells of a key at the end of a revision.
pub(crate) enum Restored {
    /// A version that was superseded since.
    Version(Row),
    /// Its deletion.
    Tombstone,
    /// Nothing to file: the version is current, or the deletion is forgotten.
    Nothing,
}

/// The row of `key` that was current at `revision`, in a table that keeps its past.
pub(crate) fn row_at<'a>(table: &'a Table, key: &[u8], revision: u64) -> Option<&'a Row> {
    match table.rows.get(key) {
        Some(row) if row.modified() <= revision => Some(row),
        _ => table.past.as_ref()?.at(key, revision),
    }
}

/// Rows as they were at one revision, in order of their keys. A lending cursor: a key lives until the next call.
///
/// It walks the live rows and the filed versions side by side, and steps over a key's filed versions at once.
pub struct RangeAt<'a> {
    revision: u64,
    live: Peeked<'a, Row>,
    past: Option<PastKeys<'a>>,
    /// The key that was lent last.
    key: Vec<u8>,
}

struct Peeked<'a, V> {
    range: Range<'a, V>,
    next: Option<(Vec<u8>, &'a V)>,
}

/// Walks the distinct keys of a past.
struct PastKeys<'a> {
    past: &'a Past,
    filed: Range<'a, Option<Row>>,
    next: Option<Vec<u8>>,
}

impl<'a> RangeAt<'a> {
    pub(crate) fn new(table: &'a Table, from: Bound<&[u8]>, to: Bound<&[u8]>, revision: u64) -> RangeAt<'a> {
        let mut live = Peeked { range: table.rows.range(from, to), next: None };
        live.advance();
        let past = table.past.as_ref().map(|past| PastKeys::new(past, from, to));
        RangeAt { revision, live, past, key: Vec::new() }
    }

    /// The next key that lived at the revision, and its row as it was.
    #[expect(clippy::should_implement_trait, reason = "a lending cursor cannot be an Iterator")]
    pub fn next(&mut self) -> Option<(&[u8], &'a Row)> {
        loop {
            let past_key = self.past.as_ref().and_then(|past| past.next.as_deref());
            let order = match (&self.live.next, past_key) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((live, _)), Some(past)) => live.as_slice().cmp(past),
            };
            let mut found = None;
            if order.is_le() {
                let (key, row) = self.live.advance().expect("a live key was compared");
                self.key = key;
                found = Some(row).filter(|row| row.modified() <= self.revision);
            }
            if order.is_ge() {
                let past = self.past.as_mut().expect("a filed key was compared");
                let key = past.advance().expect("a filed key was compared");
                found = found.or_else(|| past.past.at(&key, self.revision));
                self.key = key;
            }
            if let Some(row) = found {
                return Some((&self.key, row));
            }
        }
    }
}

impl<'a, V: Value> Peeked<'a, V> {
    /// Gives what was next and looks one further.
    fn advance(&mut self) -> Option<(Vec<u8>, &'a V)> {
        let next = self.range.next().map(|(key, value)| (key.to_vec(), value));
        std::mem::replace(&mut self.next, next)
    }
}

impl<'a> PastKeys<'a> {
    fn new(past: &'a Past, from: Bound<&[u8]>, to: Bound<&[u8]>) -> PastKeys<'a> {
        let (from, to) = filed_bounds(from, to);
        let (from, to) = (as_slice(&from), as_slice(&to));
        let mut filed = past.filed.range(from, to);
        let next = filed.next().map(|(filed, _)| key_of_filed(filed));
        PastKeys { past, filed, next }
    }

    /// Gives the key that was next and looks for the one behind all of its versions.
    fn advance(&mut self) -> Option<Vec<u8>> {
        let key = self.next.take()?;
        self.filed.seek(&filed_key(&key, u64::MAX));
        self.next = self.filed.next().map(|(filed, _)| key_of_filed(filed));
        Some(key)
    }
}

/// Bounds that enclose all versions of the keys between two bounds.
fn filed_bounds(from: Bound<&[u8]>, to: Bound<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = match from {
        Bound::Included(key) => Bound::Included(filed_key(key, 0)),
        Bound::Excluded(key) => Bound::Excluded(filed_key(key, u64::MAX)),
        Bound::Unbounded => Bound::Unbounded,
    };
    let to = match to {
        Bound::Included(key) => Bound::Included(filed_key(key, u64::MAX)),
        Bound::Excluded(key) => Bound::Excluded(filed_key(key, 0)),
        Bound::Unbounded => Bound::Unbounded,
    };
    (from, to)
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// (key, revision) in bytes that sort as the pair does.
fn filed_key(key: &[u8], revision: u64) -> Vec<u8> {
    let mut filed = Vec::with_capacity(key.len() + 10);
    for &byte in key {
        filed.push(byte);
        if byte == 0 {
            filed.push(0xff);
        }
    }
    filed.extend_from_slice(&[0, 0]);
    filed.extend_from_slice(&revision.to_be_bytes());
    filed
}

fn key_of_filed(filed: &[u8]) -> Vec<u8> {
    let escaped = &filed[..filed.len() - 10];
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        key.push(byte);
        if byte == 0 {
            let mark = bytes.next();
            assert_eq!(mark, Some(&0xff), "a zero inside a filed key is followed by its mark");
        }
    }
    key
}
