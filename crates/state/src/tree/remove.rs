//! Taking a key out, and what that does to the nodes above: a branch with one way left becomes part of an edge, a fan
//! with few ways left becomes flat.

use std::mem;
use std::sync::Arc;

use super::build::{Source, own, shrink};
use super::divide::{flatten_if_small, gather};
use super::edge::{Target, branch_below, branch_below_mut, edge, part};
use super::node::{Branch, Place, Slot};
use super::touch::Value;

/// Takes out a key that is there, and returns its value.
///
/// # Panics
/// If the key is not there.
pub(super) fn remove<V: Value>(slot: &mut Slot<V>, rest: &[u8]) -> V {
    let mut slot = slot;
    let mut rest = rest;
    loop {
        let Some(node) = branch_below(slot) else {
            return value_of(mem::take(slot));
        };
        rest = &rest[edge_length(slot)..];
        let index = way(node, rest);
        let is_blade = node.head.fan && !rest.is_empty();
        if !is_blade && branch_below(&node.slots[index]).is_none() {
            return remove_leaf(slot, index);
        }
        if is_blade && ends_in_blade(&node.slots[index], rest) {
            return remove_from_blade(slot, index, rest);
        }
        let node = own(branch_below_mut(slot));
        node.head.count -= 1;
        rest = &rest[node.head.step()..];
        slot = &mut node.slots[index];
    }
}

fn value_of<V: Value>(slot: Slot<V>) -> V {
    match part(slot, &mut Vec::new()) {
        Target::Leaf(value) => value,
        Target::Branch(_) => unreachable!("the key is there and leads to a leaf"),
    }
}

/// How long the edge text of a slot that leads to a branch is.
fn edge_length<V>(slot: &Slot<V>) -> usize {
    let mut slot = slot;
    let mut length = 0;
    loop {
        match slot {
            Slot::Vacant | Slot::Leaf { .. } => unreachable!("the edge ends at a branch"),
            Slot::Branch { text, .. } => return length + text.len(),
            Slot::Span(span) => {
                length += span.text().len();
                slot = &span.next;
            }
        }
    }
}

fn way<V>(node: &Branch<V>, rest: &[u8]) -> usize {
    match node.place(rest) {
        Place::Found(index) => index,
        Place::Missing(_) => unreachable!("the key is there"),
    }
}

/// Takes a leaf out of the branch below `slot`.
fn remove_leaf<V: Value>(slot: &mut Slot<V>, index: usize) -> V {
    let node = branch_below_mut(slot);
    let removed = shrink(node, index);
    let shrunk = Arc::get_mut(node).expect("it was just made");
    shrunk.head.count -= 1;
    join(slot);
    value_of(removed)
}

/// If the branch below `slot` has one way left, makes one edge of the edge to it, the byte of that way, and the edge
/// behind it.
fn join<V: Value>(slot: &mut Slot<V>) {
    let node = branch_below_mut(slot);
    let last = node.slots.len() - 1;
    if node.head.fan || node.head.byte(0) != node.head.byte(last) {
        return;
    }
    if last > 0 {
        gather(node, 0..last + 1);
    }
    let mut text = Vec::new();
    let Target::Branch(mut node) = part(mem::take(slot), &mut text) else {
        unreachable!("the edge ends at a branch");
    };
    text.extend(node.head.byte(0));
    let target = part(Source::of(&mut node).take(0), &mut text);
    *slot = edge(&text, target);
}

/// Whether the key, of which `rest` lies below the fan, is a leaf in this blade.
fn ends_in_blade<V>(blade: &Slot<V>, rest: &[u8]) -> bool {
    let blade = branch_below(blade).expect("a fan has blades");
    branch_below(&blade.slots[way(blade, rest)]).is_none()
}

/// Takes a leaf out of a blade of the fan below `slot`; an empty blade goes, and so does a fan with few ways.
fn remove_from_blade<V: Value>(slot: &mut Slot<V>, index: usize, rest: &[u8]) -> V {
    let fan = branch_below_mut(slot);
    let owned = own(fan);
    owned.head.count -= 1;
    let blade = branch_below_mut(&mut owned.slots[index]);
    let leaf = way(blade, rest);
    let removed = if blade.slots.len() == 1 {
        let blade = shrink(fan, index);
        let Target::Branch(mut blade) = part(blade, &mut Vec::new()) else {
            unreachable!("a fan has blades");
        };
        Source::of(&mut blade).take(leaf)
    } else {
        let removed = shrink(blade, leaf);
        Arc::get_mut(blade).expect("it was just made").head.count -= 1;
        removed
    };
    flatten_if_small(fan);
    join(slot);
    value_of(removed)
}
