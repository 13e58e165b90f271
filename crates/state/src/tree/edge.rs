//! Edges: the text between two branches, or between a branch and a leaf, however long it is.
//!
//! Knows how text is laid out over slots and spans, and nothing of what a branch chooses by.
//!
//! The layout of an edge follows from its length alone: the last bytes stand in the slot of the target, as many as fit;
//! what comes before them stands in a chain of spans, all of them full but the first.

use std::sync::Arc;

use super::build::own_span;
use super::node::{BRANCH_TEXT, Branch, LEAF_TEXT, SPAN_TEXT, Slot, Span};
use super::text::{Text, common};
use super::touch::Value;

/// What an edge leads to.
pub(super) enum Target<V> {
    Leaf(V),
    Branch(Arc<Branch<V>>),
}

/// Makes the slot for a target at the end of an edge with this text.
pub(super) fn edge<V>(text: &[u8], target: Target<V>) -> Slot<V> {
    let capacity = match target {
        Target::Leaf(_) => LEAF_TEXT,
        Target::Branch(_) => BRANCH_TEXT,
    };
    let (mut before, last) = text.split_at(text.len().saturating_sub(capacity));
    let mut slot = match target {
        Target::Leaf(value) => Slot::Leaf { text: Text::new(last), value },
        Target::Branch(node) => Slot::Branch { text: Text::new(last), node },
    };
    while !before.is_empty() {
        let (rest, span) = before.split_at(before.len().saturating_sub(SPAN_TEXT));
        slot = Slot::Span(Span::new(span, slot));
        before = rest;
    }
    slot
}

/// Takes an edge apart: appends its text and returns its target.
///
/// # Panics
/// If the slot is vacant.
pub(super) fn part<V: Value>(slot: Slot<V>, text: &mut Vec<u8>) -> Target<V> {
    let mut slot = slot;
    loop {
        match slot {
            Slot::Vacant => unreachable!("an edge leads somewhere"),
            Slot::Leaf { text: last, value } => {
                text.extend_from_slice(last.as_slice());
                return Target::Leaf(value);
            }
            Slot::Branch { text: last, node } => {
                text.extend_from_slice(last.as_slice());
                return Target::Branch(node);
            }
            Slot::Span(mut span) => {
                text.extend_from_slice(span.text());
                slot = match Arc::get_mut(&mut span) {
                    Some(span) => std::mem::take(&mut span.next),
                    None => span.next.clone(),
                };
            }
        }
    }
}

/// How the way to a key fits an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It takes the whole edge, of this length, to a branch.
    Branch(usize),
    /// It leaves the edge after so many bytes: before its end, or at its end because there is but a leaf.
    Leaves(usize),
}

/// How the way to a key, of which `rest` is left, fits the edge of a slot (not vacant).
pub(super) fn fit<V>(slot: &Slot<V>, rest: &[u8]) -> Fit {
    let mut slot = slot;
    let mut before = 0;
    loop {
        let (text, next) = match slot {
            Slot::Vacant => return Fit::Leaves(before),
            Slot::Leaf { text, .. } => {
                return Fit::Leaves(before + common(text.as_slice(), &rest[before..]));
            }
            Slot::Branch { text, .. } => (text.as_slice(), None),
            Slot::Span(span) => (span.text(), Some(&span.next)),
        };
        let shared = common(text, &rest[before..]);
        before += shared;
        if shared < text.len() {
            return Fit::Leaves(before);
        }
        match next {
            None => return Fit::Branch(before),
            Some(next) => slot = next,
        }
    }
}

/// The branch at the end of the edge, if it ends at a branch.
pub(super) fn branch_below<V>(slot: &Slot<V>) -> Option<&Arc<Branch<V>>> {
    let mut slot = slot;
    loop {
        match slot {
            Slot::Vacant | Slot::Leaf { .. } => return None,
            Slot::Branch { node, .. } => return Some(node),
            Slot::Span(span) => slot = &span.next,
        }
    }
}

/// The branch at the end of the edge, the spans before it made ours.
///
/// # Panics
/// If the edge does not end at a branch.
pub(super) fn branch_below_mut<V: Value>(slot: &mut Slot<V>) -> &mut Arc<Branch<V>> {
    let mut slot = slot;
    loop {
        match slot {
            Slot::Vacant | Slot::Leaf { .. } => unreachable!("the edge ends at a branch"),
            Slot::Branch { node, .. } => return node,
            Slot::Span(span) => slot = &mut own_span(span).next,
        }
    }
}
