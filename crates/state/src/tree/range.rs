//! The cursor over a range of a tree, from both ends. Knows nothing of what the values mean.

use std::fmt;
use std::ops::Bound;

use super::node::Slot;
use super::touch::Value;
use super::walk::Walk;

/// The entries of a range, in order, taken from the front by [`Range::next`] and from the back by
/// [`Range::next_back`] until both meet.
///
/// The key lies in a buffer of the cursor and is lent until the next call; the value lives as long as the tree.
pub struct Range<'a, V> {
    /// The ends, as long as there may be something between them.
    ends: Option<Ends<'a, V>>,
}

/// Two places in the tree, the front never behind the back.
struct Ends<'a, V> {
    front: Walk<'a, V>,
    /// Whether the entry at the front was taken, so that the next one comes after it.
    front_taken: bool,
    back: Walk<'a, V>,
    back_taken: bool,
}

impl<'a, V: Value> Range<'a, V> {
    pub(super) fn new(root: &'a Slot<V>, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Self {
        Range { ends: Ends::new(root, from, to) }
    }

    /// The next entry from the front.
    #[expect(clippy::should_implement_trait, reason = "the key is lent, so this cannot be an Iterator")]
    pub fn next(&mut self) -> Option<(&[u8], &'a V)> {
        if !self.ends.as_mut()?.advance() {
            self.ends = None;
        }
        let front = &self.ends.as_ref()?.front;
        Some((front.key(), front.leaf()?))
    }

    /// The next entry from the back.
    pub fn next_back(&mut self) -> Option<(&[u8], &'a V)> {
        if !self.ends.as_mut()?.retreat() {
            self.ends = None;
        }
        let back = &self.ends.as_ref()?.back;
        Some((back.key(), back.leaf()?))
    }

    /// Moves the front forward so that the next entry is the first one left whose key is `key` or greater. Never moves
    /// it backward. Cheap when that entry is near, because it starts from where the cursor stands.
    pub fn seek(&mut self, key: &[u8]) {
        if self.ends.as_mut().is_some_and(|ends| !ends.seek(key)) {
            self.ends = None;
        }
    }
}

impl<'a, V: Value> Ends<'a, V> {
    /// Both ends; none if there is nothing between them.
    fn new(root: &'a Slot<V>, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<Self> {
        let mut front = Walk::new(root);
        match from {
            Bound::Unbounded => front.first(),
            Bound::Included(key) => front.seek(key, true),
            Bound::Excluded(key) => front.seek(key, false),
        }
        front.leaf()?;
        let mut back = Walk::new(root);
        match to {
            Bound::Unbounded => back.last(),
            Bound::Included(key) => back.seek_before(key, true),
            Bound::Excluded(key) => back.seek_before(key, false),
        }
        back.leaf()?;
        (front.key() <= back.key()).then_some(Ends { front, front_taken: false, back, back_taken: false })
    }

    /// Whether every entry at or between the ends was taken.
    fn exhausted(&self) -> bool {
        (self.front_taken || self.back_taken) && self.front.meets(&self.back)
    }

    /// Takes the next entry from the front; false if there is none.
    fn advance(&mut self) -> bool {
        if self.exhausted() {
            return false;
        }
        if self.front_taken {
            self.front.next();
        }
        self.front_taken = true;
        !(self.back_taken && self.front.meets(&self.back))
    }

    /// Takes the next entry from the back; false if there is none.
    fn retreat(&mut self) -> bool {
        if self.exhausted() {
            return false;
        }
        if self.back_taken {
            self.back.previous();
        }
        self.back_taken = true;
        !(self.front_taken && self.front.meets(&self.back))
    }

    /// Moves the front to the first entry at or after `key`, unless it is beyond; false if that is past the back.
    fn seek(&mut self, key: &[u8]) -> bool {
        if key <= self.front.key() {
            return true;
        }
        self.front.seek(key, true);
        self.front_taken = false;
        self.front.leaf().is_some() && self.front.key() <= self.back.key()
    }
}

impl<V: Value> fmt::Debug for Range<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_struct("Range");
        if let Some(ends) = &self.ends {
            output
                .field("front", &ends.front.key())
                .field("front_taken", &ends.front_taken)
                .field("back", &ends.back.key())
                .field("back_taken", &ends.back_taken);
        }
        output.finish_non_exhaustive()
    }
}
