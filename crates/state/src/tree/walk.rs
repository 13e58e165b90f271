//! A place in the tree that moves in order: the way down to it, and its key, rebuilt while it moves.
//!
//! Knows no bounds and no second end; ranges and differences are made of it.

use std::ptr;

use super::node::{Branch, Place, Slot};
use super::text::common;
use super::touch::{Value, touch};

/// A branch on the way down, and which of its slots the way takes.
struct Frame<'a, V> {
    node: &'a Branch<V>,
    index: usize,
    /// How many bytes of the key lead to the branch.
    depth: usize,
}

/// A place in the tree. It stands at a slot, on the way to which the key was collected, or nowhere.
pub(super) struct Walk<'a, V> {
    root: &'a Slot<V>,
    frames: Vec<Frame<'a, V>>,
    /// The key so far: up to and including the edge of the slot where it stands.
    key: Vec<u8>,
    here: Option<Here<'a, V>>,
}

/// What a walk stands at.
pub(super) enum Here<'a, V> {
    /// A leaf: its slot, by whose address it is told from others, and its value.
    Leaf(&'a Slot<V>, &'a V),
    Branch(&'a Branch<V>),
}

impl<V> Clone for Here<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Here<'_, V> {}

impl<'a, V: Value> Walk<'a, V> {
    /// Stands at the root, or nowhere if the tree is empty.
    pub(super) fn new(root: &'a Slot<V>) -> Self {
        let mut walk = Walk { root, frames: Vec::new(), key: Vec::new(), here: None };
        walk.restart();
        walk
    }

    pub(super) fn here(&self) -> Option<Here<'a, V>> {
        self.here
    }

    /// The value where it stands, if at a leaf.
    pub(super) fn leaf(&self) -> Option<&'a V> {
        match self.here {
            Some(Here::Leaf(_, value)) => Some(value),
            _ => None,
        }
    }

    /// Whether both stand at the same leaf of the same tree.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self.here, other.here) {
            (Some(Here::Leaf(here, _)), Some(Here::Leaf(there, _))) => ptr::eq(here, there),
            _ => false,
        }
    }

    /// The key of the leaf, or what all keys below the branch begin with.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Goes to the first leaf of the subtree where it stands.
    pub(super) fn first(&mut self) {
        while let Some(Here::Branch(node)) = self.here {
            self.enter(node, 0);
        }
    }

    /// Goes to the last leaf of the subtree where it stands.
    pub(super) fn last(&mut self) {
        while let Some(Here::Branch(node)) = self.here {
            self.enter(node, node.slots.len() - 1);
        }
    }

    /// Goes to the first slot of the branch where it stands.
    pub(super) fn descend(&mut self) {
        if let Some(Here::Branch(node)) = self.here {
            self.enter(node, 0);
        }
    }

    /// Goes to the next subtree that is not part of the one where it stands; nowhere if there is none.
    pub(super) fn skip(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if frame.index + 1 < frame.node.slots.len() {
                frame.index += 1;
                return self.turn();
            }
            self.frames.pop();
        }
        self.here = None;
    }

    /// Goes to the last subtree before the one where it stands; nowhere if there is none.
    fn skip_back(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if frame.index > 0 {
                frame.index -= 1;
                return self.turn();
            }
            self.frames.pop();
        }
        self.here = None;
    }

    /// Goes from a leaf to the next one. Fetches ahead what a scan comes to next.
    pub(super) fn next(&mut self) {
        if let Some(frame) = self.frames.last_mut()
            && let Some(slot @ Slot::Leaf { text, value }) = frame.node.slots.get(frame.index + 1)
        {
            frame.index += 1;
            self.key.truncate(frame.depth);
            self.key.extend(frame.node.head.byte(frame.index));
            text.append_to(&mut self.key);
            self.here = Some(Here::Leaf(slot, value));
            return;
        }
        self.skip();
        while let Some(Here::Branch(node)) = self.here {
            touch(&node.slots);
            self.enter(node, 0);
        }
    }

    /// Goes from a leaf to the one before.
    pub(super) fn previous(&mut self) {
        self.skip_back();
        self.last();
    }

    /// Goes to the first leaf whose key is `key` or greater (just greater unless `inclusive`); nowhere if there is none.
    /// Starts from the nearest branch above the place where it stands that leads there.
    pub(super) fn seek(&mut self, key: &[u8], inclusive: bool) {
        let shared = common(&self.key, key);
        while self.frames.last().is_some_and(|frame| frame.depth > shared) {
            self.frames.pop();
        }
        match self.frames.pop() {
            Some(mut frame) => {
                // A fan stands above its blade at the same depth, and the key may lie in another blade.
                if let Some(fan) = self.frames.pop_if(|above| above.depth == frame.depth) {
                    frame = fan;
                }
                self.key.truncate(frame.depth);
                self.here = Some(Here::Branch(frame.node));
            }
            None => self.restart(),
        }
        let mut shared = self.key.len().min(shared);
        loop {
            let at = self.key.len();
            shared += common(&self.key[shared..], &key[shared..]);
            match self.here {
                None => return,
                _ if shared < at => {
                    let beyond = shared == key.len() || self.key[shared] > key[shared];
                    return if beyond { self.first() } else { self.next() };
                }
                Some(Here::Leaf(..)) => {
                    if at < key.len() || !inclusive {
                        self.next();
                    }
                    return;
                }
                Some(Here::Branch(node)) => match node.place(&key[at..]) {
                    Place::Found(index) => self.enter(node, index),
                    Place::Missing(index) if index < node.slots.len() => {
                        self.enter(node, index);
                        return self.first();
                    }
                    Place::Missing(_) => return self.next(),
                },
            }
        }
    }

    /// Goes to the last leaf whose key is `key` or smaller (just smaller unless `inclusive`); nowhere if there is none.
    pub(super) fn seek_before(&mut self, key: &[u8], inclusive: bool) {
        self.seek(key, !inclusive);
        if self.here.is_some() {
            self.previous();
        } else {
            self.restart();
            self.last();
        }
    }

    /// Goes to the root.
    fn restart(&mut self) {
        self.frames.clear();
        self.key.clear();
        self.stand(self.root);
    }

    /// Goes into a slot of the branch where it stands.
    fn enter(&mut self, node: &'a Branch<V>, index: usize) {
        self.frames.push(Frame { node, index, depth: self.key.len() });
        self.turn();
    }

    /// Goes into the slot that the last frame names.
    fn turn(&mut self) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        self.key.truncate(frame.depth);
        if !frame.node.head.fan {
            self.key.extend(frame.node.head.byte(frame.index));
        }
        self.stand(&frame.node.slots[frame.index]);
    }

    /// Stands at a slot, the text of its edge added to the key.
    fn stand(&mut self, slot: &'a Slot<V>) {
        let mut slot = slot;
        loop {
            match slot {
                Slot::Vacant => {
                    self.here = None;
                    return;
                }
                Slot::Leaf { text, value } => {
                    text.append_to(&mut self.key);
                    self.here = Some(Here::Leaf(slot, value));
                    return;
                }
                Slot::Branch { text, node } => {
                    text.append_to(&mut self.key);
                    self.here = Some(Here::Branch(node));
                    return;
                }
                Slot::Span(span) => {
                    self.key.extend_from_slice(span.text());
                    slot = &span.next;
                }
            }
        }
    }
}
