//! What two trees differ in. Knows nothing of what the values mean.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

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
#[derive(Debug)]
pub struct Diff<'a, V> {
    old: Peekable<btree_map::Iter<'a, Vec<u8>, V>>,
    new: Peekable<btree_map::Iter<'a, Vec<u8>, V>>,
}

impl<'a, V: PartialEq> Diff<'a, V> {
    pub(super) fn new(old: &'a BTreeMap<Vec<u8>, V>, new: &'a BTreeMap<Vec<u8>, V>) -> Self {
        Diff {
            old: old.iter().peekable(),
            new: new.iter().peekable(),
        }
    }

    /// The next key that differs.
    #[expect(
        clippy::should_implement_trait,
        reason = "the key is lent, so this cannot be an Iterator"
    )]
    pub fn next(&mut self) -> Option<Difference<'_, 'a, V>> {
        loop {
            let (key, before, after) = match (self.old.peek().copied(), self.new.peek().copied()) {
                (None, None) => return None,
                (Some((key, before)), None) => (key, Some(before), None),
                (None, Some((key, after))) => (key, None, Some(after)),
                (Some((old, before)), Some((new, after))) => match old.cmp(new) {
                    std::cmp::Ordering::Less => (old, Some(before), None),
                    std::cmp::Ordering::Greater => (new, None, Some(after)),
                    std::cmp::Ordering::Equal => (old, Some(before), Some(after)),
                },
            };
            if before.is_some() {
                self.old.next();
            }
            if after.is_some() {
                self.new.next();
            }
            if before != after {
                return Some(Difference { key, before, after });
            }
        }
    }
}
