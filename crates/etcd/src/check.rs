//! What can be said against a request without looking at any state. Knows nothing of rows, leases or revisions.
//!
//! The front end asks first, so that a malformed request costs the log nothing; the leader asks again, because it
//! answers for what enters the log.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::refusal::Refusal;
use crate::wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::wire::etcdserverpb::request_op::Request;
use crate::wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

/// A range needs a key and a known order.
///
/// # Errors
/// [`Refusal::EmptyKey`], [`Refusal::InvalidSortOption`].
pub(crate) fn range(request: &RangeRequest) -> Result<(), Refusal> {
    non_empty(&request.key)?;
    let order = SortOrder::try_from(request.sort_order);
    let target = SortTarget::try_from(request.sort_target);
    if order.is_err() || target.is_err() { Err(Refusal::InvalidSortOption) } else { Ok(()) }
}

/// A put needs a key, and nothing that it says to ignore.
///
/// # Errors
/// [`Refusal::EmptyKey`], [`Refusal::ValueProvided`], [`Refusal::LeaseProvided`].
pub(crate) fn put(request: &PutRequest) -> Result<(), Refusal> {
    non_empty(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// A deletion needs a key.
///
/// # Errors
/// [`Refusal::EmptyKey`].
pub(crate) fn delete_range(request: &DeleteRangeRequest) -> Result<(), Refusal> {
    non_empty(&request.key)
}

/// A transaction's parts must be in order, not too many, and no key may be written twice on one path through it.
///
/// # Errors
/// What its parts are refused for, [`Refusal::TooManyOperations`], [`Refusal::DuplicateKey`].
pub(crate) fn transaction(request: &TxnRequest, max_operations: usize) -> Result<(), Refusal> {
    shape(request, max_operations)?;
    claims(&request.success)?;
    claims(&request.failure)?;
    Ok(())
}

fn non_empty(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

fn shape(request: &TxnRequest, max_operations: usize) -> Result<(), Refusal> {
    let operations = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = max_operations.checked_sub(operations).ok_or(Refusal::TooManyOperations)?;
    for compare in &request.compare {
        non_empty(&compare.key)?;
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Request::RequestTxn(request)) => shape(request, left)?,
            None => return Err(Refusal::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys that a list of operations may write.
#[derive(Default)]
struct Claims<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals,
}

impl<'a> Claims<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), Refusal> {
        if self.deletes.contains(key) || !self.puts.insert(key) { Err(Refusal::DuplicateKey) } else { Ok(()) }
    }
}

/// Collects what `operations` write and refuses a key that would be written twice.
///
/// The rules are etcd's, oddities included: a put collides with a deletion of its own list, of a nested transaction
/// of its list, or of an earlier sibling; a deletion *after* a sibling's put does not collide; the two branches of a
/// nested transaction never collide with each other; and a deletion without an upper bound collides with nothing.
fn claims(operations: &[RequestOp]) -> Result<Claims<'_>, Refusal> {
    let mut claims = Claims::default();
    for operation in operations {
        if let Some(Request::RequestDeleteRange(request)) = &operation.request {
            claims.deletes.insert_range(&request.key, &request.range_end);
        }
    }
    for operation in operations {
        if let Some(Request::RequestTxn(request)) = &operation.request {
            let success = self::claims(&request.success)?;
            let failure = self::claims(&request.failure)?;
            for key in &success.puts {
                claims.put(key)?;
            }
            for key in failure.puts.difference(&success.puts) {
                claims.put(key)?;
            }
            claims.deletes.extend(success.deletes);
            claims.deletes.extend(failure.deletes);
        }
    }
    for operation in operations {
        if let Some(Request::RequestPut(request)) = &operation.request {
            claims.put(&request.key)?;
        }
    }
    Ok(claims)
}

/// A set of keys kept as disjoint half-open intervals, so that it stays small and quick however many are put in.
#[derive(Default)]
struct Intervals {
    /// Start to end. No two overlap or touch.
    ends: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Intervals {
    fn insert_range(&mut self, key: &[u8], range_end: &[u8]) {
        let end = if range_end.is_empty() { [key, b"\0"].concat() } else { range_end.to_vec() };
        self.insert(key.to_vec(), end);
    }

    fn insert(&mut self, mut start: Vec<u8>, mut end: Vec<u8>) {
        if end <= start {
            return;
        }
        // The last interval that starts at or before our end may touch us; so may those before it.
        while let Some((other_start, other_end)) = self.ends.range(..=end.clone()).next_back() {
            if *other_end < start {
                break;
            }
            let other_start = other_start.clone();
            let other_end = self.ends.remove(&other_start).expect("the key was just read from the map");
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.ends.insert(start, end);
    }

    fn extend(&mut self, other: Intervals) {
        for (start, end) in other.ends {
            self.insert(start, end);
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        let mut below = self.ends.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        below.next_back().is_some_and(|(_, end)| key < end.as_slice())
    }
}

#[cfg(test)]
mod tests;
