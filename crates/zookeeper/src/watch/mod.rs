//! One connection's watches, as a value: marks on paths, the interests they need in the member's change feed, and
//! the events that changes make of them. It knows no mailbox and no socket; the connection carries its orders out.
//!
//! Setting a mark takes two steps around a read. [`Watches::reserve`] names the interests to subscribe to; then the
//! connection takes a view, lets every event up to it out, and reads; then [`Watches::set`] makes the mark count, or
//! [`Watches::release`] gives up what was reserved. So a change that the read saw meets no mark yet, and one that it
//! did not see meets the mark: each event comes exactly once, and after the reply that it is news to.

mod audience;
mod change;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use node::Interest;
use state::{Change, TableId};

pub(crate) use audience::may_hear;
use change::{Happening, interpret};

use crate::path;
use crate::tables::{CHILDREN, NODES};
use crate::wire::{Event, EventKind};

/// What a client can leave on a path. Each is there or not, whatever the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// Tells once that the node's data changed, that it came or that it went.
    Data,
    /// Tells once that its list of children changed or that it went.
    Children,
    /// Tells all of this, again and again.
    Persistent,
    /// Tells whenever the node or one below it changed, came or went.
    Recursive,
}

/// Which marks a client means that asks for or removes watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    One(Mark),
    Any,
}

impl Selection {
    /// The selection with this number in checkWatches and removeWatches.
    pub(crate) fn from_number(number: i32) -> Option<Selection> {
        Some(match number {
            1 => Selection::One(Mark::Children),
            2 => Selection::One(Mark::Data),
            3 => Selection::Any,
            4 => Selection::One(Mark::Persistent),
            5 => Selection::One(Mark::Recursive),
            _ => return None,
        })
    }

    fn covers(self, mark: Mark) -> bool {
        self == Selection::Any || self == Selection::One(mark)
    }
}

/// What the connection has to tell its mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Watch { token: u64, table: TableId, interest: Interest },
    Unwatch { token: u64 },
}

/// The parts of the change feed that marks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Feed {
    /// The node's own row.
    Node,
    /// The counters of its children.
    Counters,
    /// The rows of its children.
    Children,
    /// The rows of all nodes further below.
    Deep,
}

impl Feed {
    fn needed_by(mark: Mark) -> &'static [Feed] {
        match mark {
            Mark::Data => &[Feed::Node],
            Mark::Children | Mark::Persistent => &[Feed::Node, Feed::Counters],
            Mark::Recursive => &[Feed::Node, Feed::Children, Feed::Deep],
        }
    }

    fn interest(self, path: &str) -> (TableId, Interest) {
        // What has no slash can be no node: its name stands for a key that never comes to be.
        let own_key = || path::node_key(path).unwrap_or_else(|| path.as_bytes().to_vec());
        match self {
            Feed::Node => (NODES, Interest::Exact(Bytes::from(own_key()))),
            Feed::Counters => (CHILDREN, Interest::Exact(Bytes::copy_from_slice(path.as_bytes()))),
            Feed::Children => (NODES, Interest::Prefix(Bytes::from(path::children_prefix(path)))),
            Feed::Deep => (NODES, Interest::Prefix(Bytes::from(path::deep_prefix(path)))),
        }
    }
}

#[derive(Debug, Default)]
struct Watched {
    marks: BTreeSet<Mark>,
    /// Marks that wait for their reads.
    reserved: BTreeSet<Mark>,
    subscribed: BTreeMap<Feed, u64>,
}

/// All marks of one connection.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    paths: BTreeMap<String, Watched>,
    last_token: u64,
    recursive: usize,
}

/// Says of each mark whether it fits.
type Fits = fn(Mark) -> bool;

/// What came of some changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// For the client, in order.
    pub(crate) events: Vec<Event>,
    /// For the mailbox.
    pub(crate) orders: Vec<Order>,
}

impl Watches {
    /// Whether there is nothing to tell this connection ever.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// How many paths have marks.
    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    /// The watched paths, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// First step of setting a mark: what to subscribe to.
    pub(crate) fn reserve(&mut self, path: &str, mark: Mark) -> Vec<Order> {
        self.paths.entry(path.to_owned()).or_default().reserved.insert(mark);
        self.adjust(path)
    }

    /// Second step: the read succeeded, the mark counts from now on.
    pub(crate) fn set(&mut self, path: &str, mark: Mark) {
        let watched = self.paths.get_mut(path).expect("a mark is reserved before it is set");
        assert!(watched.reserved.remove(&mark), "a mark is reserved before it is set");
        if watched.marks.insert(mark) {
            self.recursive += usize::from(mark == Mark::Recursive);
        }
    }

