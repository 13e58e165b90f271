//! A snapshot as a stream: the state's own blocks (see the state room for their format), filled up with zeros to whole
//! units of 512 bytes, then the SHA-256 of all that. Clients of etcd look for a checksum at just that place.
//!
//! It is read twice: once to know its size, once to send it. It never lies in memory whole.

use bytes::Bytes;
use node::View;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc::Sender;
use tonic::Status;

use super::maintenance::API_VERSION;
use crate::wire::etcdserverpb::{ResponseHeader, SnapshotResponse};

/// What the length before the checksum is a multiple of.
const UNIT_BYTES: u64 = 512;

/// Sends all of it, unless the client goes away. Takes a thread for as long as the client reads.
pub(super) fn send(view: &View, header: &ResponseHeader, responses: &Sender<Result<SnapshotResponse, Status>>) {
    let state_bytes: u64 = view.snapshot().map(|block| block.len() as u64).sum();
    let padding = state_bytes.next_multiple_of(UNIT_BYTES) - state_bytes;
    let zeros = Bytes::from(vec![0; usize::try_from(padding).expect("less than a unit")]);
    let mut checksum = Context::new(&SHA256);
    let mut remaining_bytes = state_bytes + padding;
    let response = |blob: Bytes, remaining_bytes: u64| {
        let version = API_VERSION.to_owned();
        Ok(SnapshotResponse { header: Some(*header), remaining_bytes, blob, version })
    };
    for blob in view.snapshot().chain((padding > 0).then_some(zeros)) {
        checksum.update(&blob);
        remaining_bytes -= blob.len() as u64;
        if responses.blocking_send(response(blob, remaining_bytes)).is_err() {
            return;
        }
    }
    // Nobody misses what a client who left would have been sent.
    let _ = responses.blocking_send(response(Bytes::copy_from_slice(checksum.finish().as_ref()), 0));
}
