//! Decides on keys: put, delete, compact. Knows nothing of transactions, which use the same steps in their own order.

use state::{HistoryError, Key, LeaseId, Row, State, Transaction};

use super::header;
use crate::keys::KeyRange;
use crate::refusal::Refusal;
use crate::table::{KEYS, key_value, lease, signed_count};
use crate::wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
};

/// Puts a key.
pub(super) fn put(transaction: &mut Transaction<'_>, request: &PutRequest) -> Result<PutResponse, Refusal> {
    lease_exists(transaction.state(), request)?;
    key_exists_if_needed(transaction.state(), request)?;
    Ok(apply_put(transaction, request))
}

/// A put may name only a lease that exists.
pub(super) fn lease_exists(state: &State, request: &PutRequest) -> Result<(), Refusal> {
    if request.lease != 0 && lease(state, request.lease).is_none() { Err(Refusal::LeaseNotFound) } else { Ok(()) }
}

/// A put that keeps something of the key needs the key.
pub(super) fn key_exists_if_needed(state: &State, request: &PutRequest) -> Result<(), Refusal> {
    let needed = request.ignore_value || request.ignore_lease;
    if needed && state.get(KEYS, &request.key).is_none() { Err(Refusal::KeyNotFound) } else { Ok(()) }
}

/// Writes a put that was found to be in order.
pub(super) fn apply_put(transaction: &mut Transaction<'_>, request: &PutRequest) -> PutResponse {
    let before = transaction.state().get(KEYS, &request.key).cloned();
    let prev_kv = before.as_ref().filter(|_| request.prev_kv).map(|row| key_value(request.key.clone(), row));
    let value = before.as_ref().filter(|_| request.ignore_value).map_or(&*request.value, |row| row.value());
    let lease = before.as_ref().filter(|_| request.ignore_lease).map_or(LeaseId(request.lease), Row::lease);
    transaction.put(KEYS, &request.key, value, lease);
    PutResponse { header: header(transaction.revision()), prev_kv }
}

/// Deletes a range. One that holds nothing changes nothing, the revision included.
pub(super) fn delete_range(transaction: &mut Transaction<'_>, request: &DeleteRangeRequest) -> DeleteRangeResponse {
    let range = KeyRange::new(request.key.clone(), request.range_end.clone());
    let (from, to) = range.bounds();
    let mut keys: Vec<Key> = Vec::new();
    let mut prev_kvs = Vec::new();
    let mut rows = transaction.state().range(KEYS, from, to);
    while let Some((key, row)) = rows.next() {
        keys.push(Key::from(key));
        if request.prev_kv {
            prev_kvs.push(key_value(bytes::Bytes::copy_from_slice(key), row));
        }
    }
    for key in &keys {
        let deleted = transaction.delete(KEYS, key);
        assert!(deleted, "a key that was just read is there to be deleted");
    }
    DeleteRangeResponse { header: header(transaction.state().revision()), deleted: signed_count(keys.len()), prev_kvs }
}

/// Forgets history below a revision. Compacting nothing (revision 0 of a history that is whole) is no error.
pub(super) fn compact(
    transaction: &mut Transaction<'_>,
    request: &CompactionRequest,
) -> Result<CompactionResponse, Refusal> {
    let revision = u64::try_from(request.revision).map_err(|_| Refusal::Compacted)?;
    if revision != 0 || transaction.state().compacted() != 0 {
        transaction.compact(revision).map_err(|error| match error {
            HistoryError::Compacted { .. } => Refusal::Compacted,
            HistoryError::Future { .. } => Refusal::FutureRevision,
        })?;
    }
    Ok(CompactionResponse { header: header(transaction.state().revision()) })
}
