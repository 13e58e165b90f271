//! What the tree is made of: slots, branches and spans, and how they are copied, grown, shrunk and taken apart.
//!
//! Knows nothing of whole keys, ranges or searches; those walk over what is here.
//!
//! - A [`Slot`] is a place for one subtree. It holds the text of the edge that leads to the subtree, and the subtree: a
//!   leaf (the value itself, in place) or a branch. So a node's bytes are about its children only, and an edge can be
//!   cut or lengthened without touching the (perhaps shared) node under it.
//! - A [`Branch`] has one slot for each next byte, sorted, and at the very front perhaps the *terminal*: the leaf of the
//!   key that ends at this branch. It has at most 16 bytes to choose from. More than that make it a *fan*: its slots
//!   then stand for the upper halves of the next byte, and under each there is a branch (a *blade*) for the bytes with
//!   that half. Hence a copy of a node never clones more than 17 slots, however wide the key space fans out.
//! - A [`Span`] carries edge text that is too long for the slot.
//!
//! Nodes are exactly as large as what they hold: growing by a slot makes a new node and moves the slots over, which a
//! copy on write does anyway.

use std::mem;
use std::sync::Arc;

use super::text::Text;

/// How many different bytes a branch chooses from, at most.
pub(super) const WIDTH: usize = 16;
/// How many slots a branch has at most: one for each byte, and the terminal.
pub(super) const SLOTS: usize = WIDTH + 1;
/// How many bytes of edge text a slot holds beside a value.
pub(super) const LEAF_TEXT: usize = 14;
/// How many bytes of edge text a slot holds beside a branch.
pub(super) const BRANCH_TEXT: usize = 6;
/// The upper half of a byte: what a fan distinguishes.
const UPPER_HALF: u8 = 0xf0;

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

