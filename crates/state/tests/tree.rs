//! The persistent tree against its oracles: `BTreeMap` for what it holds, `imbl::OrdMap` for what its snapshots hold.
//!
//! Every invariant of the tree is asserted after every operation. Keys are drawn from few bytes and repeated prefixes,
//! so that they often begin with each other, part late, and fill branches up to all 256 ways.

use std::collections::BTreeMap;
use std::ops::Bound;

use conclave_state::tree::{Loader, OutOfOrder, Tree, successor};
use proptest::collection::vec;
use proptest::prelude::*;

type Oracle = imbl::OrdMap<Vec<u8>, u32>;

#[derive(Clone, Debug)]
enum Operation {
    Insert(Vec<u8>, u32),
    Remove(Vec<u8>),
    /// Removes the key that stands at this share (of 65536) of all.
    RemoveAt(u16),
    /// Takes a snapshot.
    Hold,
    /// Compares a snapshot with what its oracle held, and the present with it by `diff`, then drops it.
    Drop(u16),
    /// Lets a snapshot take the present's place.
    Return(u16),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    Prefix(Vec<u8>),
    Seek(Vec<Vec<u8>>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(b'a'), Just(b'b'), Just(0xfe), Just(0xff)];
    prop_oneof![
        // Short keys that begin with each other.
        4 => vec(byte.clone(), 0..7),
        // Every byte below a few prefixes, so that branches become fans and flat again.
        4 => (0usize..3, any::<u8>(), vec(byte.clone(), 0..2))
            .prop_map(|(depth, way, end)| [vec![b'f'; depth], vec![way], end].concat()),
        // Long common prefixes that part around the limits of slots and spans.
        3 => (prop_oneof![0usize..25, 205usize..240, 420usize..460], vec(byte.clone(), 0..3))
            .prop_map(|(length, end)| [vec![b'p'; length], end].concat()),
        // Long ends behind short beginnings.
        2 => (vec(byte, 0..3), 0usize..500)
            .prop_map(|(start, length)| [start, vec![b'e'; length]].concat()),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded),]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => (key(), any::<u32>()).prop_map(|(key, value)| Operation::Insert(key, value)),
        2 => key().prop_map(Operation::Remove),
        6 => any::<u16>().prop_map(Operation::RemoveAt),
        1 => Just(Operation::Hold),
        1 => any::<u16>().prop_map(Operation::Drop),
        1 => any::<u16>().prop_map(Operation::Return),
        2 => (bound(), bound(), vec(any::<bool>(), 0..12))
            .prop_map(|(from, to, ends)| Operation::Range(from, to, ends)),
        1 => key().prop_map(Operation::Prefix),
        1 => vec(key(), 0..6).prop_map(Operation::Seek),
    ]
}

/// A tree, its oracle, and the snapshots of both.
#[derive(Default)]
struct Pair {
    tree: Tree<u32>,
    oracle: Oracle,
    held: Vec<(Tree<u32>, Oracle)>,
}

impl Pair {
    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Insert(key, value) => {
                let before = self.tree.insert(&key, value);
                assert_eq!(before, self.oracle.insert(key.clone(), value));
                assert_eq!(self.tree.get(&key), Some(&value));
            }
            Operation::Remove(key) => {
                assert_eq!(self.tree.get(&key), self.oracle.get(&key));
                self.remove(&key);
            }
            Operation::RemoveAt(share) => {
                if let Some(index) = at(share, self.oracle.len()) {
                    let key = self.oracle.keys().nth(index).expect("it is in range").clone();
                    self.remove(&key);
                }
            }
            Operation::Hold => self.held.push((self.tree.clone(), self.oracle.clone())),
            Operation::Drop(share) => {
                if let Some(index) = at(share, self.held.len()) {
                    let (tree, oracle) = self.held.swap_remove(index);
                    compare(&tree, &oracle);
                    compare_difference(&self.tree, &self.oracle, &tree, &oracle);
                    compare_difference(&tree, &oracle, &self.tree, &self.oracle);
                }
            }
            Operation::Return(share) => {
                if let Some(index) = at(share, self.held.len()) {
                    (self.tree, self.oracle) = self.held[index].clone();
                }
            }
            Operation::Range(from, to, ends) => self.range(&from, &to, &ends),
            Operation::Prefix(prefix) => self.prefix(&prefix),
            Operation::Seek(keys) => self.seek(&keys),
        }
        self.tree.check();
        assert_eq!(self.tree.len(), self.oracle.len());
        assert_eq!(self.tree.is_empty(), self.oracle.is_empty());
    }

    fn remove(&mut self, key: &[u8]) {
        assert_eq!(self.tree.remove(key), self.oracle.remove(key));
        assert_eq!(self.tree.get(key), None);
    }

    fn range(&self, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>, ends: &[bool]) {
        let mut expected: Vec<(&[u8], &u32)> = self
            .oracle
            .iter()
            .filter(|(key, _)| after(key, from) && before(key, to))
            .map(|(key, value)| (key.as_slice(), value))
            .collect();
        let from = from.as_ref().map(Vec::as_slice);
        let to = to.as_ref().map(Vec::as_slice);
        assert_eq!(self.tree.count(from, to), expected.len());

        let mut range = self.tree.range(from, to);
        for from_the_front in ends {
            if *from_the_front {
                let next = (!expected.is_empty()).then(|| expected.remove(0));
                assert_eq!(range.next(), next);
            } else {
                assert_eq!(range.next_back(), expected.pop());
            }
        }
        for entry in expected {
            assert_eq!(range.next(), Some(entry));
        }
        assert_eq!(range.next(), None);
        assert_eq!(range.next_back(), None);
    }

    fn prefix(&self, prefix: &[u8]) {
        let mut entries = self.tree.prefix(prefix);
        let mut count = 0;
        for (key, value) in self.oracle.iter().filter(|(key, _)| key.starts_with(prefix)) {
            assert_eq!(entries.next(), Some((key.as_slice(), value)));
            count += 1;
        }
        assert_eq!(entries.next(), None);
        assert_eq!(self.tree.count_prefix(prefix), count);
        let found = self.tree.first_at_or_after(prefix);
        let expected = self.oracle.iter().find(|(key, _)| key.as_slice() >= prefix);
        assert_eq!(found, expected.map(|(key, value)| (key.clone(), value)));
        let found = self.tree.last_at_or_before(prefix);
        let expected = self.oracle.iter().rfind(|(key, _)| key.as_slice() <= prefix);
        assert_eq!(found, expected.map(|(key, value)| (key.clone(), value)));
    }

    /// Seeks to each key in turn, taking one entry from the front after it, and now and then one from the back.
    fn seek(&self, keys: &[Vec<u8>]) {
        let mut left: Vec<_> = self.oracle.iter().collect();
        let mut range = self.tree.iter();
        for (step, key) in keys.iter().enumerate() {
            range.seek(key);
            left.retain(|(left, _)| *left >= key);
            let expected = (!left.is_empty()).then(|| left.remove(0));
            assert_eq!(range.next(), expected.map(|(key, value)| (key.as_slice(), value)));
            if step % 2 == 1 {
                let expected = left.pop();
                assert_eq!(range.next_back(), expected.map(|(key, value)| (key.as_slice(), value)));
            }
        }
        assert_eq!(range.next(), left.first().map(|(key, value)| (key.as_slice(), *value)));
    }
}

