//! Putting a key in: replacing its value where it is, or adding a slot, or cutting an edge in two.
//!
//! Whether the key is new is known beforehand, so that the way down is gone once and the counts are right on it.

use std::mem;
use std::sync::Arc;

use super::edge::{Fit, Target, branch_below_mut, edge, fit, part};
use super::node::{
    Branch, Place, Slot, Source, WIDTH, blade_slot, branch, fan, grow, own, own_span,
};

/// Gives a key that is there another value, and returns the one it had.
///
/// # Panics
/// If the key is not there.
pub(super) fn replace<V: Clone>(slot: &mut Slot<V>, rest: &[u8], value: V) -> V {
    let mut slot = slot;
    let mut rest = rest;
    loop {
        match slot {
            Slot::Vacant => unreachable!("the key is there"),
            Slot::Leaf { value: old, .. } => return mem::replace(old, value),
            Slot::Branch { text, node } => {
                rest = &rest[text.len()..];
                let Place::Found(index) = node.place(rest) else {
                    unreachable!("the key is there");
                };
                rest = rest.get(node.head.step()..).unwrap_or_default();
                slot = &mut own(node).slots[index];
            }
            Slot::Span(span) => {
                rest = &rest[span.text().len()..];
                slot = &mut own_span(span).next;
            }
        }
    }
}

/// Adds a key that is not there.
pub(super) fn add<V: Clone>(slot: &mut Slot<V>, rest: &[u8], value: V) {
    if matches!(slot, Slot::Vacant) {
        *slot = edge(rest, Target::Leaf(value));
        return;
    }
    let mut slot = slot;
    let mut rest = rest;
    loop {
        match fit(slot, rest) {
            Fit::Leaves(at) => return split(slot, at, rest, value),
            Fit::Branch(length) => rest = &rest[length..],
        }
        let node = branch_below_mut(slot);
        let mut place = node.place(rest);
        if matches!(place, Place::Missing(_)) && !rest.is_empty() && is_full(node) {
            spread(node);
            place = node.place(rest);
        }
        match place {
            Place::Missing(index) => return add_slot(node, index, rest, value),
            Place::Found(index) => {
                let node = own(node);
                node.head.count = counted(node.head.count);
                rest = &rest[node.head.step()..];
                slot = &mut node.slots[index];
            }
        }
    }
}

/// Cuts the edge of a slot after `at` bytes, where the way to the new key leaves it, and lets both go on from there.
fn split<V: Clone>(slot: &mut Slot<V>, at: usize, rest: &[u8], value: V) {
    let mut text = Vec::new();
    let target = part(mem::take(slot), &mut text);
    let old = cut(&text, at, target);
    let new = cut(rest, at, Target::Leaf(value));
    let node = match (old, new) {
        ((None, terminal), (Some(byte), slot)) | ((Some(byte), slot), (None, terminal)) => {
            branch(Some(terminal), [(byte, slot)].into_iter())
        }
        ((Some(one), one_slot), (Some(other), other_slot)) => {
            let mut slots = [(one, one_slot), (other, other_slot)];
            slots.sort_by_key(|(byte, _)| *byte);
            branch(None, slots.into_iter())
        }
        ((None, _), (None, _)) => unreachable!("the key was not there"),
    };
    *slot = edge(&text[..at], Target::Branch(node));
}

/// What is left of an edge behind a cut: the byte that is to choose it (none if it ends at the cut), and its slot.
fn cut<V>(text: &[u8], at: usize, target: Target<V>) -> (Option<u8>, Slot<V>) {
    match text[at..].split_first() {
        Some((&byte, below)) => (Some(byte), edge(below, target)),
        None => (None, edge(&[], target)),
    }
}

fn is_full<V>(node: &Branch<V>) -> bool {
    !node.head.fan && node.choices() == WIDTH
}

/// Makes a fan of a full branch.
fn spread<V: Clone>(node: &mut Arc<Branch<V>>) {
    let head = node.head;
    let length = node.slots.len();
    let mut source = Source::of(node);
    let terminal = head.terminal.then(|| source.take(0));
    let first = usize::from(head.terminal);
    let slots = (first..length).map(|index| {
        let byte = head
            .byte(index)
            .expect("only the first slot is the terminal");
        (byte, source.take(index))
    });
    let spread = fan(terminal, slots);
    *node = spread;
}

/// Adds the slot for a key that leaves the tree at this branch.
fn add_slot<V: Clone>(node: &mut Arc<Branch<V>>, index: usize, rest: &[u8], value: V) {
    let leaf = |text: &[u8]| edge(text, Target::Leaf(value));
    match rest.split_first() {
        None => grow(node, index, None, leaf(&[])),
        Some((&byte, below)) if node.head.fan => {
            let blade = branch(None, [(byte, leaf(below))].into_iter());
            let upper = node.head.choice(byte);
            grow(node, index, Some(upper), blade_slot(blade));
        }
        Some((&byte, below)) => grow(node, index, Some(byte), leaf(below)),
    }
    let node = Arc::get_mut(node).expect("it was just made");
    node.head.count = counted(node.head.count);
}

/// One key more.
fn counted(count: u32) -> u32 {
    count
        .checked_add(1)
        .expect("a tree has less than 2^32 keys")
}
