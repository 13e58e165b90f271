//! How much of the past is remembered, where to cut it, and giving its memory back.
//!
//! Cutting is a logged edit, effective at once and equal everywhere. Giving memory back is each member's own affair
//! and shows nowhere. Neither is decided here: the owner asks, proposes and calls.

use crate::state::State;

impl State {
    /// What is remembered of revisions above the compaction point, in bytes: what a compaction at the present
    /// revision would free. An estimate, but the same on all members.
    pub fn history_bytes(&self) -> u64 {
        self.feed.weight()
    }

    /// How many revisions above the compaction point changed rows.
    pub fn history_revisions(&self) -> usize {
        self.feed.count_above(self.compacted)
    }

    /// The smallest revision whose compaction leaves at most `bytes` of history: [`State::compacted`] if that is
    /// so already.
    pub fn revision_leaving(&self, bytes: u64) -> u64 {
        self.first_revision_where(|revision| self.feed.weight_above(revision) <= bytes)
    }

    /// The newest revision that was written before `time_milliseconds`, if it is above the compaction point: what
    /// to compact so that younger history stays. Where leaders' clocks disagreed, one of those near to it.
    pub fn revision_before(&self, time_milliseconds: u64) -> Option<u64> {
        let first_kept = self.first_revision_where(|revision| {
            let next = self.feed.first_from(revision + 1);
            next.is_none_or(|(_, moment)| moment.time_milliseconds >= time_milliseconds)
        });
        let (revision, moment) = self.feed.last_through(first_kept)?;
        (revision > self.compacted && moment.time_milliseconds < time_milliseconds).then_some(revision)
    }

    /// Gives back memory of what was compacted: at most `budget` changes' worth of work. Returns how many
    /// revisions wait to be reclaimed still. Changes nothing that anybody can see; when it is called may differ
    /// between members.
    pub fn reclaim(&mut self, budget: usize) -> usize {
        let State { catalog, tables, feed, compacted, .. } = self;
        // Who gives back memory does so after every turn, and most turns compact nothing.
        if feed.is_reclaimed(*compacted) {
            return 0;
        }
        feed.reclaim(*compacted, budget, |change| {
            let position = catalog.position(change.table).expect("a change is of a declared table");
            if let Some(past) = &mut tables[position].past {
                past.forget(&change.key, change.before.as_ref(), change.after.is_none(), change.revision);
            }
        });
        feed.reclaimable(*compacted)
    }

    /// The smallest revision from the compaction point to the newest for which `holds`, given that it holds for all
    /// above it. The newest if it holds for none.
    fn first_revision_where(&self, holds: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (self.compacted, self.revision);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}
