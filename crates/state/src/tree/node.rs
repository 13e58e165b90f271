//! What the tree is made of: slots, branches and spans, and how they are copied, grown, shrunk and taken apart.
//!
//! Knows nothing of whole keys, ranges or searches; those walk over what is here.
//!
//! - A [`Slot`] is a place for one subtree. It holds the text of the edge that leads to the subtree, and the subtree: a
//!   leaf (the value itself, in place) or a branch. So a node's bytes are about its children only, and an edge can be
//!   cut or lengthened without touching the (perhaps shared) node under it.
//! - A [`Branch`] has slots for next bytes, sorted by these, and at the very front perhaps the *terminal*: the leaf of
//!   the key that ends at this branch. A branch or a span is the only slot of its byte. Leaves may share a byte, as a
//!   *run* sorted by their texts: a branch of their own would cost more than their common text.
//! - A branch has at most 16 slots beside the terminal. What needs more is a *fan*: its slots lead to *blades*, branches
//!   at the same depth that hold the slots for neighbouring bytes, and its keys are the first bytes that belong to each.
//!   Hence nodes stay full for whatever bytes keys are made of, and a copy of a node never clones more than 17 slots,
//!   however wide the keys fan out.
//! - A [`Span`] carries edge text that is too long for the slot.
//!
//! Nodes are exactly as large as what they hold: growing by a slot makes a new node and moves the slots over, which a
//! copy on write does anyway.

use std::cmp::Ordering;
use std::sync::Arc;

use super::release::Release;
use super::text::Text;

/// How many slots a branch has at most beside the terminal.
pub(super) const WIDTH: usize = 16;
/// How many slots a branch has at most.
pub(super) const SLOTS: usize = WIDTH + 1;
/// How many bytes of edge text a slot holds beside a value.
pub(super) const LEAF_TEXT: usize = 22;
/// How many bytes of edge text a slot holds beside a branch.
pub(super) const BRANCH_TEXT: usize = 14;

/// A place for one subtree, with the text of the edge that leads to it.
#[derive(Clone, Default)]
pub(super) enum Slot<V> {
    /// Nothing: an empty tree, or the hole that a moved subtree leaves in a node about to be dropped.
    #[default]
    Vacant,
    Leaf {
        text: Text<LEAF_TEXT>,
        value: V,
    },
    Branch {
        text: Text<BRANCH_TEXT>,
        node: Arc<Branch<V>>,
    },
    /// The beginning of an edge text that does not fit beside what it leads to.
    Span(Arc<Span<V>>),
}

const _: () = assert!(size_of::<Slot<Arc<()>>>() == 32, "a slot of pointer-sized values is four words");

impl<V> Slot<V> {
    /// How many keys there are in the subtree.
    pub(super) fn count(&self) -> usize {
        let mut slot = self;
        loop {
            match slot {
                Slot::Vacant => return 0,
                Slot::Leaf { .. } => return 1,
                Slot::Branch { node, .. } => return node.head.count as usize,
                Slot::Span(span) => slot = &span.next,
            }
        }
    }
}

/// A node with its slots in the same allocation.
pub(super) struct Node<S: Release + ?Sized> {
    pub(super) head: Head,
    pub(super) slots: S,
}

/// A node as it is used: with however many slots it has.
pub(super) type Branch<V> = Node<[Slot<V>]>;

/// What a branch knows about its slots.
///
/// Invariants: the keys in use ascend (in a fan strictly, and the first is 0), the others are 0xff.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    keys: [u8; WIDTH],
    /// How many keys there are in the subtree.
    pub(super) count: u32,
    /// Whether the first slot is the leaf of the key that ends here.
    pub(super) terminal: bool,
    /// Whether the slots (but the terminal) lead to blades.
    pub(super) fan: bool,
}

impl Head {
    pub(super) const EMPTY: Self = Head { keys: [u8::MAX; WIDTH], count: 0, terminal: false, fan: false };

    /// How many keys are smaller than `byte`. Written so that it compiles to a single comparison of all 16.
    fn smaller(&self, byte: u8) -> usize {
        let mut smaller = 0u8;
        for &key in &self.keys {
            smaller += u8::from(key < byte);
        }
        usize::from(smaller)
    }

    /// How many slots stand before the first that has a byte.
    pub(super) fn terminals(&self) -> usize {
        usize::from(self.terminal)
    }

    /// Makes room in the keys for a slot that comes to stand at `index`: for `byte`, or the terminal if there is none.
    pub(super) fn insert(&mut self, index: usize, byte: Option<u8>) {
        match byte {
            None => {
                assert!(!self.terminal && index == 0, "there is one terminal, in front");
                self.terminal = true;
            }
            Some(byte) => {
                let at = index - self.terminals();
                self.keys.copy_within(at..WIDTH - 1, at + 1);
                self.keys[at] = byte;
            }
        }
    }

