//! Building a tree from keys that arrive in order, each node once and at its final size.

use super::Tree;
use super::edge::{Target, edge};
use super::node::{Slot, branch};
use super::text::common;

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
    terminal: Option<Slot<V>>,
    slots: Vec<(u8, Slot<V>)>,
}

struct Pending<V> {
    target: Target<V>,
    /// How many bytes of the last key lead to it.
    depth: usize,
}

/// A key was loaded that is not greater than the key before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys to load must ascend strictly, and one did not")]
pub struct OutOfOrder;

impl<V: Clone> Loader<V> {
    /// Nothing loaded yet.
    #[must_use]
    pub fn new() -> Self {
        Loader {
            last: None,
            open: Vec::new(),
            pending: None,
        }
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
        self.pending = Some(Pending {
            target: Target::Leaf(value),
            depth: key.len(),
        });
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
        Tree {
            root: edge(&last[..pending.depth], pending.target),
        }
    }

    /// Finishes every branch below the place where the next key leaves the way to the last one, and opens a branch
    /// there if there is none.
    fn close(&mut self, last: &[u8], shared: usize) {
        while let Some(open) = self.open.pop_if(|open| open.depth > shared) {
            self.attach(last, open);
        }
        let mut open = self
            .open
            .pop_if(|open| open.depth == shared)
            .unwrap_or(Open {
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
        self.pending = Some(Pending {
            target: Target::Branch(branch(open.terminal, open.slots.into_iter())),
            depth: open.depth,
        });
    }

    fn hang(&mut self, last: &[u8], open: &mut Open<V>) {
        let pending = self.pending.take().expect("a last key was pushed");
        match last[open.depth..pending.depth].split_first() {
            None => open.terminal = Some(edge(&[], pending.target)),
            Some((&byte, text)) => open.slots.push((byte, edge(text, pending.target))),
        }
    }
}

impl<V: Clone> Default for Loader<V> {
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
