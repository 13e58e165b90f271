//! Putting a key in: replacing its value where it is, or adding a slot, or cutting an edge in two.
//!
//! Whether the key is new is known beforehand, so that the way down is gone once and the counts are right on it.

use std::mem;
use std::sync::Arc;

use super::build::{flat, grow, own, own_span};
use super::divide::{divide, gather_byte, is_indivisible};
use super::edge::{Fit, Target, branch_below, branch_below_mut, edge, fit, part};
use super::node::{Branch, LEAF_TEXT, Place, Slot, WIDTH};
use super::touch::Value;

/// Gives a key that is there another value, and returns the one it had.
///
/// # Panics
/// If the key is not there.
pub(super) fn replace<V: Value>(slot: &mut Slot<V>, rest: &[u8], value: V) -> V {
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
pub(super) fn add<V: Value>(slot: &mut Slot<V>, rest: &[u8], value: V) {
    if matches!(slot, Slot::Vacant) {
        *slot = edge(rest, Target::Leaf(value));
        return;
    }
    let mut slot = slot;
    let mut rest = rest;
    let mut in_blade = false;
    loop {
        match fit(slot, rest) {
            Fit::Leaves(at) => return split(slot, at, rest, value),
            Fit::Branch(length) => rest = &rest[length..],
        }
        let node = branch_below_mut(slot);
        match approach(node, rest, in_blade) {
            Approach::Add(index) => return add_leaf(node, index, rest, value),
            Approach::Enter(index) => {
                let node = own(node);
                node.head.count = counted(node.head.count);
                in_blade = node.head.fan;
                rest = &rest[node.head.step()..];
                slot = &mut node.slots[index];
            }
        }
    }
}

/// How a new key goes on at a branch.
enum Approach {
    /// Its leaf becomes the slot at this index.
    Add(usize),
    /// Through the slot at this index: a branch or blade, or a leaf that a branch takes the place of.
    Enter(usize),
}

/// How the new key, of which `rest` lies below the branch, goes on there, after room was made if it needs any. Room in a
/// blade is made while the way is still at its fan.
fn approach<V: Value>(node: &mut Arc<Branch<V>>, rest: &[u8], in_blade: bool) -> Approach {
    loop {
        let to_blade = node.head.fan && !rest.is_empty();
        let index = match node.place(rest) {
            Place::Found(index) if !to_blade => return Approach::Enter(index),
            Place::Found(index) | Place::Missing(index) => index,
        };
        let Some(&byte) = rest.first() else {
            return Approach::Add(index);
        };
        let crowding = if to_blade {
            let blade = branch_below(&node.slots[index]).expect("a fan has blades");
            match blade.place(rest) {
                Place::Found(_) => Crowding::None,
                Place::Missing(_) => crowding(blade, rest, is_indivisible(node, blade)),
            }
        } else {
            crowding(node, rest, in_blade)
        };
        match crowding {
            Crowding::None | Crowding::Pair(_) if to_blade => return Approach::Enter(index),
            Crowding::None => return Approach::Add(index),
            Crowding::Pair(at) => return Approach::Enter(at),
            Crowding::Run => gather_byte(node, byte),
            Crowding::Full => divide(node, byte),
        }
    }
}

/// What stands against one more leaf in a branch.
enum Crowding {
    None,
    /// It cannot stand beside this leaf of the same byte, so both go under a branch.
    Pair(usize),
    /// It cannot stand beside the leaves of the same byte, for its text is too long.
    Run,
    /// There is no room for another slot.
    Full,
}

fn crowding<V>(node: &Branch<V>, rest: &[u8], indivisible: bool) -> Crowding {
    let run = node.run(rest[0]);
    let long = rest.len() - 1 > LEAF_TEXT && !run.is_empty();
    if !long && node.ways() < WIDTH {
        Crowding::None
    } else if run.len() == 1 && (long || indivisible) {
        Crowding::Pair(run.start)
    } else if long {
        Crowding::Run
    } else {
        Crowding::Full
    }
}

/// Cuts the edge of a slot after `at` bytes, where the way to the new key leaves it, and lets both go on from there.
fn split<V: Value>(slot: &mut Slot<V>, at: usize, rest: &[u8], value: V) {
    let mut text = Vec::new();
    let target = part(mem::take(slot), &mut text);
    let old = cut(&text, at, target);
    let new = cut(rest, at, Target::Leaf(value));
    let node = match (old, new) {
        ((None, terminal), (Some(byte), slot)) | ((Some(byte), slot), (None, terminal)) => {
            flat(Some(terminal), [(byte, slot)].into_iter())
        }
        ((Some(one), one_slot), (Some(other), other_slot)) => {
            let mut slots = [(one, one_slot), (other, other_slot)];
            slots.sort_by_key(|(byte, _)| *byte);
            flat(None, slots.into_iter())
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

/// Adds the leaf of a key that leaves the tree at this branch.
fn add_leaf<V: Value>(node: &mut Arc<Branch<V>>, index: usize, rest: &[u8], value: V) {
    let (byte, below) = match rest.split_first() {
        None => (None, rest),
        Some((&byte, below)) => (Some(byte), below),
    };
    grow(node, index, byte, edge(below, Target::Leaf(value)));
    let node = Arc::get_mut(node).expect("it was just made");
    node.head.count = counted(node.head.count);
}

/// One key more.
fn counted(count: u32) -> u32 {
    count.checked_add(1).expect("a tree has less than 2^32 keys")
}
