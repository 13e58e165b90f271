//! What the real server 3.4 does not survive is not sent to it. Knows cases, no server.
//!
//! A transaction may delete a range up to the end of all keys (`range_end` of a zero byte) and put one of those keys: the
//! rule against touching a key twice does not see that. A put that keeps the value or the lease of a key then finds none,
//! which the real server has ruled out before it began, and it ends with `unexpected error during txn`.
//!
//! Where it asks who may do something, a range that ends before it begins breaks its tree of intervals: it ends with
//! `invalid memory address or nil pointer dereference`, or takes an empty range for a permitted one.

use super::case::{Account, Deed, Keys, Operation, Step, Txn};

/// Lets puts keep nothing in transactions that delete a range; and makes one key of each range that holds nothing, if the
/// case has users. How many steps that changed.
pub fn spare(steps: &mut [Step]) -> usize {
    let users = steps.iter().any(|step| step.deed == Deed::Account(Account::Enable));
    let mut changed = 0;
    for step in steps {
        let straightened = users && straighten(&mut step.deed);
        changed += usize::from(let_nothing_be_kept(&mut step.deed) || straightened);
    }
    changed
}

fn let_nothing_be_kept(deed: &mut Deed) -> bool {
    let mut changed = false;
    match deed {
        Deed::Txn(transaction) if deletes_range(transaction) => changed = keep_nothing(transaction),
        // Each write is a transaction of its own.
        Deed::Watches { writes, .. } => {
            for write in writes {
                let Operation::Txn(transaction) = write else { continue };
                changed |= deletes_range(transaction) && keep_nothing(transaction);
            }
        }
        _ => {}
    }
    changed
}

fn straighten(deed: &mut Deed) -> bool {
    match deed {
        Deed::Range(range) => straighten_keys(&mut range.keys),
        Deed::Delete(keys, _) => straighten_keys(keys),
        Deed::Txn(transaction) => straighten_transaction(transaction),
        Deed::Watches { watches, writes } => {
            let watched = watches.iter_mut().fold(false, |changed, watch| straighten_keys(&mut watch.keys) | changed);
            writes.iter_mut().fold(watched, |changed, write| straighten_operation(write) | changed)
        }
        _ => false,
    }
}

fn straighten_transaction(transaction: &mut Txn) -> bool {
    let compared =
        transaction.compare.iter_mut().fold(false, |changed, compare| straighten_keys(&mut compare.keys) | changed);
    let operations = transaction.success.iter_mut().chain(&mut transaction.failure);
    operations.fold(compared, |changed, operation| straighten_operation(operation) | changed)
}

fn straighten_operation(operation: &mut Operation) -> bool {
    match operation {
        Operation::Range(range) => straighten_keys(&mut range.keys),
        Operation::Delete(keys, _) => straighten_keys(keys),
        Operation::Txn(inner) => straighten_transaction(inner),
        Operation::Put(_) | Operation::Nothing => false,
    }
}

fn straighten_keys(keys: &mut Keys) -> bool {
    let holds_nothing = !keys.end.is_empty() && keys.end != [0] && keys.end <= keys.key;
    if holds_nothing {
        keys.end.clear();
    }
    holds_nothing
}

fn deletes_range(transaction: &Txn) -> bool {
    transaction.success.iter().chain(&transaction.failure).any(|operation| match operation {
        Operation::Delete(keys, _) => !keys.end.is_empty(),
        Operation::Txn(inner) => deletes_range(inner),
        _ => false,
    })
}

/// Whether there was a put that kept something.
fn keep_nothing(transaction: &mut Txn) -> bool {
    let mut changed = false;
    for operation in transaction.success.iter_mut().chain(&mut transaction.failure) {
        match operation {
            Operation::Put(put) => {
                changed |= put.ignore_value || put.ignore_lease;
                (put.ignore_value, put.ignore_lease) = (false, false);
            }
            Operation::Txn(inner) => changed |= keep_nothing(inner),
            _ => {}
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::case::{Lease, Put};

    fn put() -> Operation {
        let (key, value) = (b"b".to_vec(), Vec::new());
        Operation::Put(Put { key, value, lease: Lease::None, prev_kv: false, ignore_value: true, ignore_lease: false })
    }

    fn step(success: Vec<Operation>) -> Step {
        Step { user: 0, deed: Deed::Txn(Txn { compare: Vec::new(), success, failure: Vec::new() }) }
    }

    #[test]
    fn a_put_that_keeps_is_changed_only_beside_a_deleted_range() {
        let delete = Operation::Delete(Keys { key: b"a".to_vec(), end: vec![0] }, false);
        let nested = Operation::Txn(Txn { compare: Vec::new(), success: vec![put()], failure: Vec::new() });
        let mut steps = [step(vec![put()]), step(vec![delete.clone(), put()]), step(vec![delete, nested])];
        let before = steps.clone();
        assert_eq!(spare(&mut steps), 2);
        assert_eq!(steps[0], before[0]);
        assert_ne!(steps[1], before[1]);
        assert_ne!(steps[2], before[2]);
    }

    #[test]
    fn a_range_that_holds_nothing_becomes_a_key_where_there_are_users() {
        let delete = Deed::Delete(Keys { key: b"b".to_vec(), end: b"a".to_vec() }, false);
        let mut steps = vec![Step { user: 0, deed: delete.clone() }];
        assert_eq!(spare(&mut steps), 0);
        steps.push(Step { user: 0, deed: Deed::Account(Account::Enable) });
        assert_eq!(spare(&mut steps), 1);
        assert_eq!(steps[0].deed, Deed::Delete(Keys { key: b"b".to_vec(), end: Vec::new() }, false));
    }
}
