//! Making room in a full branch: gathering the leaves of a byte in a branch of their own, or spreading the slots over the
//! blades of a fan.
//!
//! The slots of a full branch are divided between bytes as evenly as can be, as a B-tree does, so that nodes stay more
//! than half full for whatever bytes come. Only if one byte has most of the leaves do these go one level down.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::build::{Bound, blade, fan, flat, grow, own, unbind};
use super::edge::{Target, branch_below, branch_below_mut, edge};
use super::node::{Branch, Slot, WIDTH};
use super::text::{Text, common};
use super::touch::Value;

/// A run of more leaves than this is gathered rather than kept beside other slots.
const HALF: usize = WIDTH / 2;
/// The upper half of a byte: what the blades of a fan are told by when there is no room for less regular ones.
const UPPER_HALF: u8 = 0xf0;

/// Makes room where a leaf for `byte` is to go below this branch: in itself, or if it is a fan in a blade.
pub(super) fn divide<V: Value>(node: &mut Arc<Branch<V>>, byte: u8) {
    if !node.head.fan {
        let run = longest_run(node);
        if run.len() > HALF {
            gather(node, run);
        } else {
            spread(node);
        }
        return;
    }
    let full = node.ways() == WIDTH;
    let index = node.blade(byte);
    let blade = branch_below_mut(&mut own(node).slots[index]);
    let run = longest_run(blade);
    if run.len() > HALF || (full && run.len() > 1) {
        gather(blade, run);
    } else if full {
        spread_by_halves(node);
    } else {
        halve(node, index);
    }
}

/// Puts the run of a byte below this branch into a branch of its own.
pub(super) fn gather_byte<V: Value>(node: &mut Arc<Branch<V>>, byte: u8) {
    if node.head.fan {
        let index = node.blade(byte);
        let blade = branch_below_mut(&mut own(node).slots[index]);
        gather(blade, blade.run(byte));
    } else {
        gather(node, node.run(byte));
    }
}

/// Whether no division makes room for one more slot in this blade of the fan.
pub(super) fn is_indivisible<V>(fan: &Branch<V>, blade: &Branch<V>) -> bool {
    fan.ways() == WIDTH && longest_run(blade).len() == 1
}

/// The longest run of slots with the same byte; the terminal is none.
fn longest_run<V>(node: &Branch<V>) -> Range<usize> {
    let mut longest = 0..0;
    let mut start = node.head.terminals();
    for end in start + 1..=node.slots.len() {
        if end == node.slots.len() || node.head.byte(end) != node.head.byte(start) {
            if end - start > longest.len() {
                longest = start..end;
            }
            start = end;
        }
    }
    longest
}

/// Puts a run of at least two leaves into a branch of their own.
pub(super) fn gather<V: Value>(node: &mut Arc<Branch<V>>, run: Range<usize>) {
    let terminals = node.head.terminals();
    let (terminal, mut slots) = unbind(node);
    gather_slots(&mut slots, run.start - terminals..run.end - terminals);
    *node = flat(terminal, slots.into_iter());
}

/// Replaces a run of at least two leaves by one branch.
fn gather_slots<V>(slots: &mut Bound<V>, run: Range<usize>) {
    let byte = slots[run.start].0;
    let leaves: Vec<_> = slots
        .drain(run.clone())
        .map(|(_, slot)| match slot {
            Slot::Leaf { text, value } => (text, value),
            _ => unreachable!("a run is of leaves"),
        })
        .collect();
    let (first, last) = (leaves[0].0, leaves[leaves.len() - 1].0);
    let shared = common(first.as_slice(), last.as_slice());
    let mut terminal = None;
    let mut below = Bound::with_capacity(leaves.len());
    for (text, value) in leaves {
        let text = &text.as_slice()[shared..];
        let leaf = |text| Slot::Leaf { text: Text::new(text), value };
        match text.split_first() {
            None => terminal = Some(leaf(&[])),
            Some((&byte, text)) => below.push((byte, leaf(text))),
        }
    }
    let node = flat(terminal, below.into_iter());
    let slot = edge(&first.as_slice()[..shared], Target::Branch(node));
    slots.insert(run.start, (byte, slot));
}

/// Makes a fan of two blades of a branch.
fn spread<V: Value>(node: &mut Arc<Branch<V>>) {
    let (terminal, mut lower) = unbind(node);
    let upper = lower.split_off(middle(&lower));
    let first = upper[0].0;
    *node = fan(terminal, [(0, lower), (first, upper)].into_iter());
}

