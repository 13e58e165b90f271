//! The leader's half: decides a request against the working state and writes what it decided. Knows no clock, no
//! randomness of its own, no sockets, and nothing of whether its writes will be committed.
//!
//! Every decision is made before the first write, so a refusal writes nothing.

mod accounts;
mod keys;
mod leases;
mod transaction;

use bytes::Bytes;
use node::{Context, Protocol, ProtocolId};
use state::{LeaseId, TableSpec, Transaction};

pub(crate) use transaction::{is_read_only, is_serializable, read};

use crate::authorize;
use crate::check;
use crate::envelope::{Request, encode_refusal, encode_reply};
use crate::options::Options;
use crate::refusal::Refusal;
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
        let (caller, request) = match Request::decode(request) {
            Ok(request) => request,
            Err(refusal) => return encode_refusal(refusal),
        };
        let allowed = self.check(&request).and_then(|()| authorize::request(transaction.state(), &caller, &request));
        match allowed {
            Ok(()) => self.decide(context, transaction, &request),
            Err(refusal) => encode_refusal(refusal),
        }
    }

    fn expire(&self, _context: &Context, transaction: &mut Transaction<'_>, lease: LeaseId) {
        leases::expire(transaction, lease);
    }
}

impl Etcd {
    /// What can be said against a request without looking at the state: asked again here, because the leader answers
    /// for what enters the log.
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Put(request) => check::put(request),
            Request::DeleteRange(request) => check::delete_range(request),
            Request::Txn(request) => check::transaction(request, self.max_txn_operations),
            _ => Ok(()),
        }
    }

    fn decide(&self, context: &Context, transaction: &mut Transaction<'_>, request: &Request) -> Bytes {
        match request {
            Request::Put(request) => encode_reply(&keys::put(transaction, request)),
            Request::DeleteRange(request) => encode_reply(&Ok(keys::delete_range(transaction, request))),
            Request::Txn(request) => encode_reply(&transaction::write(transaction, request)),
            Request::Compact(request) => encode_reply(&keys::compact(transaction, request)),
            Request::LeaseGrant(request) => {
                encode_reply(&leases::grant(transaction, request, self.lease_min_ttl_seconds, context.random))
            }
            Request::LeaseRevoke(request) => encode_reply(&leases::revoke(transaction, request)),
            Request::AuthEnable(request) => encode_reply(&accounts::enable(transaction, request)),
            Request::AuthDisable(_) => encode_reply(&Ok(accounts::disable(transaction))),
            Request::UserAdd(request) => encode_reply(&accounts::user_add(transaction, request)),
            Request::UserDelete(request) => encode_reply(&accounts::user_delete(transaction, request)),
            Request::UserChangePassword(request) => encode_reply(&accounts::user_change_password(transaction, request)),
            Request::UserGrantRole(request) => encode_reply(&accounts::user_grant_role(transaction, request)),
            Request::UserRevokeRole(request) => encode_reply(&accounts::user_revoke_role(transaction, request)),
            Request::RoleAdd(request) => encode_reply(&accounts::role_add(transaction, request)),
            Request::RoleDelete(request) => encode_reply(&accounts::role_delete(transaction, request)),
            Request::RoleGrantPermission(request) => {
                encode_reply(&accounts::role_grant_permission(transaction, request))
            }
            Request::RoleRevokePermission(request) => {
                encode_reply(&accounts::role_revoke_permission(transaction, request))
            }
        }
    }
}

/// A header that says only the revision. The member that answers the client adds who it is.
fn header(revision: u64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() })
}

#[cfg(test)]
mod tests;
