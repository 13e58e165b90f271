//! The watch table over a real state: what is marked, what happens, what is told.

use std::collections::BTreeMap;

use state::interest::Index;
use state::{LeaseId, State, TableId};

use super::*;
use crate::tables::{ACCESS, AccessList, Children, Kind, NodeValue, SPECS};
use crate::wire::{Access, Identity, permission};

/// A connection's watches, its mailbox in miniature, and a tree to watch.
struct Bench {
    state: State,
    watches: Watches,
    index: Index<u64>,
    placed: BTreeMap<u64, (TableId, Interest)>,
}

enum Change {
    Create(&'static str),
    Set(&'static str),
    Delete(&'static str),
}

use Change::{Create, Delete, Set};

impl Bench {
    fn new() -> Bench {
        let (state, watches) = (State::new(&SPECS), Watches::default());
        Bench { state, watches, index: Index::default(), placed: BTreeMap::new() }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Watch { token, table, interest } => {
                    self.index.insert(table, &interest, token);
                    assert!(self.placed.insert(token, (table, interest)).is_none(), "tokens are not used twice");
                }
                Order::Unwatch { token } => {
                    let (table, interest) = self.placed.remove(&token).expect("only what was placed is taken back");
                    self.index.remove(table, &interest, &token);
                }
            }
        }
    }

    fn mark(&mut self, path: &str, mark: Mark) {
        let orders = self.watches.reserve(path, mark);
        self.carry_out(orders);
        self.watches.set(path, mark);
    }

    fn remove(&mut self, path: &str, selection: Selection) -> bool {
        match self.watches.remove(path, selection) {
            Some(orders) => {
                self.carry_out(orders);
                true
            }
            None => false,
        }
    }

    /// Makes changes in one transaction and gives what is told, in short.
    fn happen(&mut self, changes: &[Change]) -> String {
        let mut transaction = self.state.begin(0);
        for change in changes {
            let (Create(path) | Set(path) | Delete(path)) = change;
            let key = path::node_key(path).unwrap();
            let (parent, _) = path::split(path).unwrap();
            let value = NodeValue { created_time: 0, modified_time: 0, kind: Kind::Plain, data: None }.head();
            match change {
                Create(_) | Set(_) => transaction.put(NODES, &key, &value, LeaseId::NONE),
                Delete(_) => assert!(transaction.delete(NODES, &key)),
            }
            if !matches!(change, Set(_)) {
                let counters = Children::default().encode();
                transaction.put(CHILDREN, path::canonical(parent).as_bytes(), &counters, LeaseId::NONE);
            }
        }
        let revision = transaction.revision();
        transaction.finish();
        let mut due = Vec::new();
        for change in self.state.changes(revision).unwrap() {
            self.index.matching(change.table, &change.key, |&token| due.push((token, change.clone())));
        }
        let Outcome { events, orders } = self.watches.observe(7, &due);
        self.carry_out(orders);
        let told: Vec<_> = events.iter().map(|event| format!("{:?} {}", event.kind, event.path)).collect();
        told.join(", ")
    }
}

#[test]
fn a_mark_on_data_tells_once_and_is_gone() {
    let mut bench = Bench::new();
    bench.mark("/a", Mark::Data);
    assert_eq!(bench.happen(&[Create("/a")]), "Created /a");
    assert_eq!(bench.happen(&[Set("/a")]), "");
    bench.mark("/a", Mark::Data);
    assert_eq!(bench.happen(&[Create("/a/b")]), "", "children are not data");
    assert_eq!(bench.happen(&[Set("/a"), Set("/a")]), "DataChanged /a");
    bench.mark("/a", Mark::Data);
    assert_eq!(bench.happen(&[Delete("/a/b"), Delete("/a")]), "Deleted /a");
    assert!(bench.watches.is_empty() && bench.placed.is_empty());
}

#[test]
fn a_mark_on_children_tells_once_of_a_child_or_of_the_end() {
    let mut bench = Bench::new();
    bench.happen(&[Create("/a")]);
    bench.mark("/a", Mark::Children);
    assert_eq!(bench.happen(&[Set("/a")]), "");
    assert_eq!(bench.happen(&[Create("/a/b"), Create("/a/c")]), "ChildrenChanged /a");
    bench.mark("/a", Mark::Children);
    assert_eq!(bench.happen(&[Set("/a/b"), Delete("/a/b")]), "ChildrenChanged /a");
    bench.mark("/a", Mark::Children);
    bench.mark("/", Mark::Children);
    assert_eq!(bench.happen(&[Delete("/a/c")]), "ChildrenChanged /a");
    bench.mark("/a", Mark::Children);
    assert_eq!(bench.happen(&[Delete("/a")]), "Deleted /a, ChildrenChanged /");
    assert!(bench.watches.is_empty() && bench.placed.is_empty());
}

#[test]
fn both_one_time_marks_on_a_node_tell_of_its_end_once() {
    let mut bench = Bench::new();
    bench.happen(&[Create("/a")]);
    bench.mark("/a", Mark::Data);
    bench.mark("/a", Mark::Children);
    assert_eq!(bench.happen(&[Delete("/a")]), "Deleted /a");
    assert!(bench.watches.is_empty());
}

#[test]
fn a_persistent_mark_tells_again_and_again() {
    let mut bench = Bench::new();
    bench.mark("/a", Mark::Persistent);
    assert_eq!(bench.happen(&[Create("/a"), Set("/a")]), "Created /a, DataChanged /a");
    assert_eq!(bench.happen(&[Create("/a/b"), Set("/a/b")]), "ChildrenChanged /a");
    assert_eq!(bench.happen(&[Set("/a"), Set("/a")]), "DataChanged /a, DataChanged /a");
    assert_eq!(bench.happen(&[Delete("/a/b"), Delete("/a")]), "ChildrenChanged /a, Deleted /a");
    assert_eq!(bench.happen(&[Create("/a")]), "Created /a");
}

#[test]
fn a_recursive_mark_tells_of_the_whole_subtree_and_of_nothing_beside_it() {
    let mut bench = Bench::new();
    bench.mark("/a", Mark::Recursive);
    assert_eq!(
        bench.happen(&[Create("/a"), Create("/a/b"), Create("/a/b/c")]),
        "Created /a, Created /a/b, Created /a/b/c"
    );
    assert_eq!(bench.happen(&[Create("/ab"), Create("/ab/c"), Set("/ab")]), "");
    assert_eq!(bench.happen(&[Set("/a/b/c"), Delete("/a/b/c")]), "DataChanged /a/b/c, Deleted /a/b/c");
    bench.mark("/", Mark::Recursive);
    assert_eq!(bench.happen(&[Set("/a/b"), Set("/ab/c")]), "DataChanged /a/b, DataChanged /ab/c");
}

#[test]
fn many_marks_that_a_change_meets_tell_of_it_once() {
    let mut bench = Bench::new();
    bench.happen(&[Create("/a"), Create("/a/b")]);
    for mark in [Mark::Data, Mark::Children, Mark::Persistent, Mark::Recursive] {
        bench.mark("/a/b", mark);
    }
    bench.mark("/a", Mark::Recursive);
    bench.mark("/", Mark::Recursive);
    assert_eq!(bench.happen(&[Set("/a/b"), Set("/a/b")]), "DataChanged /a/b, DataChanged /a/b");
    assert_eq!(bench.happen(&[Create("/a/b/c")]), "Created /a/b/c, ChildrenChanged /a/b");
    assert!(bench.watches.contains("/a/b", Selection::One(Mark::Persistent)), "only the one-time marks are spent");
    assert!(!bench.watches.contains("/a/b", Selection::One(Mark::Data)));
    assert!(!bench.watches.contains("/a/b", Selection::One(Mark::Children)));
}

#[test]
fn what_was_only_reserved_tells_nothing() {
    let mut bench = Bench::new();
    let orders = bench.watches.reserve("/a", Mark::Data);
    bench.carry_out(orders);
    assert_eq!(bench.happen(&[Create("/a")]), "", "the read will show it");
    bench.watches.set("/a", Mark::Data);
    assert_eq!(bench.happen(&[Set("/a")]), "DataChanged /a");

    let orders = bench.watches.reserve("/b", Mark::Children);
    bench.carry_out(orders);
    let orders = bench.watches.release("/b", Mark::Children);
    bench.carry_out(orders);
    assert!(bench.watches.is_empty() && bench.placed.is_empty());
}

#[test]
fn marks_are_removed_by_kind() {
    let mut bench = Bench::new();
    for mark in [Mark::Data, Mark::Children, Mark::Persistent, Mark::Recursive] {
        bench.mark("/a", mark);
    }
    assert_eq!(bench.placed.len(), 4, "interests are shared between marks");
    assert!(bench.remove("/a", Selection::One(Mark::Recursive)));
    assert!(!bench.remove("/a", Selection::One(Mark::Recursive)));
    assert_eq!(bench.happen(&[Create("/a"), Create("/a/b")]), "Created /a, ChildrenChanged /a");
    assert!(bench.remove("/a", Selection::Any) && !bench.remove("/a", Selection::Any));
    assert!(bench.watches.is_empty() && bench.placed.is_empty());
}

#[test]
fn only_those_who_may_read_a_node_hear_of_it() {
    let mut state = State::new(&SPECS);
    let owner = Identity::new("digest", "owner:hash");
    let list = vec![Access { permissions: permission::ALL, identity: owner.clone() }];
    let mut transaction = state.begin(0);
    transaction.put(ACCESS, b"/secret", &AccessList { version: 0, list }.encode(), LeaseId::NONE);
    let created = transaction.revision();
    transaction.finish();
    let mut transaction = state.begin(0);
    transaction.delete(ACCESS, b"/secret");
    let deleted = transaction.revision();
    transaction.finish();

    let heard = |revision, kind, path: &str, identities: &[Identity]| {
        may_hear(&state, revision, &Event { zxid: 0, kind, path: path.to_owned() }, identities)
    };
    for (revision, kind) in [(created, EventKind::Created), (deleted, EventKind::Deleted)] {
        assert_eq!(heard(revision, kind, "/secret", &[]), Ok(false));
        assert_eq!(heard(revision, kind, "/secret", std::slice::from_ref(&owner)), Ok(true));
        assert_eq!(heard(revision, kind, "/open", &[]), Ok(true));
    }
}
