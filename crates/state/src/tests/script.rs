//! Random transactions, and running them on a state and on the model side by side.

use std::ops::Bound;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{History, LeaseId, State, TableId, TableSpec, Transaction};

use super::model::Model;

pub(super) const KEPT: TableId = TableId(0x10);
pub(super) const EVENTS: TableId = TableId(0x20);

pub(super) const SPECS: [TableSpec; 2] = [
    TableSpec { id: EVENTS, name: "events", history: History::EventsOnly },
    TableSpec { id: KEPT, name: "kept", history: History::Kept },
];

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Put(TableId, Vec<u8>, Vec<u8>, i64),
    Delete(TableId, Vec<u8>),
    Claim,
    Grant(i64, u64, u8),
    Checkpoint(i64, u64),
    Revoke(i64),
    /// Compacts so many revisions back from the newest, if that is allowed.
    Compact(u64),
    /// Does these and takes them back or not.
    Attempt(Vec<Operation>, bool),
}

/// Keys that are prefixes of each other, contain zeros and 0xff, and collide often.
pub(super) fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)], 0..4)
}

fn table() -> impl Strategy<Value = TableId> {
    prop_oneof![3 => Just(KEPT), 1 => Just(EVENTS)]
}

fn plain_operation() -> impl Strategy<Value = Operation> {
    let value = prop_oneof![vec(any::<u8>(), 0..4), vec(any::<u8>(), 250..260)];
    prop_oneof![
        8 => (table(), key(), value, -2..3_i64).prop_map(|(t, k, v, l)| Operation::Put(t, k, v, l)),
        4 => (table(), key()).prop_map(|(t, k)| Operation::Delete(t, k)),
        1 => Just(Operation::Claim),
        2 => (-2..3_i64, 1..1_u64 << 40, any::<u8>()).prop_map(|(l, t, o)| Operation::Grant(l, t, o)),
        1 => (-2..3_i64, any::<u64>()).prop_map(|(l, r)| Operation::Checkpoint(l, r)),
        1 => (-2..3_i64).prop_map(Operation::Revoke),
        1 => (0..12_u64).prop_map(Operation::Compact),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => plain_operation(),
        1 => (vec(plain_operation(), 0..5), any::<bool>()).prop_map(|(o, b)| Operation::Attempt(o, b)),
    ]
}

pub(super) fn transactions(count: usize) -> impl Strategy<Value = Vec<Vec<Operation>>> {
    vec(vec(operation(), 0..5), 0..count)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded),]
}

/// From and to.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

pub(super) fn bounds() -> impl Strategy<Value = Vec<Bounds>> {
    vec((bound(), bound()), 1..4)
}

/// Runs one transaction on both and returns its delta.
pub(super) fn run(state: &mut State, model: &mut Model, operations: &[Operation], time: u64) -> Option<Bytes> {
    let events_before = model.clone();
    let mut transaction = state.begin(time);
    let mut claimed = false;
    run_on(&mut transaction, model, operations, &mut claimed);
    assert_eq!(transaction.state().revision(), model.revision);
    let delta = transaction.finish();
    if model.changed_since(&events_before) {
        model.sealed(time);
    }
    delta
}

fn run_on(transaction: &mut Transaction<'_>, model: &mut Model, operations: &[Operation], claimed: &mut bool) {
    for operation in operations {
        run_one(transaction, model, operation, claimed);
    }
}

fn claim(model: &mut Model, claimed: &mut bool) {
    if !*claimed {
        model.revision += 1;
        *claimed = true;
    }
}

fn run_one(transaction: &mut Transaction<'_>, model: &mut Model, operation: &Operation, claimed: &mut bool) {
    match operation {
        Operation::Put(table, key, value, lease) => {
            let lease = if model.leases.contains_key(lease) { *lease } else { 0 };
            claim(model, claimed);
            let (head, tail) = value.split_at(value.len() / 2);
            transaction.put_parts(*table, key, &[head, tail], LeaseId(lease));
            model.put(*table, key, value, lease);
        }
        Operation::Delete(table, key) => {
            let there = model.row(*table, key).is_some();
            assert_eq!(transaction.delete(*table, key), there);
            if there {
                claim(model, claimed);
                model.delete(*table, key);
            }
        }
        Operation::Claim => {
            claim(model, claimed);
            assert_eq!(transaction.revision(), model.revision);
        }
        Operation::Grant(0, ..) => {}
        Operation::Grant(lease, ttl, owner) => {
            transaction.grant(LeaseId(*lease), *ttl, *owner);
            model.leases.insert(*lease, (*ttl, *ttl, *owner));
        }
        Operation::Checkpoint(lease, remaining) => {
            let there = model.leases.get_mut(lease);
            assert_eq!(transaction.checkpoint(LeaseId(*lease), *remaining), there.is_some());
            there.into_iter().for_each(|lease| lease.1 = *remaining);
        }
        Operation::Revoke(lease) => {
            let there = model.leases.contains_key(lease);
            assert_eq!(transaction.revoke(LeaseId(*lease)), there);
            if there && !model.attached(*lease).is_empty() {
                claim(model, claimed);
            }
            if there {
                model.revoke(*lease);
            }
        }
        Operation::Compact(back) => compact(transaction, model, *back),
        Operation::Attempt(operations, keep) => {
            let savepoint = transaction.savepoint();
            let saved = (model.clone(), *claimed);
            run_on(transaction, model, operations, claimed);
            if !keep {
                transaction.rollback(&savepoint);
                (*model, *claimed) = saved;
            }
        }
    }
}

fn compact(transaction: &mut Transaction<'_>, model: &mut Model, back: u64) {
    let target = model.revision.saturating_sub(back);
    let allowed = target > model.compacted;
    assert_eq!(transaction.compact(target).is_ok(), allowed);
    if allowed {
        model.compacted = target;
    }
    assert!(transaction.compact(model.revision + 1).is_err());
}
