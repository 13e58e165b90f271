//! Shapes of the persistent tree that random keys rarely make: as wide and as deep as keys allow, and shared by threads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use conclave_state::tree::Tree;

/// How long the long key is at whose every byte another key parts from it.
const DEEP: usize = 8 * 1024;
/// A stack that has no room for a frame for each of these levels, however small.
const SHALLOW_STACK: usize = 16 * DEEP;

/// Every prefix of a long key is a key, and at every byte another key parts from it.
fn deep(depth: usize) -> Tree<usize> {
    let mut tree = Tree::new();
    let mut key = Vec::new();
    for depth in 0..depth {
        tree.insert(&key, depth);
        key.push(b'a');
        let last = key.len() - 1;
        key[last] = b'b';
        tree.insert(&key, depth);
        key[last] = b'a';
    }
    tree
}

#[test]
fn a_tree_as_deep_as_its_keys_are_long_needs_no_deep_stack() {
    std::thread::Builder::new()
        .stack_size(SHALLOW_STACK)
        .spawn(|| {
            let mut tree = deep(DEEP);
            assert_eq!(tree.len(), 2 * DEEP);
            let key = vec![b'a'; DEEP - 1];
            assert_eq!(tree.get(&key), Some(&(DEEP - 1)));
            assert_eq!(tree.count(Bound::Unbounded, Bound::Excluded(&key)), DEEP - 1);
            let mut range = tree.iter();
            let mut seen = 0;
            while range.next().is_some() {
                seen += 1;
            }
            assert_eq!(seen, 2 * DEEP);

            let snapshot = tree.clone();
            assert_eq!(tree.remove(&key), Some(DEEP - 1));
            assert_eq!(tree.insert(b"b", 7), Some(0));
            let mut differences = tree.diff(&snapshot);
            assert!(differences.next().is_some_and(|found| found.key == key));
            assert!(differences.next().is_some_and(|found| found.key == b"b"));
            assert!(differences.next().is_none());
            drop(differences);
            drop(snapshot);
            drop(tree);
        })
        .expect("a thread can be started")
        .join()
        .expect("no stack overflowed and no assertion failed");
}

#[test]
fn the_invariants_hold_in_a_deep_tree_and_in_what_removal_leaves_of_it() {
    let depth = DEEP / 8;
    let mut tree = deep(depth);
    tree.check();
    for length in (0..depth).step_by(3) {
        assert_eq!(tree.remove(&vec![b'a'; length]), Some(length));
        tree.check();
    }
    assert_eq!(tree.len(), 2 * depth - depth.div_ceil(3));
}

#[test]
fn a_single_long_key_is_an_edge() {
    let mut tree = Tree::new();
    let key = vec![b'x'; 64 * 1024];
    let half = &key[..key.len() / 2];
    tree.insert(&key, 1);
    tree.check();
    tree.insert(half, 2);
    tree.check();
    assert!(tree.footprint() < key.len() * 5 / 4, "text is stored densely");
    assert_eq!(tree.remove(half), Some(2));
    tree.check();
    assert_eq!(tree.get(&key), Some(&1));
    assert_eq!(tree.len(), 1);
}

/// All keys of up to two bytes, in and out again in an order that visits the bytes far apart from each other.
#[test]
fn branches_of_every_width_up_to_all_bytes() {
    let bytes: Vec<u8> = (0..=255u8).map(|step| step.wrapping_mul(91)).collect();
    let mut tree = Tree::new();
    for (added, byte) in bytes.iter().enumerate() {
        assert_eq!(tree.insert(&[b'k', *byte], added), None);
        assert_eq!(tree.len(), added + 1);
        tree.check();
    }
    assert_eq!(tree.insert(b"k", 1000), None);
    tree.check();
    let full = tree.clone();
    let mut entries = tree.iter();
    assert_eq!(entries.next(), Some((b"k".as_slice(), &1000)));
    for byte in 0..=255u8 {
        assert!(entries.next().is_some_and(|(key, _)| key == [b'k', byte]));
    }
    for (removed, byte) in bytes.iter().enumerate() {
        assert_eq!(tree.remove(&[b'k', *byte]), Some(removed));
        assert_eq!(tree.count_prefix(b"k"), 256 - removed);
        tree.check();
    }
    assert_eq!(tree.remove(b"k"), Some(1000));
    assert!(tree.is_empty());
    full.check();
    assert_eq!(full.len(), 257);
}

