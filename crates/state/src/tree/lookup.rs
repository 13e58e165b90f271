//! Finding one key.

use std::sync::Arc;

use super::node::{Branch, Place, Slot};
use super::touch::{Value, touch};

/// The value at the key, of which `rest` lies under this slot.
pub(super) fn find<'a, V>(slot: &'a Slot<V>, rest: &[u8]) -> Option<&'a V> {
    search(slot, rest, |_| ())
}

/// The same before a write, which will copy what is shared on the way: fetches what that needs while the way is gone.
pub(super) fn find_to_write<'a, V: Value>(slot: &'a Slot<V>, rest: &[u8]) -> Option<&'a V> {
    let mut shared = false;
    search(slot, rest, |node| {
        shared |= Arc::strong_count(node) > 1;
        if shared {
            touch(&node.slots);
        }
    })
}

#[inline(always)]
fn search<'a, V>(slot: &'a Slot<V>, rest: &[u8], mut pass: impl FnMut(&Arc<Branch<V>>)) -> Option<&'a V> {
    let mut slot = slot;
    let mut rest = rest;
    loop {
        match slot {
            Slot::Vacant => return None,
            Slot::Leaf { text, value } => return (text.as_slice() == rest).then_some(value),
            Slot::Branch { text, node } => {
                rest = rest.strip_prefix(text.as_slice())?;
                let place = node.place(rest);
                pass(node);
                let Place::Found(index) = place else {
                    return None;
                };
                rest = rest.get(node.head.step()..).unwrap_or_default();
                slot = &node.slots[index];
            }
            Slot::Span(span) => {
                rest = rest.strip_prefix(span.text())?;
                slot = &span.next;
            }
        }
    }
}
