//! Rows without revisions: settings beside the data.

use std::ops::Bound;

use crate::{History, LeaseId, Malformed, State, TableId, TableSpec};

const DATA: TableId = TableId(0x10);
const SETTINGS: TableId = TableId(0x11);
const SPECS: [TableSpec; 2] = [
    TableSpec { id: DATA, name: "data", history: History::Kept },
    TableSpec { id: SETTINGS, name: "settings", history: History::Unversioned },
];

#[test]
fn a_setting_changes_without_a_revision_and_without_an_event() {
    let (mut leader, mut follower) = (State::new(&SPECS), State::new(&SPECS));
    for value in [&b"one"[..], b"two"] {
        let mut transaction = leader.begin(7);
        transaction.put(SETTINGS, b"key", value, LeaseId::NONE);
        follower.apply(&transaction.finish().unwrap()).unwrap();
    }
    assert_eq!((leader.revision(), follower.revision()), (1, 1));
    assert_eq!(leader.changes(1).unwrap().count(), 0);
    assert_eq!(follower.get(SETTINGS, b"key").unwrap().value(), b"two");
    assert_eq!(leader.hash(), follower.hash());

    let mut transaction = leader.begin(8);
    assert!(transaction.delete(SETTINGS, b"key"));
    follower.apply(&transaction.finish().unwrap()).unwrap();
    assert_eq!((follower.len(SETTINGS), leader.hash()), (0, follower.hash()));
    leader.check();
}

#[test]
fn it_makes_no_difference_when_the_transaction_claims_its_revision() {
    let (mut leader, mut follower) = (State::new(&SPECS), State::new(&SPECS));
    let mut transaction = leader.begin(7);
    transaction.put(SETTINGS, b"before", b"", LeaseId::NONE);
    transaction.put(DATA, b"key", b"value", LeaseId::NONE);
    transaction.put(SETTINGS, b"after", b"", LeaseId::NONE);
    follower.apply(&transaction.finish().unwrap()).unwrap();
    assert_eq!((leader.hash(), leader.revision()), (follower.hash(), 2));
    assert_eq!(leader.changes(1).unwrap().count(), 1);
    leader.check();
    follower.check();

    let restored = State::restore(&SPECS, leader.snapshot().collect::<Vec<_>>()).unwrap();
    assert_eq!(restored.hash(), leader.hash());
    assert_eq!(restored.count(SETTINGS, Bound::Unbounded, Bound::Unbounded), 2);
}

#[test]
fn data_still_needs_a_revision() {
    let mut state = State::new(&SPECS);
    let mut other = State::new(&[TableSpec { id: DATA, name: "settings", history: History::Unversioned }]);
    let mut writing = other.begin(7);
    writing.put(DATA, b"key", b"value", LeaseId::NONE);
    let delta = writing.finish().unwrap();
    assert_eq!(state.apply(&delta), Err(Malformed::Unclaimed));
}
