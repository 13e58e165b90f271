//! Letting go of nodes: without recursion, however deep the tree is.

use std::mem;
use std::sync::Arc;

use super::node::{Node, Slot, Span};

/// Takes slots apart without recursion when the last reference to a node goes.
///
/// A key of n bytes can make a tree n nodes deep, so letting each node drop its children would let whoever chooses the
/// keys choose the depth of our stack. Instead the first node that goes collects what only it kept alive, level by
/// level, in a list. What another thread lets go of at the same moment may nest, once for each such thread.
pub(super) trait Release {
    fn release(&mut self);
}

impl<V> Release for [Slot<V>] {
    fn release(&mut self) {
        let mut waiting = Vec::new();
        collect(self, &mut waiting);
        while let Some(mut slot) = waiting.pop() {
            match &mut slot {
                Slot::Vacant | Slot::Leaf { .. } => {}
                Slot::Branch { node, .. } => {
                    if let Some(node) = Arc::get_mut(node) {
                        collect(&mut node.slots, &mut waiting);
                    }
                }
                Slot::Span(span) => {
                    if let Some(span) = Arc::get_mut(span) {
                        collect(std::slice::from_mut(&mut span.next), &mut waiting);
                    }
                }
            }
        }
    }
}

impl<V, const N: usize> Release for [Slot<V>; N] {
    fn release(&mut self) {
        self.as_mut_slice().release();
    }
}

/// Whether dropping this slot would drop a node.
fn owns_node<V>(slot: &Slot<V>) -> bool {
    match slot {
        Slot::Vacant | Slot::Leaf { .. } => false,
        Slot::Branch { node, .. } => Arc::strong_count(node) == 1,
        Slot::Span(span) => Arc::strong_count(span) == 1,
    }
}

fn collect<V>(slots: &mut [Slot<V>], waiting: &mut Vec<Slot<V>>) {
    for slot in slots {
        if owns_node(slot) {
            waiting.push(mem::take(slot));
        }
    }
}

impl<S: Release + ?Sized> Drop for Node<S> {
    fn drop(&mut self) {
        self.slots.release();
    }
}

impl<V, T: ?Sized> Drop for Span<V, T> {
    fn drop(&mut self) {
        std::slice::from_mut(&mut self.next).release();
    }
}
