//! Finding one key.

use super::node::{Place, Slot};

/// The value at the key, of which `rest` lies under this slot.
pub(super) fn find<'a, V>(slot: &'a Slot<V>, rest: &[u8]) -> Option<&'a V> {
    let mut slot = slot;
    let mut rest = rest;
    loop {
        match slot {
            Slot::Vacant => return None,
            Slot::Leaf { text, value } => return (text.as_slice() == rest).then_some(value),
            Slot::Branch { text, node } => {
                rest = rest.strip_prefix(text.as_slice())?;
                let Place::Found(index) = node.place(rest) else {
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