#[test]
fn values_live_exactly_as_long_as_a_tree_holds_them() {
    let value = Arc::new(());
    let mut tree = Tree::new();
    for key in 0..1000u32 {
        tree.insert(&key.to_be_bytes(), Arc::clone(&value));
    }
    assert_eq!(Arc::strong_count(&value), 1001);
    let snapshot = tree.clone();
    for key in 0..500u32 {
        tree.remove(&key.to_be_bytes());
    }
    drop(snapshot);
    assert_eq!(Arc::strong_count(&value), 501);
    for key in 0..1000u32 {
        tree.insert(&key.to_be_bytes(), Arc::clone(&value));
    }
    assert_eq!(Arc::strong_count(&value), 1001);
    drop(tree);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn unshared_nodes_are_changed_in_place_and_clones_share() {
    let mut tree = Tree::new();
    for key in 0..10_000u32 {
        tree.insert(&key.to_be_bytes(), Arc::new(key));
    }
    let snapshot = tree.clone();
    assert!(tree.same(&snapshot));
    tree.insert(&5u32.to_be_bytes(), Arc::new(0));
    assert!(!tree.same(&snapshot));
    // One node on each level was copied, and with it the references to the values beside the one that changed.
    let copied = (0..10_000u32)
        .filter(|key| {
            let value = tree.get(&key.to_be_bytes()).expect("it is there");
            Arc::strong_count(value) > 1
        })
        .count();
    assert!((1..=16).contains(&copied), "copied {copied} values");
}

/// Readers on other threads hold snapshots while a writer goes on; the last reference goes on any of them.
#[test]
fn snapshots_are_read_and_dropped_on_other_threads() {
    let mut tree = Tree::new();
    for key in 0..2_000u64 {
        tree.insert(&key.to_be_bytes(), 0u64);
    }
    std::thread::scope(|scope| {
        for round in 1..=50u64 {
            for key in (0..2_000u64).step_by(7) {
                tree.insert(&key.to_be_bytes(), round);
            }
            let snapshot = tree.clone();
            scope.spawn(move || {
                let mut entries = snapshot.iter();
                let mut number = 0u64;
                while let Some((key, value)) = entries.next() {
                    assert_eq!(key, number.to_be_bytes());
                    assert_eq!(*value, if number.is_multiple_of(7) { round } else { 0 });
                    number += 1;
                }
                assert_eq!(number, 2_000);
            });
        }
    });
}

/// Many keys of few lengths over all bytes, coming and going, so that fans fill up, are dealt anew and get flat again.
#[test]
fn crowds_come_and_go() {
    for (seed, bytes, longest) in [(1u64, 256, 2), (2, 256, 3), (3, 40, 4), (4, 3, 12), (5, 256, 1)] {
        let mut numbers = seed;
        let mut below = |limit: usize| {
            numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(numbers >> 33).expect("it fits") % limit
        };
        let mut tree = Tree::new();
        let mut oracle = BTreeMap::new();
        for step in 0..30_000 {
            let length = below(longest + 1);
            let mut key: Vec<u8> = (0..length).map(|_| u8::try_from(below(bytes)).expect("it is a byte")).collect();
            // Some ends are too long for a slot, and stand beside some that are not.
            if below(16) == 0 {
                key.extend([0; 30]);
            }
            // The crowd grows for a while, then shrinks.
            if below(10_000) > step % 10_000 {
                assert_eq!(tree.insert(&key, step), oracle.insert(key, step));
            } else if let Some((found, _)) = oracle.range(key..).next() {
                let found = found.clone();
                assert_eq!(tree.remove(&found), oracle.remove(&found));
            }
            if step % 97 == 0 {
                tree.check();
            }
        }
        let mut entries = tree.iter();
        for (key, value) in &oracle {
            assert_eq!(entries.next(), Some((key.as_slice(), value)));
            assert_eq!(tree.get(key), Some(value));
        }
        assert_eq!(entries.next(), None);
    }
}
