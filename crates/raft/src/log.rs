//! The log in memory: everything since the last compaction, and the memberships that stand in it.
//!
//! Invariants, asserted where they could break:
//! - places are contiguous: the entry at `base.index + 1` is the first, and there is no gap;
//! - terms never fall along the log;
//! - the membership in force is the last one in the log, or the base's if there is none behind it;
//! - what `owed` does not name is exactly what the writes handed out so far make of the disk.
//!
//! This file may not know terms of office, votes, peers or the commit index: its callers see to it that
//! nothing committed is cut.

use std::collections::VecDeque;

use crate::effects::Write;
use crate::membership::Membership;
use crate::mutants::mutated;
use crate::types::{Body, Entry, Index, LogId, Payload, SnapshotMeta, Term, Ticket};

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Log<P> {
    base: LogId,
    entries: VecDeque<Entry<P>>,
    /// Memberships by place, ascending. The first stands at or before the base and is always there.
    memberships: VecDeque<(Index, Membership)>,
    owed: OwedToDisk,
}

/// How the disk will differ from the log once the writes handed out so far are done.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct OwedToDisk {
    /// Entries up to here will be on disk as they are here.
    agreed: Index,
    /// The last place that will be in use on disk.
    end: Index,
    /// The base moved since the last write.
    base: bool,
}

/// Room made at once for a slice: more than most appends carry, and little if it was too much.
const LIKELY_ENTRIES: usize = 1024;

/// What a follower's log did with entries from its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spliced {
    /// The first entry of before that had to go.
    pub(crate) cut: Option<Index>,
    /// The membership in force is another one now.
    pub(crate) membership_changed: bool,
}

impl<P: Payload> Log<P> {
    /// The log that a disk held.
    pub(crate) fn restore(base: SnapshotMeta, entries: Vec<Entry<P>>) -> Self {
        let start = base.last;
        let owed = OwedToDisk { agreed: start.index, end: start.index, base: false };
        let memberships = VecDeque::from([(start.index, base.membership)]);
        let mut log = Self { base: start, entries: VecDeque::with_capacity(entries.len()), memberships, owed };
        for entry in entries {
            log.append(entry);
        }
        log.owed = OwedToDisk { agreed: log.last().index, end: log.last().index, base: false };
        log
    }

    /// The entry behind which the log starts.
    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    /// The last entry.
    pub(crate) fn last(&self) -> LogId {
        match self.entries.back() {
            Some(entry) => LogId::new(entry.term, Index(self.base.index.0 + self.entries.len() as u64)),
            None => self.base,
        }
    }

    /// The term of the entry at `index`, if the log reaches there; the base's own included.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// The id of the entry at `index`, if the log reaches there; the base's own included.
    pub(crate) fn id_at(&self, index: Index) -> Option<LogId> {
        self.term_at(index).map(|term| LogId::new(term, index))
    }

    /// Whether this very entry is in the log or is its base.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The entry at `index`.
    pub(crate) fn get(&self, index: Index) -> Option<&Entry<P>> {
        let distance = index.0.checked_sub(self.base.index.0)?;
        self.entries.get(usize::try_from(distance.checked_sub(1)?).ok()?)
    }

    /// Entries from `from` on, as many as weigh at most `most`, but one at least if there is one.
    pub(crate) fn slice(&self, from: Index, most: usize) -> (Vec<Entry<P>>, usize) {
        assert!(from > self.base.index, "entries at {from} are gone, the log starts behind {}", self.base);
        let mut weight = 0usize;
        let rest = self.behind(from.previous());
        let mut slice = Vec::with_capacity(rest.len().min(LIKELY_ENTRIES));
        for entry in rest {
            let heavier = weight.saturating_add(entry.weight());
            if !slice.is_empty() && heavier > most {
                break;
            }
            weight = heavier;
            slice.push(entry.clone());
        }
        (slice, weight)
    }

    /// The entries behind `index`, in order; from the first one in memory on if that is further.
    pub(crate) fn behind(&self, index: Index) -> impl ExactSizeIterator<Item = &Entry<P>> {
        let start = usize::try_from(index.ahead_of(self.base.index)).unwrap_or(usize::MAX);
        self.entries.range(start.min(self.entries.len())..)
    }

    /// The last entry at or before `index` whose term is at most `term`: where two logs may still agree.
    pub(crate) fn last_of_term(&self, index: Index, term: Term) -> LogId {
        let reach = index.ahead_of(self.base.index).min(self.entries.len() as u64);
        let reach = usize::try_from(reach).expect("no more than there are entries in memory");
        let count = self.partition_point(reach, |entry| entry.term <= term);
        match count.checked_sub(1).and_then(|position| self.entries.get(position)) {
            Some(entry) => LogId::new(entry.term, Index(self.base.index.0 + count as u64)),
            None => self.base,
        }
    }

