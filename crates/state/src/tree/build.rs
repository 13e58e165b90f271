//! Making nodes, and making them ours: whole, with a slot more, or with some slots in place of others.
//!
//! Knows how nodes are shared, and nothing of when one is too full or too empty.

use std::mem;
use std::sync::Arc;

use super::node::{Branch, Head, Node, SLOTS, Slot, Span};
use super::text::Text;
use super::touch::Value;

/// Puts a branch together from the slots that `fill` gives for each index.
///
/// # Panics
/// If the number of slots is not 1 to [`SLOTS`].
pub(super) fn assemble<V>(head: Head, length: usize, fill: impl FnMut(usize) -> Slot<V>) -> Arc<Branch<V>> {
    macro_rules! of_length {
        ($($length:literal)*) => {
            match length {
                $($length => Arc::new(Node {
                    head,
                    slots: std::array::from_fn::<Slot<V>, $length, _>(fill),
                }),)*
                _ => unreachable!("a node has 1 to {SLOTS} slots, not {length}"),
            }
        };
    }
    of_length!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17)
}

/// The slots of a node that is about to be replaced: moved out if nobody else holds it, cloned otherwise.
pub(super) enum Source<'a, V> {
    Owned(&'a mut [Slot<V>]),
    Shared(&'a [Slot<V>]),
}

impl<'a, V: Value> Source<'a, V> {
    pub(super) fn of(node: &'a mut Arc<Branch<V>>) -> Self {
        if Arc::strong_count(node) == 1 {
            let node = Arc::get_mut(node).expect("the only reference to it is ours");
            Source::Owned(&mut node.slots)
        } else {
            Source::Shared(&node.slots)
        }
    }

    pub(super) fn take(&mut self, index: usize) -> Slot<V> {
        match self {
            Source::Owned(slots) => mem::take(&mut slots[index]),
            Source::Shared(slots) => slots[index].clone(),
        }
    }
}

/// The branch, made ours by a copy if it is shared.
pub(super) fn own<V: Value>(node: &mut Arc<Branch<V>>) -> &mut Branch<V> {
    if Arc::strong_count(node) != 1 {
        let copy = assemble(node.head, node.slots.len(), |index| node.slots[index].clone());
        *node = copy;
    }
    Arc::get_mut(node).expect("the only reference to it is ours")
}

/// The span, made ours by a copy if it is shared.
pub(super) fn own_span<V: Value>(span: &mut Arc<Span<V>>) -> &mut Span<V> {
    if Arc::strong_count(span) != 1 {
        let copy = Span::new(span.text(), span.next.clone());
        *span = copy;
    }
    Arc::get_mut(span).expect("the only reference to it is ours")
}

/// Puts a slot into the branch: for `byte`, or as the terminal if there is none. The count is the caller's to keep.
pub(super) fn grow<V: Value>(node: &mut Arc<Branch<V>>, index: usize, byte: Option<u8>, slot: Slot<V>) {
    let mut head = node.head;
    head.insert(index, byte);
    let length = node.slots.len() + 1;
    let mut source = Source::of(node);
    let mut added = slot;
    let grown = assemble(head, length, |at| {
        if at == index { mem::take(&mut added) } else { source.take(at - usize::from(at > index)) }
    });
    *node = grown;
}

/// Takes a slot out of the branch, which keeps at least one. The count is the caller's to keep.
pub(super) fn shrink<V: Value>(node: &mut Arc<Branch<V>>, index: usize) -> Slot<V> {
    let mut head = node.head;
    head.remove(index);
    let length = node.slots.len() - 1;
    let mut source = Source::of(node);
    let removed = source.take(index);
    let shrunk = assemble(head, length, |at| source.take(at + usize::from(at >= index)));
    *node = shrunk;
    removed
}

/// Takes a branch apart, into the terminal, if any, and the slots with their bytes.
pub(super) fn unbind<V: Value>(node: &mut Arc<Branch<V>>) -> (Option<Slot<V>>, Bound<V>) {
    let head = node.head;
    let length = node.slots.len();
    let mut source = Source::of(node);
    let terminal = head.terminal.then(|| source.take(0));
    let slots = (head.terminals()..length)
        .map(|index| {
            let byte = head.byte(index).expect("only the first slot is the terminal");
            (byte, source.take(index))
        })
        .collect();
    (terminal, slots)
}

/// Slots with the bytes they stand for, in order.
pub(super) type Bound<V> = Vec<(u8, Slot<V>)>;

/// Builds a branch of at most [`super::node::WIDTH`] slots beside the terminal, if any.
///
/// # Panics
/// If there are more, or no slot at all.
pub(super) fn flat<V>(
    terminal: Option<Slot<V>>,
    slots: impl ExactSizeIterator<Item = (u8, Slot<V>)>,
) -> Arc<Branch<V>> {
    let mut head = Head::EMPTY;
    let length = slots.len() + usize::from(terminal.is_some());
    let mut all = terminal.map(|slot| (None, slot)).into_iter().chain(slots.map(|(byte, slot)| (Some(byte), slot)));
    let mut node = assemble(head, length, |index| {
        let (byte, slot) = all.next().expect("there is a slot for each index");
        head.insert(index, byte);
        head.count += u32::try_from(slot.count()).expect("a tree has less than 2^32 keys");
        slot
    });
    Arc::get_mut(&mut node).expect("it was just made").head = head;
    node
}

/// Builds a fan from the terminal, if any, and the slots of each blade, with the first byte that belongs to it.
pub(super) fn fan<V>(
    terminal: Option<Slot<V>>,
    blades: impl ExactSizeIterator<Item = (u8, Bound<V>)>,
) -> Arc<Branch<V>> {
    let blades = blades.enumerate().map(|(at, (first, slots))| (if at == 0 { 0 } else { first }, blade(slots)));
    let mut node = flat(terminal, blades);
    Arc::get_mut(&mut node).expect("it was just made").head.fan = true;
    node
}

/// The slot of a fan for a blade of these slots.
pub(super) fn blade<V>(slots: Bound<V>) -> Slot<V> {
    Slot::Branch { text: Text::EMPTY, node: flat(None, slots.into_iter()) }
}
