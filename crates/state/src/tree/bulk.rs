//! Building a tree from keys that arrive in order, each node once and at its final size.

use super::Tree;
use super::build::Bound;
use super::divide::arrange;
use super::edge::{Target, edge};
use super::node::{LEAF_TEXT, Slot, WIDTH};
use super::text::{Text, common};
use super::touch::Value;

/// Up to so many leaves become a run in the branch above rather than a branch of their own.
const RUN: usize = WIDTH / 2;

/// Builds a tree from keys that arrive in ascending order, one at a time.
///
/// Only the branches on the way to the last key are still open; everything to their left is finished.
pub struct Loader<V> {
    last: Option<Vec<u8>>,
    /// The open branches, from the root down, each deeper than the one before.
    open: Vec<Open<V>>,
    /// The subtree that holds the last key and is not in an open branch yet; none at the very beginning.
    pending: Option<Pending<V>>,
}

/// A branch that may get more slots.
struct Open<V> {
    /// How many bytes of the last key lead to it.
    depth: usize,
    terminal: Option<V>,
    slots: Bound<V>,
}

struct Pending<V> {
    subtree: Subtree<V>,
    /// How many bytes of the last key lead to it.
    depth: usize,
}

enum Subtree<V> {
    Built(Target<V>),
    /// The terminal and some leaves with short texts, which may come to stand in the branch above.
    Few(Option<V>, Bound<V>),
}

/// A key was loaded that is not greater than the key before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys to load must ascend strictly, and one did not")]
pub struct OutOfOrder;

impl<V: Value> Loader<V> {
    /// Nothing loaded yet.
    #[must_use]
    pub fn new() -> Self {
        Loader { last: None, open: Vec::new(), pending: None }
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// [`OutOfOrder`] if the key is not greater than the one before it; nothing is added then.
    pub fn push(&mut self, key: &[u8], value: V) -> Result<(), OutOfOrder> {
        if let Some(mut last) = self.last.take() {
            if key <= last.as_slice() {
                self.last = Some(last);
                return Err(OutOfOrder);
            }
            let shared = common(&last, key);
            self.close(&last, shared);
            last.truncate(shared);
            last.extend_from_slice(&key[shared..]);
            self.last = Some(last);
        } else {
            self.last = Some(key.to_vec());
        }
        self.pending = Some(Pending { subtree: Subtree::Built(Target::Leaf(value)), depth: key.len() });
        Ok(())
    }

    /// The tree of all that was pushed.
    #[must_use]
    pub fn finish(mut self) -> Tree<V> {
        let Some(last) = self.last.take() else {
            return Tree::new();
        };
        while let Some(open) = self.open.pop() {
            self.attach(&last, open);
        }
        let pending = self.pending.take().expect("a last key was pushed");
        Tree { root: edge(&last[..pending.depth], pending.subtree.build()) }
    }

    /// Finishes every branch below the place where the next key leaves the way to the last one, and opens a branch
    /// there if there is none.
    fn close(&mut self, last: &[u8], shared: usize) {
        while let Some(open) = self.open.pop_if(|open| open.depth > shared) {
            self.attach(last, open);
        }
        let mut open = self.open.pop_if(|open| open.depth == shared).unwrap_or(Open {
            depth: shared,
            terminal: None,
            slots: Vec::new(),
        });
        self.hang(last, &mut open);
        self.open.push(open);
    }

    /// Hangs the pending subtree into a branch that gets no more, which is pending then itself.
    fn attach(&mut self, last: &[u8], mut open: Open<V>) {
        self.hang(last, &mut open);
        let few = open.slots.len() < RUN && open.slots.iter().all(|(_, slot)| matches!(slot, Slot::Leaf { .. }));
        let subtree = Subtree::Few(open.terminal, open.slots);
        self.pending =
            Some(Pending { subtree: if few { subtree } else { Subtree::Built(subtree.build()) }, depth: open.depth });
    }

    fn hang(&mut self, last: &[u8], open: &mut Open<V>) {
        let pending = self.pending.take().expect("a last key was pushed");
        let Some((&byte, text)) = last[open.depth..pending.depth].split_first() else {
            match pending.subtree {
                Subtree::Built(Target::Leaf(value)) => open.terminal = Some(value),
                _ => unreachable!("a branch hangs below where another one opens"),
            }
            return;
        };
        match pending.subtree {
            Subtree::Few(terminal, slots) if fits(text, &slots) => {
                open.slots.extend(run(byte, text, terminal, slots));
            }
            subtree => open.slots.push((byte, edge(text, subtree.build()))),
        }
    }
}

impl<V> Subtree<V> {
    fn build(self) -> Target<V> {
        match self {
            Subtree::Built(target) => target,
            Subtree::Few(terminal, slots) => {
                let terminal = terminal.map(|value| edge(&[], Target::Leaf(value)));
                Target::Branch(arrange(terminal, slots))
            }
        }
    }
}

/// Whether the leaves can stand in the branch above, their texts begun with this one.
fn fits<V>(text: &[u8], slots: &Bound<V>) -> bool {
    slots.iter().all(|(_, slot)| match slot {
        Slot::Leaf { text: own, .. } => text.len() + 1 + own.len() <= LEAF_TEXT,
        _ => false,
    })
}

/// The leaves of a branch as a run in the branch above.
fn run<V>(byte: u8, text: &[u8], terminal: Option<V>, slots: Bound<V>) -> Bound<V> {
    let terminal = terminal.map(|value| (byte, edge(text, Target::Leaf(value))));
    let leaves = slots.into_iter().map(|(below, slot)| match slot {
        Slot::Leaf { text: own, value } => {
            let text = Text::new(&[text, &[below], own.as_slice()].concat());
            (byte, Slot::Leaf { text, value })
        }
        _ => unreachable!("few slots are leaves"),
    });
    terminal.into_iter().chain(leaves).collect()
}

impl<V: Value> Default for Loader<V> {
    fn default() -> Self {
        Loader::new()
    }
}

impl<V> std::fmt::Debug for Loader<V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Loader")
            .field("last", &self.last)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}
