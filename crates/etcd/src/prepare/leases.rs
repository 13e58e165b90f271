//! Decides on leases: grant, revoke, expire. Knows no time: what is left of a lease is the member's business.

use state::{LeaseId, State, Transaction};

use super::header;
use crate::refusal::Refusal;
use crate::table::{PROTOCOL, lease};
use crate::wire::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse};

/// The longest time to live that can be asked for, in seconds.
const MAX_TTL_SECONDS: i64 = 9_000_000_000;

/// Grants a lease under the wanted id, or one picked from `random`. The revision stays.
pub(super) fn grant(
    transaction: &mut Transaction<'_>,
    request: &LeaseGrantRequest,
    min_ttl_seconds: i64,
    random: u64,
) -> Result<LeaseGrantResponse, Refusal> {
    if request.ttl > MAX_TTL_SECONDS {
        return Err(Refusal::LeaseTtlTooLarge);
    }
    let id = match request.id {
        0 => free_id(transaction.state(), random),
        id if transaction.state().lease(LeaseId(id)).is_some() => return Err(Refusal::LeaseExists),
        id => id,
    };
    let ttl = request.ttl.max(min_ttl_seconds).max(1);
    transaction.grant(LeaseId(id), ttl.unsigned_abs() * 1000, PROTOCOL.0);
    Ok(LeaseGrantResponse { header: header(transaction.state().revision()), id, ttl, error: String::new() })
}

/// Revokes a lease and deletes its keys, all in one revision; without keys the revision stays.
pub(super) fn revoke(
    transaction: &mut Transaction<'_>,
    request: &LeaseRevokeRequest,
) -> Result<LeaseRevokeResponse, Refusal> {
    lease(transaction.state(), request.id).ok_or(Refusal::LeaseNotFound)?;
    transaction.revoke(LeaseId(request.id));
    Ok(LeaseRevokeResponse { header: header(transaction.state().revision()) })
}

/// A lease ran out. One that was revoked in the meantime is no error.
pub(super) fn expire(transaction: &mut Transaction<'_>, id: LeaseId) {
    if lease(transaction.state(), id.0).is_some() {
        transaction.revoke(id);
    }
}

/// A positive id that no lease of any protocol has.
fn free_id(state: &State, random: u64) -> i64 {
    let mut id = (random >> 1).max(1);
    loop {
        let candidate = i64::try_from(id).expect("the upper bit is zero");
        if state.lease(LeaseId(candidate)).is_none() {
            return candidate;
        }
        id = id % (i64::MAX as u64) + 1;
    }
}
