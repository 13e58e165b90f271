//! What must hold in every tree, asserted; and what a tree weighs.

use std::sync::Arc;

use super::edge::branch_below;
use super::node::{BRANCH_TEXT, Branch, LEAF_TEXT, SPAN_TEXT, Slot, WIDTH};

/// Two counters stand before what is shared by reference count.
const COUNTERS: usize = 2 * size_of::<usize>();
/// Allocators hand out multiples of this.
const GRAIN: usize = 16;

/// Asserts every invariant of the subtree. O(n); for tests.
///
/// # Panics
/// If one is broken.
pub(super) fn check<V>(root: &Slot<V>) {
    let mut waiting = vec![(root, false)];
    while let Some((slot, in_blade)) = waiting.pop() {
        check_edge(slot);
        let Some(node) = branch_below(slot) else {
            assert!(!in_blade, "below a fan there are branches");
            continue;
        };
        if in_blade {
            assert!(
                matches!(slot, Slot::Branch { text, .. } if text.len() == 0),
                "the way from a fan to its blade has no text"
            );
            assert!(!node.head.terminal && !node.head.fan, "a blade is flat");
        }
        check_branch(node, in_blade);
        let first = node.head.terminals();
        waiting.extend(node.slots.iter().enumerate().map(|(index, slot)| (slot, node.head.fan && index >= first)));
    }
}

/// The layout of an edge follows from its length.
fn check_edge<V>(slot: &Slot<V>) {
    let mut slot = slot;
    let mut first = true;
    while let Slot::Span(span) = slot {
        let length = span.text().len();
        assert!(length > 0, "a span has text");
        assert!(first || length == SPAN_TEXT, "only the first span is not full");
        match &span.next {
            Slot::Leaf { text, .. } => {
                assert_eq!(text.len(), LEAF_TEXT, "text fills the slot first");
            }
            Slot::Branch { text, .. } => {
                assert_eq!(text.len(), BRANCH_TEXT, "text fills the slot first");
            }
            Slot::Span(_) => {}
            Slot::Vacant => panic!("a span leads somewhere"),
        }
        first = false;
        slot = &span.next;
    }
}

fn check_branch<V>(node: &Branch<V>, in_blade: bool) {
    let count: usize = node.slots.iter().map(Slot::count).sum();
    assert_eq!(node.head.count as usize, count, "a branch counts its keys");
    assert!(node.slots.iter().all(|slot| !matches!(slot, Slot::Vacant)), "no slot of a node is vacant");
    assert!(node.ways() >= 1 && node.ways() <= WIDTH, "1 to 16 ways");
    if node.head.terminal {
        assert!(
            matches!(&node.slots[0], Slot::Leaf { text, .. } if text.len() == 0),
            "the terminal is a leaf that ends here"
        );
    }
    let bytes: Vec<u8> = (0..node.slots.len()).filter_map(|index| node.head.byte(index)).collect();
    let slots = &node.slots[node.head.terminals()..];
    assert_eq!(bytes.len(), slots.len(), "every slot but the terminal has a byte");
    if node.head.fan {
        check_fan(&bytes, slots);
        return;
    }
    assert!(
        in_blade || node.head.terminal || bytes.first() != bytes.last(),
        "a branch with one way is part of an edge"
    );
    assert!(bytes.is_sorted(), "the bytes ascend");
    for at in 1..bytes.len() {
        if bytes[at - 1] == bytes[at] {
            match (&slots[at - 1], &slots[at]) {
                (Slot::Leaf { text: one, .. }, Slot::Leaf { text: other, .. }) => {
                    assert!(one.as_slice() < other.as_slice(), "the leaves of a byte ascend");
                }
                _ => panic!("what is not a leaf has its byte for itself"),
            }
        }
    }
}

fn check_fan<V>(firsts: &[u8], blades: &[Slot<V>]) {
    assert!(blades.len() >= 2, "a fan has two blades or more");
    assert_eq!(firsts[0], 0, "every byte belongs to a blade");
    assert!(firsts.is_sorted_by(|a, b| a < b), "the first bytes of blades ascend");
    for (at, blade) in blades.iter().filter_map(branch_below).enumerate() {
        for byte in (0..blade.slots.len()).filter_map(|index| blade.head.byte(index)) {
            assert!(
                firsts[at] <= byte && firsts.get(at + 1).is_none_or(|&next| byte < next),
                "a blade holds the bytes that belong to it"
            );
        }
    }
}

/// How many bytes the nodes below the slot take, each allocation rounded up as allocators do; nodes that are shared with
/// other trees count in full. O(n).
pub(super) fn footprint<V>(root: &Slot<V>) -> usize {
    let mut bytes = 0;
    let mut waiting = vec![root];
    while let Some(slot) = waiting.pop() {
        match slot {
            Slot::Vacant | Slot::Leaf { .. } => {}
            Slot::Branch { node, .. } => {
                bytes += allocation(size_of_val::<Branch<V>>(Arc::as_ref(node)));
                waiting.extend(&node.slots);
            }
            Slot::Span(span) => {
                bytes += allocation(size_of_val(Arc::as_ref(span)));
                waiting.push(&span.next);
            }
        }
    }
    bytes
}

fn allocation(size: usize) -> usize {
    (COUNTERS + size).next_multiple_of(GRAIN)
}