    pub(super) fn remove(&mut self, index: usize) {
        if self.terminal && index == 0 {
            self.terminal = false;
            return;
        }
        let at = index - self.terminals();
        self.keys.copy_within(at + 1.., at);
        self.keys[WIDTH - 1] = u8::MAX;
        if self.fan && at == 0 {
            // What is now the first blade gets the bytes of the one that went.
            self.keys[0] = 0;
        }
    }

    /// How many bytes of the key a step to a slot (other than the terminal) consumes: a fan leaves that to the blade.
    pub(super) fn step(&self) -> usize {
        usize::from(!self.fan)
    }

    /// The byte that a slot stands for (in a fan: the first that belongs to its blade); none for the terminal.
    pub(super) fn byte(&self, index: usize) -> Option<u8> {
        let at = index.checked_sub(self.terminals())?;
        Some(self.keys[at])
    }
}

/// Where the way to a key goes on in a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Through this slot.
    Found(usize),
    /// Nowhere; a slot for it would come to stand here.
    Missing(usize),
}

impl<V> Branch<V> {
    /// Where the way to the key goes on of which `rest` lies below this branch.
    ///
    /// A leaf is found only if it is the key's own. A branch or a span is found if it has the next byte.
    pub(super) fn place(&self, rest: &[u8]) -> Place {
        let Some((&byte, below)) = rest.split_first() else {
            return if self.head.terminal { Place::Found(0) } else { Place::Missing(0) };
        };
        if self.head.fan {
            return Place::Found(self.blade(byte));
        }
        let mut at = self.head.smaller(byte);
        let mut index = at + self.head.terminals();
        while index < self.slots.len() && self.head.keys[at] == byte {
            match &self.slots[index] {
                Slot::Leaf { text, .. } => match text.as_slice().cmp(below) {
                    Ordering::Less => {}
                    Ordering::Equal => return Place::Found(index),
                    Ordering::Greater => return Place::Missing(index),
                },
                _ => return Place::Found(index),
            }
            at += 1;
            index += 1;
        }
        Place::Missing(index)
    }

    /// The slot of the blade, in this fan, to which a byte belongs.
    pub(super) fn blade(&self, byte: u8) -> usize {
        let smaller = self.head.smaller(byte);
        let begins = smaller < self.ways() && self.head.keys[smaller] == byte;
        smaller + usize::from(begins) - 1 + self.head.terminals()
    }

    /// How many slots there are beside the terminal.
    pub(super) fn ways(&self) -> usize {
        self.slots.len() - self.head.terminals()
    }

    /// The slots that have a byte: from where they begin to where they end.
    pub(super) fn run(&self, byte: u8) -> std::ops::Range<usize> {
        let keys = &self.head.keys[..self.ways()];
        let start = keys.partition_point(|&key| key < byte) + self.head.terminals();
        let end = keys.partition_point(|&key| key <= byte) + self.head.terminals();
        start..end
    }
}

/// Edge text that is too long for a slot, and the slot that it leads on to. The text is as large as the next size of
/// allocation allows.
pub(super) struct Span<V, T: ?Sized = [u8]> {
    pub(super) next: Slot<V>,
    length: u8,
    text: T,
}

/// How many bytes a span holds at most; longer texts are a chain of spans.
pub(super) const SPAN_TEXT: usize = 207;

impl<V> Span<V> {
    /// # Panics
    /// If there are no bytes, or more than [`SPAN_TEXT`].
    pub(super) fn new(text: &[u8], next: Slot<V>) -> Arc<Self> {
        fn sized<V, const N: usize>(text: &[u8], next: Slot<V>) -> Arc<Span<V, [u8; N]>> {
            let mut bytes = [0; N];
            bytes[..text.len()].copy_from_slice(text);
            Arc::new(Span {
                next,
                length: u8::try_from(text.len()).expect("no span is longer than 255 bytes"),
                text: bytes,
            })
        }
        // With two counters before and a slot of four words these make allocations of 64, 80, 96, … bytes.
        match text.len() {
            1..=15 => sized::<V, 15>(text, next),
            16..=31 => sized::<V, 31>(text, next),
            32..=47 => sized::<V, 47>(text, next),
            48..=79 => sized::<V, 79>(text, next),
            80..=143 => sized::<V, 143>(text, next),
            144..=SPAN_TEXT => sized::<V, SPAN_TEXT>(text, next),
            length => unreachable!("a span holds 1 to {SPAN_TEXT} bytes, not {length}"),
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}