fn at(share: u16, length: usize) -> Option<usize> {
    (length > 0).then(|| usize::from(share) * length / 65536)
}

fn after(key: &Vec<u8>, from: &Bound<Vec<u8>>) -> bool {
    match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    }
}

fn before(key: &Vec<u8>, to: &Bound<Vec<u8>>) -> bool {
    match to {
        Bound::Unbounded => true,
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
    }
}

fn compare(tree: &Tree<u32>, oracle: &Oracle) {
    tree.check();
    assert_eq!(tree.len(), oracle.len());
    let mut entries = tree.iter();
    for (key, value) in oracle {
        assert_eq!(entries.next(), Some((key.as_slice(), value)));
        assert_eq!(tree.get(key), Some(value));
    }
    assert_eq!(entries.next(), None);
    let mut entries = tree.iter();
    for (key, value) in oracle.iter().rev() {
        assert_eq!(entries.next_back(), Some((key.as_slice(), value)));
    }
    assert_eq!(entries.next_back(), None);
}

fn compare_difference(tree: &Tree<u32>, oracle: &Oracle, old: &Tree<u32>, old_oracle: &Oracle) {
    let mut expected = BTreeMap::new();
    for key in oracle.keys().chain(old_oracle.keys()) {
        let (before, after) = (old_oracle.get(key), oracle.get(key));
        if before != after {
            expected.insert(key.clone(), (before, after));
        }
    }
    let mut found = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    let mut differences = tree.diff(old);
    while let Some(difference) = differences.next() {
        assert!(last.is_none_or(|last| last.as_slice() < difference.key), "in order");
        last = Some(difference.key.to_vec());
        found.insert(difference.key.to_vec(), (difference.before, difference.after));
    }
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_its_oracles(operations in vec(operation(), 0..200)) {
        let mut pair = Pair::default();
        for operation in operations {
            pair.run(operation);
        }
        compare(&pair.tree, &pair.oracle);
        for (tree, oracle) in &pair.held {
            compare(tree, oracle);
        }
        let keys: Vec<_> = pair.oracle.keys().cloned().collect();
        for key in keys {
            pair.remove(&key);
            pair.tree.check();
        }
        prop_assert!(pair.tree.is_empty());
        for (tree, oracle) in &pair.held {
            compare(tree, oracle);
        }
    }

    #[test]
    fn loads_in_bulk_what_inserting_makes(entries in proptest::collection::btree_map(key(), any::<u32>(), 0..300)) {
        let loaded = Tree::from_sorted(entries.iter().map(|(key, value)| (key, *value)))
            .expect("the keys ascend");
        let oracle = entries.into_iter().collect();
        compare(&loaded, &oracle);
        let mut inserted = Tree::new();
        for (key, value) in &oracle {
            inserted.insert(key, *value);
        }
        compare(&inserted, &oracle);
        prop_assert!(loaded.footprint() <= inserted.footprint() * 5 / 4);
        prop_assert!(loaded.diff(&inserted).next().is_none());
    }

    #[test]
    fn refuses_to_load_out_of_order(keys in vec(key(), 1..20)) {
        let mut loader = Loader::new();
        let mut oracle = Oracle::new();
        for (value, key) in (0u32..).zip(&keys) {
            let ascends = oracle.get_max().is_none_or(|(last, _)| last < key);
            let outcome = loader.push(key, value);
            prop_assert_eq!(outcome, if ascends { Ok(()) } else { Err(OutOfOrder) });
            if ascends {
                oracle.insert(key.clone(), value);
            }
        }
        compare(&loader.finish(), &oracle);
    }

    #[test]
    fn the_successor_of_a_prefix_is_the_first_key_beyond_it(prefix in key(), other in key()) {
        let beyond = successor(&prefix).is_some_and(|end| other >= end);
        prop_assert_eq!(other >= prefix && !beyond, other.starts_with(&prefix));
    }
}