/// Makes two blades of one in a fan that has room for it.
fn halve<V: Value>(node: &mut Arc<Branch<V>>, index: usize) {
    let halved = branch_below_mut(&mut own(node).slots[index]);
    let (_, mut lower) = unbind(halved);
    let upper = lower.split_off(middle(&lower));
    let first = upper[0].0;
    *halved = flat(None, lower.into_iter());
    grow(node, index + 1, Some(first), blade(upper));
}

/// Where a new byte begins, as near to the middle as can be.
fn middle<V>(slots: &Bound<V>) -> usize {
    let half = slots.len() / 2;
    (1..slots.len())
        .filter(|&at| slots[at - 1].0 != slots[at].0)
        .min_by_key(|at| at.abs_diff(half))
        .expect("no run is longer than half, so there is more than one")
}

/// Builds a fan anew with a blade for each upper half of bytes, which has room for all bytes of that half.
fn spread_by_halves<V: Value>(node: &mut Arc<Branch<V>>) {
    let (terminal, blades) = unbind(node);
    let mut halves: Vec<(u8, Bound<V>)> = Vec::with_capacity(WIDTH);
    for (_, blade) in blades {
        let Slot::Branch { mut node, .. } = blade else {
            unreachable!("a fan has blades");
        };
        for (byte, slot) in unbind(&mut node).1 {
            match halves.last_mut() {
                Some((half, slots)) if *half == byte & UPPER_HALF => slots.push((byte, slot)),
                _ => halves.push((byte & UPPER_HALF, vec![(byte, slot)])),
            }
        }
    }
    for (_, slots) in &mut halves {
        if slots.len() > WIDTH {
            gather_all(slots);
        }
    }
    *node = fan(terminal, halves.into_iter());
}

/// Leaves one slot for each byte.
fn gather_all<V>(slots: &mut Bound<V>) {
    let mut start = 0;
    while start < slots.len() {
        let byte = slots[start].0;
        let length = slots[start..].iter().take_while(|slot| slot.0 == byte).count();
        if length > 1 {
            gather_slots(slots, start..start + length);
        }
        start += 1;
    }
}

/// Builds a branch of however many slots in order, runs of at most [`HALF`] among them: a fan if they are many.
pub(super) fn arrange<V>(terminal: Option<Slot<V>>, mut slots: Bound<V>) -> Arc<Branch<V>> {
    if slots.len() <= WIDTH {
        return flat(terminal, slots.into_iter());
    }
    let mut blades = deal(slots.iter().map(|(byte, _)| *byte), FULL_ENOUGH);
    if blades.len() > WIDTH {
        gather_all(&mut slots);
        let share = slots.len().div_ceil(WIDTH).max(FULL_ENOUGH);
        blades = deal(slots.iter().map(|(byte, _)| *byte), share);
    }
    let mut slots = slots.into_iter();
    let blades: Vec<_> = blades
        .into_iter()
        .map(|length| {
            let blade: Bound<V> = slots.by_ref().take(length).collect();
            (blade[0].0, blade)
        })
        .collect();
    fan(terminal, blades.into_iter())
}

/// How many slots go to each blade if none gets more than `share` and no byte is split.
fn deal(bytes: impl Iterator<Item = u8>, share: usize) -> Vec<usize> {
    let mut lengths = vec![0];
    let bytes: Vec<u8> = bytes.collect();
    for run in bytes.chunk_by(|one, other| one == other) {
        match lengths.last_mut() {
            Some(length) if *length == 0 || *length + run.len() <= share => *length += run.len(),
            _ => lengths.push(run.len()),
        }
    }
    lengths
}

/// How many slots a blade gets when a fan is built at once: most of what it has room for, some left for more.
const FULL_ENOUGH: usize = WIDTH - 4;

/// At how many ways a fan becomes flat. Less than what makes a branch a fan, so that a key that comes and goes does not
/// rebuild the node each time.
const FLAT_AGAIN: usize = WIDTH - 4;

/// Makes a flat branch of a fan that has few slots left in its blades.
pub(super) fn flatten_if_small<V: Value>(node: &mut Arc<Branch<V>>) {
    let blades = &node.slots[node.head.terminals()..];
    let ways: usize = blades.iter().filter_map(branch_below).map(|blade| blade.ways()).sum();
    if ways > FLAT_AGAIN && blades.len() > 1 {
        return;
    }
    let (terminal, blades) = unbind(node);
    let mut slots = Bound::with_capacity(ways);
    for (_, blade) in blades {
        let Slot::Branch { mut node, .. } = blade else {
            unreachable!("a fan has blades");
        };
        slots.append(&mut unbind(&mut node).1);
    }
    *node = flat(terminal, mem::take(&mut slots).into_iter());
}
