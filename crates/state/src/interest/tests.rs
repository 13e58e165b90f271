//! The interest index against the obvious: asking every interest whether it contains the key.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const TABLES: [TableId; 2] = [TableId(0x10), TableId(0x20)];

#[derive(Clone, Debug)]
enum Step {
    Insert(TableId, Interest, u8),
    /// Removes the n-th of those that are there, or one that may not be.
    RemoveKnown(usize),
    Remove(TableId, Interest, u8),
}

/// Short keys over few letters: prefixes of each other, equal ones and empty ones are common.
fn key() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xff)], 0..6).prop_map(Bytes::from)
}

fn interest() -> impl Strategy<Value = Interest> {
    prop_oneof![
        key().prop_map(Interest::Exact),
        key().prop_map(Interest::Prefix),
        (key(), proptest::option::of(key())).prop_map(|(start, end)| Interest::Range(start, end)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let table = || prop::sample::select(TABLES.to_vec());
    prop_oneof![
        4 => (table(), interest(), 0..6_u8).prop_map(|(t, i, w)| Step::Insert(t, i, w)),
        3 => any::<usize>().prop_map(Step::RemoveKnown),
        1 => (table(), interest(), 0..6_u8).prop_map(|(t, i, w)| Step::Remove(t, i, w)),
    ]
}

/// The order in which matches are promised.
fn rank(interest: &Interest) -> (u8, usize, Bytes, bool, Bytes) {
    match interest {
        Interest::Prefix(prefix) => (0, prefix.len(), Bytes::new(), false, Bytes::new()),
        Interest::Exact(_) => (1, 0, Bytes::new(), false, Bytes::new()),
        Interest::Range(start, end) => (2, 0, start.clone(), end.is_none(), end.clone().unwrap_or_default()),
    }
}

fn check(index: &Index<u8>, known: &[(TableId, Interest, u8)], key: &[u8]) {
    for table in TABLES {
        let mut expected: Vec<_> = known
            .iter()
            .filter(|(of, interest, _)| *of == table && interest.contains(key))
            .map(|(_, interest, subscriber)| (rank(interest), *subscriber))
            .collect();
        expected.sort();
        let expected: Vec<u8> = expected.into_iter().map(|(_, subscriber)| subscriber).collect();
        let mut told = Vec::new();
        index.matching(table, key, |&subscriber| told.push(subscriber));
        assert_eq!(told, expected, "key {:?} of table {table}", key.escape_ascii().to_string());
    }
}

proptest! {
    #![proptest_config(crate::tests::cases(400))]

    #[test]
    fn matches_as_every_interest_says(steps in vec(step(), 0..60), keys in vec(key(), 1..20)) {
        let mut index = Index::new();
        let mut known: Vec<(TableId, Interest, u8)> = Vec::new();
        for step in steps {
            let remove = match step {
                Step::Insert(table, interest, subscriber) => {
                    let entry = (table, interest, subscriber);
                    let added = index.insert(entry.0, &entry.1, entry.2);
                    prop_assert_eq!(added, !known.contains(&entry));
                    if added {
                        known.push(entry);
                    }
                    continue;
                }
                Step::RemoveKnown(_) if known.is_empty() => continue,
                Step::RemoveKnown(position) => known[position % known.len()].clone(),
                Step::Remove(table, interest, subscriber) => (table, interest, subscriber),
            };
            let removed = index.remove(remove.0, &remove.1, &remove.2);
            prop_assert_eq!(removed, known.contains(&remove));
            known.retain(|entry| *entry != remove);
        }
        prop_assert_eq!(index.len(), known.len());
        for interests in index.tables.values() {
            interests.keys.check();
            interests.ranges.check();
        }
        for key in keys {
            check(&index, &known, &key);
        }
    }
}

#[test]
fn keys_that_begin_each_other_thousands_deep_neither_overflow_nor_linger() {
    let deep: Vec<Bytes> = (0..20_000).map(|length| Bytes::from(vec![b'x'; length])).collect();
    let mut index = Index::new();
    for (subscriber, key) in deep.iter().enumerate() {
        assert!(index.insert(TABLES[0], &Interest::Prefix(key.clone()), subscriber));
    }
    let mut told = 0;
    index.matching(TABLES[0], &deep[9_999], |&subscriber| {
        assert_eq!(subscriber, told);
        told += 1;
    });
    assert_eq!(told, 10_000);
    let copy = index.clone();
    for (subscriber, key) in deep.iter().enumerate() {
        assert!(index.remove(TABLES[0], &Interest::Prefix(key.clone()), &subscriber));
    }
    assert!(index.is_empty());
    drop(copy);
}

#[test]
fn empty_and_inverted_ranges_match_nothing_and_can_be_taken_back() {
    let bytes = Bytes::from_static;
    let mut index = Index::new();
    let inverted = Interest::Range(bytes(b"m"), Some(bytes(b"c")));
    let empty = Interest::Range(bytes(b"c"), Some(bytes(b"c")));
    assert!(index.insert(TABLES[0], &inverted, 1));
    assert!(index.insert(TABLES[0], &empty, 2));
    for key in [b"a", b"c", b"d", b"m", b"z"] {
        check(&index, &[], key);
    }
    assert!(index.remove(TABLES[0], &inverted, &1));
    assert!(index.remove(TABLES[0], &empty, &2));
    assert!(!index.remove(TABLES[0], &empty, &2));
    assert!(!index.remove(TABLES[1], &empty, &2));
}
