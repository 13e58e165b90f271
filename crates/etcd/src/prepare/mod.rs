//! The leader's half: decides a request against the working state and writes what it decided. Knows no clock, no
//! randomness of its own, no sockets, and nothing of whether its writes will be committed.
//!
//! Every decision is made before the first write, so a refusal writes nothing.

mod keys;
mod leases;
mod transaction;

use bytes::Bytes;
use node::{Context, Protocol, ProtocolId};
use state::{LeaseId, TableSpec, Transaction};

pub(crate) use transaction::{is_read_only, is_serializable, read};

use crate::check;
use crate::envelope::{Request, encode_refusal, encode_reply};
use crate::options::Options;
use crate::table::{PROTOCOL, TABLES, signed};
use crate::wire::etcdserverpb::ResponseHeader;

/// The decisions of the etcd protocol.
#[derive(Clone, Debug)]
pub struct Etcd {
    max_txn_operations: usize,
    lease_min_ttl_seconds: i64,
}

impl Etcd {
    /// Decides under these limits.
    #[must_use]
    pub fn new(options: &Options) -> Etcd {
        Etcd { max_txn_operations: options.max_txn_operations, lease_min_ttl_seconds: options.lease_min_ttl_seconds }
    }
}

impl Protocol for Etcd {
    fn id(&self) -> ProtocolId {
        PROTOCOL
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prepare(&self, context: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes {
        let request = match Request::decode(request) {
            Ok(request) => request,
            Err(refusal) => return encode_refusal(refusal),
        };
        match request {
            Request::Put(request) => {
                encode_reply(&check::put(&request).and_then(|()| keys::put(transaction, &request)))
            }
            Request::DeleteRange(request) => {
                encode_reply(&check::delete_range(&request).map(|()| keys::delete_range(transaction, &request)))
            }
            Request::Txn(request) => encode_reply(
                &check::transaction(&request, self.max_txn_operations)
                    .and_then(|()| transaction::write(transaction, &request)),
            ),
            Request::Compact(request) => encode_reply(&keys::compact(transaction, &request)),
            Request::LeaseGrant(request) => {
                encode_reply(&leases::grant(transaction, &request, self.lease_min_ttl_seconds, context.random))
            }
            Request::LeaseRevoke(request) => encode_reply(&leases::revoke(transaction, &request)),
        }
    }

    fn expire(&self, _context: &Context, transaction: &mut Transaction<'_>, lease: LeaseId) {
        leases::expire(transaction, lease);
    }
}

/// A header that says only the revision. The member that answers the client adds who it is.
fn header(revision: u64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() })
}

#[cfg(test)]
mod tests;
