//! What two trees differ in, found by walking both and skipping what they share.
//!
//! Knows nothing of what the values mean, only whether they are equal.

use std::cmp::Ordering;
use std::fmt;
use std::ptr;

use super::node::Slot;
use super::touch::Value;
use super::walk::{Here, Walk};

/// One key that two trees disagree about. At least one of the values is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'k, 'a, V> {
    /// The key, lent until the next call.
    pub key: &'k [u8],
    /// Its value in the old tree; none if it is new.
    pub before: Option<&'a V>,
    /// Its value in the new tree; none if it is gone.
    pub after: Option<&'a V>,
}

/// The differences of two trees in order of keys.
pub struct Diff<'a, V> {
    old: Walk<'a, V>,
    new: Walk<'a, V>,
    /// What was found last and is still to be stepped over.
    found: Side,
}

/// In which trees something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Neither,
    Old,
    New,
    Both,
}

impl<'a, V: Value + PartialEq> Diff<'a, V> {
    pub(super) fn new(old: &'a Slot<V>, new: &'a Slot<V>) -> Self {
        Diff { old: Walk::new(old), new: Walk::new(new), found: Side::Neither }
    }

    /// The next key that differs.
    #[expect(clippy::should_implement_trait, reason = "the key is lent, so this cannot be an Iterator")]
    pub fn next(&mut self) -> Option<Difference<'_, 'a, V>> {
        self.step_over(self.found);
        self.found = self.find();
        let (key, before, after) = match self.found {
            Side::Neither => return None,
            Side::Old => (self.old.key(), self.old.leaf(), None),
            Side::New => (self.new.key(), None, self.new.leaf()),
            Side::Both => (self.new.key(), self.old.leaf(), self.new.leaf()),
        };
        Some(Difference { key, before, after })
    }

    fn step_over(&mut self, side: Side) {
        if matches!(side, Side::Old | Side::Both) {
            self.old.skip();
        }
        if matches!(side, Side::New | Side::Both) {
            self.new.skip();
        }
    }

    /// Walks on until a leaf is found that only one tree has, or both with different values.
    ///
    /// The walk whose key is smaller goes first. A branch that stands on the way to where the other walk is, is entered.
    fn find(&mut self) -> Side {
        loop {
            let (old, new) = match (self.old.here(), self.new.here()) {
                (None, None) => return Side::Neither,
                (Some(_), None) => {
                    self.old.first();
                    return Side::Old;
                }
                (None, Some(_)) => {
                    self.new.first();
                    return Side::New;
                }
                (Some(old), Some(new)) => (old, new),
            };
            let order = self.old.key().cmp(self.new.key());
            match (order, old, new) {
                (Ordering::Equal, Here::Leaf(_, before), Here::Leaf(_, after)) => {
                    if before != after {
                        return Side::Both;
                    }
                    self.step_over(Side::Both);
                }
                (Ordering::Equal, Here::Branch(before), Here::Branch(after)) => {
                    if ptr::eq(before, after) {
                        self.step_over(Side::Both);
                    } else {
                        self.old.descend();
                        self.new.descend();
                    }
                }
                (Ordering::Less | Ordering::Equal, Here::Branch(_), _)
                    if self.new.key().starts_with(self.old.key()) =>
                {
                    self.old.descend();
                }
                (Ordering::Greater | Ordering::Equal, _, Here::Branch(_))
                    if self.old.key().starts_with(self.new.key()) =>
                {
                    self.new.descend();
                }
                (Ordering::Less, ..) => {
                    self.old.first();
                    return Side::Old;
                }
                (Ordering::Greater, ..) => {
                    self.new.first();
                    return Side::New;
                }
                (Ordering::Equal, ..) => unreachable!("equal keys begin with each other"),
            }
        }
    }
}

impl<V: Value> fmt::Debug for Diff<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Diff")
            .field("old", &self.old.key())
            .field("new", &self.new.key())
            .field("found", &self.found)
            .finish()
    }
}