const _: () = assert!(
    size_of::<Slot<Arc<()>>>() == 24,
    "a slot of pointer-sized values is three words"
);

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

    /// Whether dropping this slot would drop a node under it.
    fn owns_node(&self) -> bool {
        match self {
            Slot::Vacant | Slot::Leaf { .. } => false,
            Slot::Branch { node, .. } => Arc::strong_count(node) == 1,
            Slot::Span(span) => Arc::strong_count(span) == 1,
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
/// Invariants: the keys in use ascend strictly, the others are 0xff; in a fan they are upper halves (the lower is 0).
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    keys: [u8; WIDTH],
    /// How many keys there are in the subtree.
    pub(super) count: u32,
    /// Whether the first slot is the leaf of the key that ends here.
    pub(super) terminal: bool,
    /// Whether the slots stand for upper halves of bytes, each with a blade under it.
    pub(super) fan: bool,
}

impl Head {
    pub(super) const EMPTY: Self = Head {
        keys: [u8::MAX; WIDTH],
        count: 0,
        terminal: false,
        fan: false,
    };

    /// How many keys are smaller than `byte`. Written so that it compiles to a single comparison of all 16.
    fn rank(&self, byte: u8) -> usize {
        let mut smaller = 0u8;
        for &key in &self.keys {
            smaller += u8::from(key < byte);
        }
        usize::from(smaller)
    }

    /// Makes room in the keys for a slot that comes to stand at `index`: for `byte`, or the terminal if there is none.
    pub(super) fn insert(&mut self, index: usize, byte: Option<u8>) {
        match byte {
            None => {
                assert!(
                    !self.terminal && index == 0,
                    "there is one terminal, in front"
                );
                self.terminal = true;
            }
            Some(byte) => {
                let at = index - usize::from(self.terminal);
                self.keys.copy_within(at..WIDTH - 1, at + 1);
                self.keys[at] = byte;
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if self.terminal && index == 0 {
            self.terminal = false;
            return;
        }
        let at = index - usize::from(self.terminal);
        self.keys.copy_within(at + 1.., at);
        self.keys[WIDTH - 1] = u8::MAX;
    }

    /// What of the next byte this node distinguishes.
    pub(super) fn choice(&self, byte: u8) -> u8 {
        if self.fan { byte & UPPER_HALF } else { byte }
    }

    /// How many bytes of the key a step to a slot (other than the terminal) consumes: a fan leaves that to the blade.
    pub(super) fn step(&self) -> usize {
        usize::from(!self.fan)
    }

    /// The byte that a slot stands for (in a fan: its upper half); none for the terminal.
    pub(super) fn byte(&self, index: usize) -> Option<u8> {
        let at = index.checked_sub(usize::from(self.terminal))?;
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
    pub(super) fn place(&self, rest: &[u8]) -> Place {
        let terminals = usize::from(self.head.terminal);
        let Some(&byte) = rest.first() else {
            return if self.head.terminal {
                Place::Found(0)
            } else {
                Place::Missing(0)
            };
        };
        let choice = self.head.choice(byte);
        let rank = self.head.rank(choice);
        let index = rank + terminals;
        if index < self.slots.len() && self.head.keys[rank & (WIDTH - 1)] == choice {
            Place::Found(index)
        } else {
            Place::Missing(index)
        }
    }

    /// How many bytes this branch chooses from.
    pub(super) fn choices(&self) -> usize {
        self.slots.len() - usize::from(self.head.terminal)
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
pub(super) const SPAN_TEXT: usize = 215;

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
        // With two counters before and a slot of three words these make allocations of 48, 64, 80, … bytes.
        match text.len() {
            1..=7 => sized::<V, 7>(text, next),
            8..=23 => sized::<V, 23>(text, next),
            24..=39 => sized::<V, 39>(text, next),
            40..=55 => sized::<V, 55>(text, next),
            56..=87 => sized::<V, 87>(text, next),
            88..=151 => sized::<V, 151>(text, next),
            152..=SPAN_TEXT => sized::<V, SPAN_TEXT>(text, next),
            length => unreachable!("a span holds 1 to {SPAN_TEXT} bytes, not {length}"),
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

/// Puts a branch together from the slots that `fill` gives for each index.
///
/// # Panics
/// If the number of slots is not 1 to [`SLOTS`].
pub(super) fn assemble<V>(
    head: Head,
    length: usize,
    fill: impl FnMut(usize) -> Slot<V>,
) -> Arc<Branch<V>> {
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

impl<'a, V: Clone> Source<'a, V> {
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
pub(super) fn own<V: Clone>(node: &mut Arc<Branch<V>>) -> &mut Branch<V> {
    if Arc::strong_count(node) != 1 {
        let copy = assemble(node.head, node.slots.len(), |index| {
            node.slots[index].clone()
        });
        *node = copy;
    }
    Arc::get_mut(node).expect("the only reference to it is ours")
}

/// The span, made ours by a copy if it is shared.
pub(super) fn own_span<V: Clone>(span: &mut Arc<Span<V>>) -> &mut Span<V> {
    if Arc::strong_count(span) != 1 {
        let copy = Span::new(span.text(), span.next.clone());
        *span = copy;
    }
    Arc::get_mut(span).expect("the only reference to it is ours")
}

/// Puts a slot into the branch: for `byte`, or as the terminal if there is none. The count is the caller's to keep.
pub(super) fn grow<V: Clone>(
    node: &mut Arc<Branch<V>>,
    index: usize,
    byte: Option<u8>,
    slot: Slot<V>,
) {
    let mut head = node.head;
    head.insert(index, byte);
    let length = node.slots.len() + 1;
    let mut source = Source::of(node);
    let mut added = slot;
    let grown = assemble(head, length, |at| {
        if at == index {
            mem::take(&mut added)
        } else {
            source.take(at - usize::from(at > index))
        }
    });
    *node = grown;
}

/// Takes a slot out of the branch, which keeps at least one. The count is the caller's to keep.
pub(super) fn shrink<V: Clone>(node: &mut Arc<Branch<V>>, index: usize) -> Slot<V> {
    let mut head = node.head;
    head.remove(index);
    let length = node.slots.len() - 1;
    let mut source = Source::of(node);
    let removed = source.take(index);
    let shrunk = assemble(head, length, |at| {
        source.take(at + usize::from(at >= index))
    });
    *node = shrunk;
    removed
}

/// Builds a branch from the terminal, if any, and the slots for the bytes in ascending order: a fan if they are many.
///
/// # Panics
/// If there is no slot at all.
pub(super) fn branch<V>(
    terminal: Option<Slot<V>>,
    slots: impl ExactSizeIterator<Item = (u8, Slot<V>)>,
) -> Arc<Branch<V>> {
    if slots.len() <= WIDTH {
        flat(terminal, slots)
    } else {
        fan(terminal, slots)
    }
}

/// Builds a fan from the terminal, if any, and the slots for the bytes in ascending order.
pub(super) fn fan<V>(
    terminal: Option<Slot<V>>,
    slots: impl Iterator<Item = (u8, Slot<V>)>,
) -> Arc<Branch<V>> {
    let mut slots = slots.peekable();
    let mut blades = Vec::with_capacity(WIDTH);
    while let Some((first, slot)) = slots.next() {
        let upper = first & UPPER_HALF;
        let mut blade = Vec::with_capacity(WIDTH);
        blade.push((first, slot));
        while let Some(next) = slots.next_if(|(byte, _)| byte & UPPER_HALF == upper) {
            blade.push(next);
        }
        blades.push((upper, blade_slot(flat(None, blade.into_iter()))));
    }
    let mut node = flat(terminal, blades.into_iter());
    Arc::get_mut(&mut node).expect("it was just made").head.fan = true;
    node
}

/// The slot of a fan for one of its blades.
pub(super) fn blade_slot<V>(node: Arc<Branch<V>>) -> Slot<V> {
    Slot::Branch {
        text: Text::EMPTY,
        node,
    }
}

fn flat<V>(
    terminal: Option<Slot<V>>,
    slots: impl ExactSizeIterator<Item = (u8, Slot<V>)>,
) -> Arc<Branch<V>> {
    let mut head = Head::EMPTY;
    let length = slots.len() + usize::from(terminal.is_some());
    let mut all = terminal
        .map(|slot| (None, slot))
        .into_iter()
        .chain(slots.map(|(byte, slot)| (Some(byte), slot)));
    let mut node = assemble(head, length, |index| {
        let (byte, slot) = all.next().expect("there is a slot for each index");
        head.insert(index, byte);
        head.count += u32::try_from(slot.count()).expect("a tree has less than 2^32 keys");
        slot
    });
    Arc::get_mut(&mut node).expect("it was just made").head = head;
    node
}

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

fn collect<V>(slots: &mut [Slot<V>], waiting: &mut Vec<Slot<V>>) {
    for slot in slots {
        if slot.owns_node() {
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
