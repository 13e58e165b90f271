//! Who wants to hear of a key: subscribers by exact key, by prefix and by range, per table.
//!
//! Exact keys and prefixes share one trie, so one walk down a key finds both: time in proportion to the key and to
//! the matches, however many others subscribe elsewhere. Ranges lie in an interval tree: one path down it for each
//! match and one more.
//!
//! Matches come in a fixed order: prefixes from the shortest to the longest, then the exact key, then ranges by
//! start and end; within each of these, subscribers in their own order. So what follows from a match is the same in
//! every run.
//!
//! It does not know what a subscriber is, what happened to the key, or how far anybody has read.

mod intervals;
mod trie;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::table::TableId;
use intervals::Intervals;
use trie::{Reach, Trie};

/// A set of keys somebody is interested in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// One key.
    Exact(Bytes),
    /// All keys that begin so; the empty prefix means every key.
    Prefix(Bytes),
    /// All keys from the first, included, to the second, excluded; to the end of the table if there is no second.
    Range(Bytes, Option<Bytes>),
}

impl Interest {
    /// Whether a key is in the set.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Interest::Exact(exact) => key == exact,
            Interest::Prefix(prefix) => key.starts_with(prefix),
            Interest::Range(start, end) => key >= start && end.as_ref().is_none_or(|end| key < end),
        }
    }
}

/// Subscribers of type `W`, small values that name one subscription each.
#[derive(Clone, Debug)]
pub struct Index<W> {
    tables: BTreeMap<TableId, Interests<W>>,
    subscriptions: usize,
}

#[derive(Clone, Debug)]
struct Interests<W> {
    keys: Trie<W>,
    ranges: Intervals<W>,
}

impl<W: Ord> Index<W> {
    /// No subscribers.
    pub fn new() -> Index<W> {
        Index { tables: BTreeMap::new(), subscriptions: 0 }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// Whether nobody subscribes to anything.
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// Adds a subscription. `false` if this subscriber has this interest already.
    pub fn insert(&mut self, table: TableId, interest: &Interest, subscriber: W) -> bool {
        let interests = self.tables.entry(table).or_insert_with(Interests::new);
        let added = match interest {
            Interest::Exact(key) => interests.keys.insert(key, Reach::Exact, subscriber),
            Interest::Prefix(key) => interests.keys.insert(key, Reach::Prefix, subscriber),
            Interest::Range(start, end) => interests.ranges.insert(start, end.as_deref(), subscriber),
        };
        self.subscriptions += usize::from(added);
        added
    }

    /// Takes a subscription back. `false` if there was none.
    pub fn remove(&mut self, table: TableId, interest: &Interest, subscriber: &W) -> bool {
        let Some(interests) = self.tables.get_mut(&table) else {
            return false;
        };
        let removed = match interest {
            Interest::Exact(key) => interests.keys.remove(key, Reach::Exact, subscriber),
            Interest::Prefix(key) => interests.keys.remove(key, Reach::Prefix, subscriber),
            Interest::Range(start, end) => interests.ranges.remove(start, end.as_deref(), subscriber),
        };
        self.subscriptions -= usize::from(removed);
        removed
    }

    /// Tells every subscription that a key of a table matches, in the order that the module describes. A subscriber
    /// with several matching interests is told once for each.
    pub fn matching<'a>(&'a self, table: TableId, key: &[u8], mut tell: impl FnMut(&'a W)) {
        if let Some(interests) = self.tables.get(&table) {
            interests.keys.matching(key, &mut tell);
            interests.ranges.matching(key, &mut tell);
        }
    }
}

impl<W: Ord> Default for Index<W> {
    fn default() -> Self {
        Index::new()
    }
}

impl<W: Ord> Interests<W> {
    fn new() -> Interests<W> {
        Interests { keys: Trie::new(), ranges: Intervals::new() }
    }
}

/// Adds to a sorted list; `false` if it is there already.
fn add<W: Ord>(subscribers: &mut Vec<W>, subscriber: W) -> bool {
    match subscribers.binary_search(&subscriber) {
        Ok(_) => false,
        Err(position) => {
            // Exactly one place for the first: most keys have one subscriber, and there may be very many keys.
            if subscribers.is_empty() {
                subscribers.reserve_exact(1);
            }
            subscribers.insert(position, subscriber);
            true
        }
    }
}

/// Takes out of a sorted list; `false` if it is not there. An emptied list gives its memory back.
fn take<W: Ord>(subscribers: &mut Vec<W>, subscriber: &W) -> bool {
    let Ok(position) = subscribers.binary_search(subscriber) else {
        return false;
    };
    subscribers.remove(position);
    if subscribers.is_empty() {
        *subscribers = Vec::new();
    }
    true
}

#[cfg(test)]
mod tests;
