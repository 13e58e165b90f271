//! The change feed: what happened at each revision, in order, until compaction.
//!
//! One entry per revision holds its changes in the order in which they were made, the leader's time, and the
//! weight of everything before it, so that "how much would compacting here free" is a subtraction.
//!
//! The feed also drives forgetting. Once the compaction point reaches a revision, what that revision's changes
//! superseded can be read by nobody, and the changes name it exactly: reclaiming walks the feed from its old end
//! and scans nothing. The revision of the compaction point itself stays in the feed, since a subscriber may still
//! start there; only what lies below is dropped.

use std::ops::Bound;
use std::sync::Arc;

use crate::key::Key;
use crate::row::Row;
use crate::table::{History, TableId};
use crate::tree::{Range, Tree, Value};

/// What one remembered change costs beside its key and row: its place in the feed and in the history, and the
/// headers of their allocations. A figure for deciding, equal on all members, not a measurement.
const CHANGE_OVERHEAD_BYTES: u64 = 224;

/// Whether a row was put or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row was created or replaced.
    Put,
    /// The row was deleted.
    Delete,
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision at which it happened. All changes of a revision come from one transaction.
    pub revision: u64,
    /// The table.
    pub table: TableId,
    /// What happened.
    pub kind: ChangeKind,
    /// The row's key.
    pub key: Key,
    /// The row before. Always `None` in tables with [`History::EventsOnly`].
    pub before: Option<Row>,
    /// The row after; `None` for a deletion.
    pub after: Option<Row>,
}

impl Change {
    /// What remembering it costs, by its table's history.
    fn weight(&self, history: History) -> u64 {
        let row = match history {
            History::Kept => &self.before,
            History::EventsOnly | History::Unversioned => &self.after,
        };
        let row = row.as_ref().map_or(0, |row| row.encoded().len());
        CHANGE_OVERHEAD_BYTES + (self.key.len() + row) as u64
    }
}

/// What happened at one revision.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The leader's unix time, in milliseconds.
    pub(crate) time_milliseconds: u64,
    /// The weight of all changes up to and including this revision, since this feed began.
    weight_through: u64,
    pub(crate) changes: Arc<[Change]>,
}

impl Value for Moment {
    fn touch(&self) -> usize {
        self.changes.touch()
    }
}

/// How far forgetting has come. It differs between members and is part of no hash and no snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// What changes up to this revision superseded is forgotten.
    revision: u64,
    /// So many changes of the following moment are done as well.
    changes: usize,
}

/// Every remembered revision that changed a row. Clone is a pointer.
#[derive(Clone, Default)]
pub(crate) struct Feed {
    moments: Tree<Moment>,
    weight: u64,
    weight_compacted: u64,
    progress: Progress,
}

impl Feed {
    /// Adds a revision, newer than all before.
    pub(crate) fn push(
        &mut self,
        revision: u64,
        time_milliseconds: u64,
        changes: Vec<Change>,
        history: impl Fn(TableId) -> History,
    ) {
        self.weight += changes.iter().map(|change| change.weight(history(change.table))).sum::<u64>();
        let moment = Moment { time_milliseconds, weight_through: self.weight, changes: Arc::from(changes) };
        let replaced = self.moments.insert(&revision.to_be_bytes(), moment);
        assert!(replaced.is_none(), "revision {revision} is in the feed already");
    }

    /// Changes from `revision` on, in order.
    pub(crate) fn changes(&self, revision: u64) -> Changes<'_> {
        let from = revision.to_be_bytes();
        Changes { moments: self.moments.range(Bound::Included(&from), Bound::Unbounded), current: [].iter() }
    }

    /// The oldest remembered revision at or above `revision`.
    pub(crate) fn first_from(&self, revision: u64) -> Option<(u64, &Moment)> {
        self.moments.range(Bound::Included(&revision.to_be_bytes()), Bound::Unbounded).next().map(moment_of)
    }

    /// The newest remembered revision at or below `revision`.
    pub(crate) fn last_through(&self, revision: u64) -> Option<(u64, &Moment)> {
        self.moments.range(Bound::Unbounded, Bound::Included(&revision.to_be_bytes())).next_back().map(moment_of)
    }

    /// How many revisions above `revision` changed a row.
    pub(crate) fn count_above(&self, revision: u64) -> usize {
        self.moments.count(Bound::Excluded(&revision.to_be_bytes()), Bound::Unbounded)
    }

    /// What is remembered above the compaction point.
    pub(crate) fn weight(&self) -> u64 {
        self.weight - self.weight_compacted
    }

    /// What would be remembered if `revision` were the compaction point.
    pub(crate) fn weight_above(&self, revision: u64) -> u64 {
        let through = self.last_through(revision).map_or(self.weight_compacted, |(_, moment)| moment.weight_through);
        self.weight - through.max(self.weight_compacted)
    }

    /// Moves the compaction point; nothing is dropped yet.
    pub(crate) fn compact(&mut self, revision: u64) {
        self.weight_compacted = self.weight - self.weight_above(revision);
    }

    /// Takes the next step of forgetting: hands at most `budget` changes at or below `compacted` to `forget`, and
    /// drops what lies below it. Returns how much of the budget was used; less than `budget` only when all is done.
    pub(crate) fn reclaim(&mut self, compacted: u64, budget: usize, mut forget: impl FnMut(&Change)) -> usize {
        let mut used = 0;
        while used < budget {
            let Some((revision, moment)) = self.first_from(0).filter(|&(revision, _)| revision <= compacted) else {
                self.progress = Progress { revision: compacted, changes: 0 };
                break;
            };
            let changes = Arc::clone(&moment.changes);
            if revision > self.progress.revision {
                let end = changes.len().min(self.progress.changes.saturating_add(budget - used));
                changes[self.progress.changes..end].iter().for_each(&mut forget);
                used += end - self.progress.changes;
                if end < changes.len() {
                    self.progress.changes = end;
                    break;
                }
                self.progress = Progress { revision, changes: 0 };
            }
            if revision == compacted {
                break;
            }
            self.moments.remove(&revision.to_be_bytes());
            used += 1;
        }
        used
    }

    /// Whether nothing waits to be forgotten. Takes no look at the feed itself.
    pub(crate) fn is_reclaimed(&self, compacted: u64) -> bool {
        self.progress == Progress { revision: compacted, changes: 0 }
    }

    /// How many revisions wait to be forgotten.
    pub(crate) fn reclaimable(&self, compacted: u64) -> usize {
        let key = compacted.to_be_bytes();
        let below = self.moments.count(Bound::Unbounded, Bound::Excluded(&key));
        let point = self.moments.get(&key).is_some() && self.progress.revision < compacted;
        below + usize::from(point)
    }

    /// A restored state has forgotten everything at or below its compaction point.
    pub(crate) fn restored(&mut self, compacted: u64) {
        self.progress = Progress { revision: compacted, changes: 0 };
        self.compact(compacted);
    }
}

fn moment_of<'a>((key, moment): (&[u8], &'a Moment)) -> (u64, &'a Moment) {
    let key = key.try_into().expect("feed keys are eight bytes");
    (u64::from_be_bytes(key), moment)
}

/// Changes in the order in which they happened.
pub struct Changes<'a> {
    moments: Range<'a, Moment>,
    current: std::slice::Iter<'a, Change>,
}

impl<'a> Iterator for Changes<'a> {
    type Item = &'a Change;

    fn next(&mut self) -> Option<&'a Change> {
        loop {
            if let Some(change) = self.current.next() {
                return Some(change);
            }
            let (_, moment) = self.moments.next()?;
            self.current = moment.changes.iter();
        }
    }
}