    /// Second step, if the read failed: the mark is not left.
    pub(crate) fn release(&mut self, path: &str, mark: Mark) -> Vec<Order> {
        if let Some(watched) = self.paths.get_mut(path) {
            watched.reserved.remove(&mark);
        }
        self.adjust(path)
    }

    /// Whether a mark waits for its second step.
    pub(crate) fn is_reserved(&self, path: &str, mark: Mark) -> bool {
        self.paths.get(path).is_some_and(|watched| watched.reserved.contains(&mark))
    }

    /// Whether there is such a mark.
    pub(crate) fn contains(&self, path: &str, selection: Selection) -> bool {
        self.has_mark(path, |mark| selection.covers(mark))
    }

    /// Removes marks. `None`: there was no such mark.
    pub(crate) fn remove(&mut self, path: &str, selection: Selection) -> Option<Vec<Order>> {
        if !self.contains(path, selection) {
            return None;
        }
        self.unmark(path, |mark| selection.covers(mark));
        Some(self.adjust(path))
    }

    /// What changes of one revision mean to this connection. Each comes with the token of the interest that it met,
    /// and once for each such interest.
    pub(crate) fn observe(&mut self, zxid: i64, changes: &[(u64, Change)]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut current: Option<(u64, &Change)> = None;
        for (token, change) in changes {
            // The same change by way of another interest of ours: a second change of the same row would come by
            // way of the first interest again.
            let is_repeated = current
                .is_some_and(|(first, seen)| first != *token && seen.table == change.table && seen.key == change.key);
            if is_repeated {
                continue;
            }
            current = Some((*token, change));
            if let Some(happening) = interpret(change) {
                self.fire(zxid, happening, &mut outcome);
            }
        }
        outcome
    }

    fn fire(&mut self, zxid: i64, happening: Happening, outcome: &mut Outcome) {
        let Happening { kind, path } = happening;
        let (fires, spends): (Fits, Fits) = match kind {
            EventKind::Created | EventKind::DataChanged => (|mark| mark != Mark::Children, |mark| mark == Mark::Data),
            EventKind::Deleted => (|_| true, |mark| matches!(mark, Mark::Data | Mark::Children)),
            EventKind::ChildrenChanged => {
                (|mark| matches!(mark, Mark::Children | Mark::Persistent), |mark| mark == Mark::Children)
            }
        };
        let is_marked = self.has_mark(&path, fires);
        let is_below_mark = kind != EventKind::ChildrenChanged && self.is_below_recursive(&path);
        if is_marked {
            self.unmark(&path, spends);
            outcome.orders.extend(self.adjust(&path));
        }
        if is_marked || is_below_mark {
            outcome.events.push(Event { zxid, kind, path });
        }
    }

    fn is_below_recursive(&self, path: &str) -> bool {
        let is_recursive = |path: &str| self.contains(path, Selection::One(Mark::Recursive));
        self.recursive > 0 && path::ancestors(path).any(is_recursive)
    }

    fn has_mark(&self, path: &str, fits: impl Fn(Mark) -> bool) -> bool {
        self.paths.get(path).is_some_and(|watched| watched.marks.iter().any(|&mark| fits(mark)))
    }

    fn unmark(&mut self, path: &str, goes: impl Fn(Mark) -> bool) {
        let Some(watched) = self.paths.get_mut(path) else { return };
        self.recursive -= usize::from(watched.marks.contains(&Mark::Recursive) && goes(Mark::Recursive));
        watched.marks.retain(|&mark| !goes(mark));
    }

    /// Brings a path's interests in line with its marks, and forgets a path without marks.
    fn adjust(&mut self, path: &str) -> Vec<Order> {
        let Some(watched) = self.paths.get_mut(path) else { return Vec::new() };
        let marks = watched.marks.union(&watched.reserved);
        let needed: BTreeSet<Feed> = marks.flat_map(|&mark| Feed::needed_by(mark)).copied().collect();
        let mut orders = Vec::new();
        watched.subscribed.retain(|feed, &mut token| {
            let is_needed = needed.contains(feed);
            if !is_needed {
                orders.push(Order::Unwatch { token });
            }
            is_needed
        });
        for feed in needed {
            watched.subscribed.entry(feed).or_insert_with(|| {
                self.last_token += 1;
                let (table, interest) = feed.interest(path);
                orders.push(Order::Watch { token: self.last_token, table, interest });
                self.last_token
            });
        }
        if watched.subscribed.is_empty() {
            self.paths.remove(path);
        }
        orders
    }
}
