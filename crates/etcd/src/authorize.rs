//! What a request needs to be allowed: each kind of request with the permissions it takes, in the order in which the
//! real server asks for them. Knows no token and no row; those who decide ask here, before anything else is looked at.

use state::State;

use crate::auth::Caller;
use crate::auth::permit::{self, Access};
use crate::envelope::Request;
use crate::refusal::Refusal;
use crate::wire::etcdserverpb::request_op::Request as Operation;
use crate::wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

/// Whether `caller` may make a request that goes through the log.
///
/// # Errors
/// What the permission is refused for.
pub(crate) fn request(state: &State, caller: &Caller, request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Put(request) => put(state, caller, request),
        Request::DeleteRange(request) => delete_range(state, caller, request),
        Request::Txn(request) => transaction(state, caller, request),
        Request::LeaseGrant(_) => permit::known(state, caller),
        Request::LeaseRevoke(request) => {
            permit::known(state, caller)?;
            permit::lease_keys(state, caller, request.id, Access::Write)
        }
        // Anybody may compact, as in the real server.
        Request::Compact(_) => permit::nobody_or_known(state, caller),
        Request::AuthEnable(_)
        | Request::AuthDisable(_)
        | Request::UserAdd(_)
        | Request::UserDelete(_)
        | Request::UserChangePassword(_)
        | Request::UserGrantRole(_)
        | Request::UserRevokeRole(_)
        | Request::RoleAdd(_)
        | Request::RoleDelete(_)
        | Request::RoleGrantPermission(_)
        | Request::RoleRevokePermission(_) => permit::administrate(state, caller),
    }
}

/// Whether `caller` may read a range.
///
/// # Errors
/// What the permission is refused for.
pub(crate) fn range(state: &State, caller: &Caller, request: &RangeRequest) -> Result<(), Refusal> {
    permit::keys(state, caller, &request.key, &request.range_end, Access::Read)
}

/// Whether `caller` may make a transaction: its comparisons, and both branches, whichever will be taken.
///
/// # Errors
/// What the permission is refused for.
pub(crate) fn transaction(state: &State, caller: &Caller, request: &TxnRequest) -> Result<(), Refusal> {
    // One that names no key is asked nothing else.
    permit::nobody_or_known(state, caller)?;
    for compare in &request.compare {
        permit::keys(state, caller, &compare.key, &compare.range_end, Access::Read)?;
    }
    request.success.iter().chain(&request.failure).try_for_each(|one| operation(state, caller, one))
}

fn operation(state: &State, caller: &Caller, operation: &RequestOp) -> Result<(), Refusal> {
    match &operation.request {
        Some(Operation::RequestRange(request)) => range(state, caller, request),
        Some(Operation::RequestPut(request)) => put(state, caller, request),
        Some(Operation::RequestDeleteRange(request)) => delete_range(state, caller, request),
        Some(Operation::RequestTxn(request)) => transaction(state, caller, request),
        None => Ok(()),
    }
}

/// Whoever attaches a key to a lease could end the others by it, so he must be allowed to write those as well.
fn put(state: &State, caller: &Caller, request: &PutRequest) -> Result<(), Refusal> {
    let nothing = bytes::Bytes::new();
    permit::keys(state, caller, &request.key, &nothing, Access::Write)?;
    permit::lease_keys(state, caller, request.lease, Access::Write)?;
    if request.prev_kv { permit::keys(state, caller, &request.key, &nothing, Access::Read) } else { Ok(()) }
}

fn delete_range(state: &State, caller: &Caller, request: &DeleteRangeRequest) -> Result<(), Refusal> {
    permit::keys(state, caller, &request.key, &request.range_end, Access::Write)?;
    if request.prev_kv { permit::keys(state, caller, &request.key, &request.range_end, Access::Read) } else { Ok(()) }
}
