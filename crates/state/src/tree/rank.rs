//! Counting keys without walking them, by the counts that branches keep.

use std::cmp::Ordering;
use std::ops::Bound;

use super::node::{Branch, Place, Slot};

/// How many keys lie between two bounds.
pub(super) fn between<V>(root: &Slot<V>, from: Bound<&[u8]>, to: Bound<&[u8]>) -> usize {
    let before = match from {
        Bound::Unbounded => 0,
        Bound::Included(key) => rank(root, key, false),
        Bound::Excluded(key) => rank(root, key, true),
    };
    let upto = match to {
        Bound::Unbounded => root.count(),
        Bound::Included(key) => rank(root, key, true),
        Bound::Excluded(key) => rank(root, key, false),
    };
    upto.saturating_sub(before)
}

/// How many keys are smaller than `key` (or equal, if `inclusive`).
fn rank<V>(root: &Slot<V>, key: &[u8], inclusive: bool) -> usize {
    let mut slot = root;
    let mut rest = key;
    let mut smaller = 0;
    loop {
        let (text, below) = match slot {
            Slot::Vacant => return smaller,
            Slot::Leaf { text, .. } => {
                return match text.as_slice().cmp(rest) {
                    Ordering::Less => smaller + 1,
                    Ordering::Equal => smaller + usize::from(inclusive),
                    Ordering::Greater => smaller,
                };
            }
            Slot::Branch { text, node } => (text.as_slice(), Err(node)),
            Slot::Span(span) => (span.text(), Ok(&span.next)),
        };
        let Some(behind) = rest.strip_prefix(text) else {
            // The way leaves inside the edge, so all keys below lie on one side of it.
            return smaller + if text < rest { slot.count() } else { 0 };
        };
        rest = behind;
        match below {
            Ok(next) => slot = next,
            Err(node) => match node.place(rest) {
                Place::Missing(index) => return smaller + before(node, index),
                Place::Found(index) => {
                    smaller += before(node, index);
                    rest = rest.get(node.head.step()..).unwrap_or_default();
                    slot = &node.slots[index];
                }
            },
        }
    }
}

/// How many keys the slots before `index` hold, counted on the side where there are fewer slots to look at.
fn before<V>(node: &Branch<V>, index: usize) -> usize {
    let (left, right) = node.slots.split_at(index);
    let sum = |slots: &[Slot<V>]| slots.iter().map(Slot::count).sum::<usize>();
    if left.len() <= right.len() { sum(left) } else { node.head.count as usize - sum(right) }
}
