//! A persistent ordered map from byte strings to values: its clone is a pointer, its roll-back is dropping one.
//!
//! Knows nothing of rows, tables, revisions or protocols; a value is whatever can be cloned cheaply.
//!
//! This first version keeps the entries in one shared `BTreeMap` and copies all of it when a shared tree is written.
//! It fixes the interface and its meaning; the radix tree takes its place behind the same interface.

mod diff;
mod range;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

pub use diff::{Diff, Difference};
pub use range::Range;

/// A persistent ordered map from arbitrary byte keys to `V`.
///
/// Keys are ordered byte by byte, a key before every longer key that it begins. Every byte string is a key, the empty
/// one included. Cloning a tree is O(1) and shares everything; a write copies what it must and touches no clone.
/// Cloning `V` should be cheap (a reference count), because copying a shared node clones the values in it.
#[derive(Clone, Debug)]
pub struct Tree<V> {
    entries: Arc<BTreeMap<Vec<u8>, V>>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Tree {
            entries: Arc::default(),
        }
    }
}

impl<V: Clone> Tree<V> {
    /// An empty tree. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Tree::default()
    }

    /// Builds a tree from entries in strictly ascending order of their keys, faster and smaller than by inserting.
    ///
    /// # Errors
    /// [`OutOfOrder`] if a key is not greater than the one before it.
    pub fn from_sorted<K: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, OutOfOrder> {
        let mut loader = Loader::new();
        for (key, value) in entries {
            loader.push(key.as_ref(), value)?;
        }
        Ok(loader.finish())
    }

    /// How many keys there are. O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether both trees are the very same nodes, so that they surely hold the same. `false` says nothing. O(1).
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.entries.get(key)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Gives the key a value and returns the one it had. In place where nodes are unshared, copied where shared.
    pub fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        Arc::make_mut(&mut self.entries).insert(key.to_vec(), value)
    }

    /// Takes the key out and returns its value. Copies nothing if the key is absent.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        if !self.contains(key) {
            return None;
        }
        Arc::make_mut(&mut self.entries).remove(key)
    }

    /// The entries between two bounds, in order, from both ends. Bounds that enclose nothing give an empty range.
    #[must_use]
    pub fn range<'a>(&'a self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'a, V> {
        Range::new(&self.entries, from, to)
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
        Range::new(&self.entries, from, to).count()
    }

    /// How many keys begin with `prefix`, without walking them.
    #[must_use]
    pub fn count_prefix(&self, prefix: &[u8]) -> usize {
        self.prefix(prefix).count()
    }

    /// The first entry whose key is `key` or greater.
    #[must_use]
    pub fn first_at_or_after(&self, key: &[u8]) -> Option<(Vec<u8>, &V)> {
        let (found, value) = self
            .entries
            .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
            .next()?;
        Some((found.clone(), value))
    }

    /// The last entry whose key is `key` or smaller.
    #[must_use]
    pub fn last_at_or_before(&self, key: &[u8]) -> Option<(Vec<u8>, &V)> {
        let (found, value) = self
            .entries
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()?;
        Some((found.clone(), value))
    }

    /// What differs from `old`, in order of keys: O(differences × depth) where the trees share nodes.
    #[must_use]
    pub fn diff<'a>(&'a self, old: &'a Self) -> Diff<'a, V>
    where
        V: PartialEq,
    {
        Diff::new(&old.entries, &self.entries)
    }
}

/// Builds a tree from keys that arrive in ascending order, one at a time.
#[derive(Debug)]
pub struct Loader<V> {
    entries: BTreeMap<Vec<u8>, V>,
}

impl<V: Clone> Loader<V> {
    /// Nothing loaded yet.
    #[must_use]
    pub fn new() -> Self {
        Loader {
            entries: BTreeMap::new(),
        }
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// [`OutOfOrder`] if the key is not greater than the one before it; nothing is added then.
    pub fn push(&mut self, key: &[u8], value: V) -> Result<(), OutOfOrder> {
        if let Some((last, _)) = self.entries.last_key_value()
            && last.as_slice() >= key
        {
            return Err(OutOfOrder);
        }
        self.entries.insert(key.to_vec(), value);
        Ok(())
    }

    /// The tree of all that was pushed.
    #[must_use]
    pub fn finish(self) -> Tree<V> {
        Tree {
            entries: Arc::new(self.entries),
        }
    }
}

impl<V: Clone> Default for Loader<V> {
    fn default() -> Self {
        Loader::new()
    }
}

/// A key was loaded that is not greater than the key before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys to load must ascend strictly, and one did not")]
pub struct OutOfOrder;

/// The smallest key greater than every key that begins with `prefix`; none if there is no such key.
#[must_use]
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}
