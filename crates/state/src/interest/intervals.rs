//! Ranges of keys: a treap ordered by (start, end), each node knowing the furthest end below it.
//!
//! A search for the ranges around a key leaves out every subtree that ends at or before the key and everything that
//! starts behind it. Priorities come from a counter through a mixing function: the shape is balanced as if by
//! chance, is the same in every run, and no choice of ranges can spoil it.
//!
//! It knows nothing of tables, exact keys and prefixes.

use std::cmp::Ordering;

use super::{add, take};
use crate::key::Key;

#[derive(Clone, Debug)]
pub(super) struct Intervals<W> {
    root: Option<Box<Node<W>>>,
    priorities: u64,
}

#[derive(Clone, Debug)]
struct Node<W> {
    start: Box<[u8]>,
    /// `None` reaches to the end of the table.
    end: Option<Key>,
    /// The furthest end in this subtree.
    furthest: Option<Key>,
    priority: u64,
    left: Option<Box<Node<W>>>,
    right: Option<Box<Node<W>>>,
    subscribers: Vec<W>,
}

impl<W: Ord> Intervals<W> {
    pub(super) fn new() -> Intervals<W> {
        Intervals { root: None, priorities: 0 }
    }

    pub(super) fn insert(&mut self, start: &[u8], end: Option<&[u8]>, subscriber: W) -> bool {
        if let Some(node) = find(&mut self.root, start, end) {
            return add(&mut node.subscribers, subscriber);
        }
        self.priorities += 1;
        let end = end.map(Key::from);
        let node = Box::new(Node {
            start: Box::from(start),
            furthest: end.clone(),
            end,
            priority: mix(self.priorities),
            left: None,
            right: None,
            subscribers: vec![subscriber],
        });
        insert(&mut self.root, node);
        true
    }

    pub(super) fn remove(&mut self, start: &[u8], end: Option<&[u8]>, subscriber: &W) -> bool {
        let Some(node) = find(&mut self.root, start, end) else {
            return false;
        };
        let removed = take(&mut node.subscribers, subscriber);
        if removed && node.subscribers.is_empty() {
            remove(&mut self.root, start, end);
        }
        removed
    }

    pub(super) fn matching<'a>(&'a self, key: &[u8], tell: &mut impl FnMut(&'a W)) {
        stab(self.root.as_deref(), key, tell);
    }

    /// Asserts order, heap and furthest ends. Visits everything.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.root.as_deref().map(Node::check);
    }
}

impl<W> Node<W> {
    fn compare(&self, start: &[u8], end: Option<&[u8]>) -> Ordering {
        (*self.start).cmp(start).then_with(|| compare_ends(self.end.as_deref(), end))
    }

    fn refresh(&mut self) {
        let mut furthest = &self.end;
        for child in [&self.left, &self.right].into_iter().flatten() {
            if compare_ends(child.furthest.as_deref(), furthest.as_deref()).is_gt() {
                furthest = &child.furthest;
            }
        }
        self.furthest = furthest.clone();
    }

    #[cfg(test)]
    fn check(&self) {
        let mut furthest = self.end.as_deref();
        assert!(!self.subscribers.is_empty());
        for (child, side) in [(&self.left, Ordering::Less), (&self.right, Ordering::Greater)] {
            let Some(child) = child else { continue };
            child.check();
            assert_eq!(child.compare(&self.start, self.end.as_deref()), side);
            assert!(child.priority <= self.priority);
            if compare_ends(child.furthest.as_deref(), furthest).is_gt() {
                furthest = child.furthest.as_deref();
            }
        }
        assert_eq!(self.furthest.as_deref(), furthest);
    }
}

/// Ends in order; none is behind all others.
fn compare_ends(left: Option<&[u8]>, right: Option<&[u8]>) -> Ordering {
    match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => left.cmp(right),
    }
}

fn find<'a, W>(root: &'a mut Option<Box<Node<W>>>, start: &[u8], end: Option<&[u8]>) -> Option<&'a mut Node<W>> {
    let mut at = root.as_deref_mut()?;
    loop {
        at = match at.compare(start, end) {
            Ordering::Equal => return Some(at),
            Ordering::Greater => at.left.as_deref_mut()?,
            Ordering::Less => at.right.as_deref_mut()?,
        };
    }
}

/// Puts a new node where its priority belongs, and what was there below it.
fn insert<W>(place: &mut Option<Box<Node<W>>>, mut node: Box<Node<W>>) {
    match place {
        Some(at) if at.priority >= node.priority => {
            let side = if at.compare(&node.start, node.end.as_deref()).is_gt() { &mut at.left } else { &mut at.right };
            insert(side, node);
            at.refresh();
        }
        _ => {
            (node.left, node.right) = split(place.take(), &node.start, node.end.as_deref());
            node.refresh();
            *place = Some(node);
        }
    }
}

/// A tree with the node of these bounds taken out, which must be in it.
fn remove<W>(place: &mut Option<Box<Node<W>>>, start: &[u8], end: Option<&[u8]>) {
    let at = place.as_mut().expect("the range was found before");
    match at.compare(start, end) {
        Ordering::Equal => {
            let (left, right) = (at.left.take(), at.right.take());
            *place = join(left, right);
            return;
        }
        Ordering::Greater => remove(&mut at.left, start, end),
        Ordering::Less => remove(&mut at.right, start, end),
    }
    at.refresh();
}

type Halves<W> = (Option<Box<Node<W>>>, Option<Box<Node<W>>>);

/// What lies before the bounds, and what lies behind them.
fn split<W>(tree: Option<Box<Node<W>>>, start: &[u8], end: Option<&[u8]>) -> Halves<W> {
    let Some(mut at) = tree else {
        return (None, None);
    };
    if at.compare(start, end).is_gt() {
        let (before, behind) = split(at.left.take(), start, end);
        at.left = behind;
        at.refresh();
        (before, Some(at))
    } else {
        let (before, behind) = split(at.right.take(), start, end);
        at.right = before;
        at.refresh();
        (Some(at), behind)
    }
}

/// One tree of two, of which the first lies wholly before the second.
fn join<W>(left: Option<Box<Node<W>>>, right: Option<Box<Node<W>>>) -> Option<Box<Node<W>>> {
    match (left, right) {
        (left, None) => left,
        (None, right) => right,
        (Some(mut left), Some(mut right)) => {
            if left.priority >= right.priority {
                left.right = join(left.right.take(), Some(right));
                left.refresh();
                Some(left)
            } else {
                right.left = join(Some(left), right.left.take());
                right.refresh();
                Some(right)
            }
        }
    }
}

/// Tells the subscribers of all ranges around a key, in order of (start, end).
fn stab<'a, W>(tree: Option<&'a Node<W>>, key: &[u8], tell: &mut impl FnMut(&'a W)) {
    let Some(at) = tree else { return };
    if at.furthest.as_deref().is_some_and(|furthest| furthest <= key) {
        return;
    }
    stab(at.left.as_deref(), key, tell);
    if &*at.start > key {
        return;
    }
    if at.end.as_deref().is_none_or(|end| key < end) {
        at.subscribers.iter().for_each(&mut *tell);
    }
    stab(at.right.as_deref(), key, tell);
}

/// SplitMix64's finalizer: spreads a counter over all 64 bits.
fn mix(counter: u64) -> u64 {
    let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