    /// How many of the first `reach` entries satisfy `holds`, given that those which do come first.
    fn partition_point(&self, reach: usize, holds: impl Fn(&Entry<P>) -> bool) -> usize {
        let (mut low, mut high) = (0, reach);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(&self.entries[middle]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The membership in force.
    pub(crate) fn membership(&self) -> &Membership {
        &self.memberships.back().expect("there is always the base's").1
    }

    /// Where the membership in force stands.
    pub(crate) fn membership_index(&self) -> Index {
        self.memberships.back().expect("there is always the base's").0
    }

    /// The membership that is in force at `index`, which must not be before the base.
    pub(crate) fn membership_at(&self, index: Index) -> &Membership {
        let upto = self.memberships.iter().rev().find(|(place, _)| *place <= index);
        &upto.expect("there is always the base's").1
    }

    /// Adds an entry at the end: the leader's verb.
    pub(crate) fn append(&mut self, entry: Entry<P>) -> LogId {
        let last = self.last();
        assert!(entry.term >= last.term, "an entry of term {} behind {last}", entry.term);
        let id = LogId::new(entry.term, last.index.next());
        if let Body::Membership(membership) = &entry.body {
            self.memberships.push_back((id.index, (**membership).clone()));
        }
        self.entries.push_back(entry);
        id
    }

    /// Makes the log equal to the leader's from `previous` through the last of `entries`: the follower's verb.
    /// Entries that are there already stay, and so does what follows them; only a conflict cuts.
    ///
    /// The caller has checked that `previous` is held and that the entries are sound.
    pub(crate) fn splice(&mut self, previous: LogId, entries: Vec<Entry<P>>) -> Spliced {
        assert!(self.holds(previous) || mutated("gap-in-log"), "{previous} is not in the log");
        let membership_before = self.membership_index();
        let mut index = previous.index;
        let mut cut = None;
        let mut last = self.last().index;
        for entry in entries {
            index = index.next();
            if index <= last {
                if self.term_at(index) == Some(entry.term) {
                    continue;
                }
                self.cut(index);
                cut = Some(index);
            }
            last = self.append(entry).index;
        }
        let membership_changed =
            self.membership_index() != membership_before || cut.is_some_and(|cut| self.membership_index() >= cut);
        Spliced { cut, membership_changed }
    }

    /// The first of `entries`, which follow `previous`, in whose place another entry stands.
    pub(crate) fn first_conflict(&self, previous: Index, entries: &[Entry<P>]) -> Option<Index> {
        let mut index = previous;
        for entry in entries {
            index = index.next();
            if self.term_at(index)? != entry.term {
                return Some(index);
            }
        }
        None
    }

    /// Forgets the entry at `index` and everything behind it.
    fn cut(&mut self, index: Index) {
        assert!(index > self.base.index, "a cut at {index} would go below the base {}", self.base);
        let kept = usize::try_from(index.0 - self.base.index.0 - 1).expect("within the entries in memory");
        self.entries.truncate(kept);
        while self.memberships.back().is_some_and(|(place, _)| *place >= index) {
            self.memberships.pop_back();
        }
        self.owed.agreed = self.owed.agreed.min(if mutated("R13") { index } else { index.previous() });
    }

    /// Forgets the entries up to `index`, which the log must reach.
    pub(crate) fn compact(&mut self, index: Index) {
        let last = self.id_at(index).expect("compaction stays within the log");
        let membership = self.membership_at(index).clone();
        self.rebase(SnapshotMeta { last, membership });
    }

    /// Continues behind a snapshot. What follows the very entry at which it stands is kept; else all goes.
    pub(crate) fn rebase(&mut self, meta: SnapshotMeta) {
        assert!(meta.last.index >= self.base.index, "the base would go back to {}", meta.last);
        if self.holds(meta.last) {
            let gone = usize::try_from(meta.last.index.0 - self.base.index.0).expect("within the entries in memory");
            self.entries.drain(..gone);
        } else {
            self.entries.clear();
            self.memberships.truncate(if mutated("R6") { usize::MAX } else { 0 });
            // Nothing behind the old base is vouched for any more: what the disk holds there will be cut.
            self.owed.agreed = self.owed.agreed.min(self.base.index);
        }
        self.base = meta.last;
        while self.memberships.front().is_some_and(|(place, _)| *place <= meta.last.index) {
            self.memberships.pop_front();
        }
        self.memberships.push_front((meta.last.index, meta.membership));
        self.owed.base = true;
    }

    /// What the next write says about the log, if it says anything: cut, base, previous, entries.
    pub(crate) fn owed_to_disk(&mut self) -> Option<Write<P>> {
        let last = self.last().index;
        let OwedToDisk { agreed, end, base } = self.owed;
        if !base && agreed == last && end == last {
            return None;
        }
        let from = agreed.max(self.base.index).next();
        let write = Write {
            ticket: Ticket::NONE,
            ballot: None,
            cut: (end > agreed).then(|| agreed.next()),
            base: base
                .then(|| SnapshotMeta { last: self.base, membership: self.membership_at(self.base.index).clone() }),
            previous: self.id_at(from.previous()).expect("between base and end"),
            append: self.slice(from, usize::MAX).0,
        };
        self.owed = OwedToDisk { agreed: last, end: last, base: false };
        Some(write)
    }

    /// Asserts the invariants of the file's head.
    pub(crate) fn check(&self) {
        let mut term = self.base.term;
        let mut memberships = vec![self.memberships.front().expect("the base's").clone()];
        assert!(memberships[0].0 <= self.base.index, "the first membership stands behind the base");
        for (position, entry) in self.entries.iter().enumerate() {
            assert!(entry.term >= term, "terms fall behind {}", self.base);
            term = entry.term;
            if let Body::Membership(membership) = &entry.body {
                memberships.push((Index(self.base.index.0 + 1 + position as u64), (**membership).clone()));
            }
        }
        assert!(self.memberships == memberships, "the memberships noted are not those in the log");
        assert!(self.owed.agreed <= self.last().index, "the disk agrees beyond the end of the log");
    }
}

#[cfg(test)]
mod tests;
