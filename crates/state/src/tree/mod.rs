//! A persistent ordered map from byte strings to values: its clone is a pointer, its roll-back is dropping one.
//!
//! Knows nothing of rows, tables, revisions or protocols; a value is whatever can be cloned cheaply.
//!
//! It is a radix tree: a key is spelt by the way from the root to its leaf, so no key is stored as such, and what keys
//! begin with in common is stored once. `node` says what it is made of, `edge` how it spells long texts, `walk` how a
//! place in it moves; the other files are one operation each.
//!
//! Nodes are shared by reference count. A write copies the nodes on its way that a clone of the tree shares, and changes
//! those in place that nobody shares, so that a batch of writes pays for each node once. There are no parent pointers, no
//! locks, and no recursion: how deep a tree is, is up to whoever chooses the keys.

mod build;
mod bulk;
mod check;
mod diff;
mod divide;
mod edge;
mod insert;
mod lookup;
mod node;
mod range;
mod rank;
mod release;
mod remove;
mod text;
mod touch;
mod walk;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

pub use bulk::{Loader, OutOfOrder};
pub use diff::{Diff, Difference};
pub use range::Range;
pub use touch::Value;

use node::Slot;
use walk::Walk;

/// A persistent ordered map from arbitrary byte keys to `V`.
///
/// Keys are ordered byte by byte, a key before every longer key that it begins. Every byte string is a key, the empty
/// one included. Cloning a tree is O(1) and shares everything; a write copies what it must and touches no clone.
/// Copying a shared node clones the values in it, so that should be cheap: a reference count.
#[derive(Clone)]
pub struct Tree<V> {
    root: Slot<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Tree { root: Slot::Vacant }
    }
}

impl<V: Value> Tree<V> {
    /// An empty tree. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Tree::default()
    }

    /// Builds a tree from entries in strictly ascending order of their keys, faster and smaller than by inserting.
    ///
    /// # Errors
    /// [`OutOfOrder`] if a key is not greater than the one before it.
    pub fn from_sorted<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, V)>) -> Result<Self, OutOfOrder> {
        let mut loader = Loader::new();
        for (key, value) in entries {
            loader.push(key.as_ref(), value)?;
        }
        Ok(loader.finish())
    }

    /// How many keys there are. O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.root.count()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.root, Slot::Vacant)
    }

    /// Whether both trees are the very same nodes, so that they surely hold the same. `false` says nothing. O(1).
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Slot::Vacant, Slot::Vacant) => true,
            (Slot::Branch { text, node }, Slot::Branch { text: other_text, node: other }) => {
                Arc::ptr_eq(node, other) && text.as_slice() == other_text.as_slice()
            }
            (Slot::Span(span), Slot::Span(other)) => Arc::ptr_eq(span, other),
            _ => false,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        lookup::find(&self.root, key)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Gives the key a value and returns the one it had. In place where nodes are unshared, copied where shared.
    pub fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        if lookup::find_to_write(&self.root, key).is_some() {
            return Some(insert::replace(&mut self.root, key, value));
        }
        insert::add(&mut self.root, key, value);
        None
    }

    /// Takes the key out and returns its value. Copies nothing if the key is absent.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        lookup::find_to_write(&self.root, key)?;
        Some(remove::remove(&mut self.root, key))
    }

    /// The entries between two bounds, in order, from both ends. Bounds that enclose nothing give an empty range.
    #[must_use]
    pub fn range<'a>(&'a self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'a, V> {
        Range::new(&self.root, from, to)
    }

    /// All entries, in order.
    #[must_use]
    pub fn iter(&self) -> Range<'_, V> {
        self.range(Bound::Unbounded, Bound::Unbounded)
    }

    /// The entries whose keys begin with `prefix` (a key equal to it included).
    #[must_use]
    pub fn prefix<'a>(&'a self, prefix: &[u8]) -> Range<'a, V> {
        match successor(prefix) {
            Some(end) => self.range(Bound::Included(prefix), Bound::Excluded(&end)),
            None => self.range(Bound::Included(prefix), Bound::Unbounded),
        }
    }

    /// How many keys lie between two bounds, without walking them: O(depth × fan-out).
    #[must_use]
    pub fn count(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> usize {
        rank::between(&self.root, from, to)
    }

    /// How many keys begin with `prefix`, without walking them.
    #[must_use]
    pub fn count_prefix(&self, prefix: &[u8]) -> usize {
        match successor(prefix) {
            Some(end) => self.count(Bound::Included(prefix), Bound::Excluded(&end)),
            None => self.count(Bound::Included(prefix), Bound::Unbounded),
        }
    }

    /// The first entry whose key is `key` or greater.
    #[must_use]
    pub fn first_at_or_after(&self, key: &[u8]) -> Option<(Vec<u8>, &V)> {
        let mut walk = Walk::new(&self.root);
        walk.seek(key, true);
        Some((walk.key().to_vec(), walk.leaf()?))
    }

    /// The last entry whose key is `key` or smaller.
    #[must_use]
    pub fn last_at_or_before(&self, key: &[u8]) -> Option<(Vec<u8>, &V)> {
        let mut walk = Walk::new(&self.root);
        walk.seek_before(key, true);
        Some((walk.key().to_vec(), walk.leaf()?))
    }

    /// What differs from `old`, in order of keys: O(differences × depth) where the trees share nodes.
    #[must_use]
    pub fn diff<'a>(&'a self, old: &'a Self) -> Diff<'a, V>
    where
        V: PartialEq,
    {
        Diff::new(&old.root, &self.root)
    }

    /// How many bytes the nodes take, each allocation rounded up to 16; what values point to is not counted, nodes that
    /// are shared with other trees are. O(n), for measurements.
    #[must_use]
    pub fn footprint(&self) -> usize {
        check::footprint(&self.root)
    }

    /// Asserts every invariant of the tree. O(n), for tests.
    ///
    /// # Panics
    /// If one is broken.
    pub fn check(&self) {
        check::check(&self.root);
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for Tree<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_map();
        let mut entries = self.iter();
        while let Some((key, value)) = entries.next() {
            output.entry(&key.escape_ascii().to_string(), value);
        }
        output.finish()
    }
}

/// The smallest key greater than every key that begins with `prefix`; none if there is no such key.
#[must_use]
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}
