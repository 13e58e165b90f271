//! What locks and elections share: a queue of keys under one prefix, in the order of their creation. Whoever has the
//! oldest key has his turn. Knows nothing of what the turn is for.
//!
//! The keys are those that etcd's own client recipes write (`name/lease` with the lease in hexadecimal), so both kinds
//! of clients stand in one queue. The creation revision of the own key is a fencing token: it grows from holder to
//! holder.

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use node::{Interest, View};
use state::LeaseId;
use tonic::{Code, Status};

use super::{Door, Guard};
use crate::auth::Caller;
use crate::keys::after_prefix;
use crate::table::{KEYS, signed};
use crate::wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::wire::etcdserverpb::request_op::Request as Operation;
use crate::wire::etcdserverpb::response_op::Response as Outcome;
use crate::wire::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
    TxnResponse,
};
use crate::wire::mvccpb::KeyValue;

/// Time to live, in seconds, of the lease that a caller without one is given.
const SESSION_TTL_SECONDS: i64 = 60;

/// How long to wait after the leader could not be asked to keep a lease alive.
const RENEWAL_PAUSE: Duration = Duration::from_millis(500);

/// A place in a queue.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The key that stands for it.
    pub(super) key: Bytes,
    /// The key's creation revision.
    pub(super) created: i64,
    /// The lease the key lives by.
    pub(super) lease: i64,
    /// Whose place it is.
    pub(super) caller: Caller,
    prefix: Bytes,
}

/// Why a turn did not come.
pub(super) enum Lost {
    /// The place is gone: its lease ended, or somebody deleted its key.
    Place,
    /// The stream or the member ended.
    Refused(Status),
}

/// Leaves the queue when dropped, unless the turn came: a caller who goes away must not be waited for.
pub(super) struct Waiting<'d> {
    door: &'d Door,
    place: Option<Place>,
}

impl Waiting<'_> {
    /// The turn came; the place is kept.
    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let door = self.door.clone();
            tokio::spawn(async move { door.leave(&place.caller, &place.key, place.created).await });
        }
    }
}

/// What every key of a queue begins with.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

impl Door {
    /// The lease to stand in a queue with: the caller's, or a new one.
    pub(super) async fn session(&self, caller: &Caller, lease: i64) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        let request = LeaseGrantRequest { ttl: SESSION_TTL_SECONDS, id: 0 };
        Ok(self.submit(caller, &request).await.map_err(undecorated)?.into_inner().id)
    }

    /// Takes a place, or finds the one that this lease has already, whose key and value are then returned.
    pub(super) async fn enqueue(
        &self,
        caller: &Caller,
        name: &[u8],
        lease: i64,
        value: Bytes,
    ) -> Result<(Place, ResponseHeader, Option<KeyValue>), Status> {
        let prefix = prefix(name);
        let key: Bytes = [&prefix[..], hexadecimal(lease).as_bytes()].concat().into();
        let request = TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: vec![operation(Operation::RequestPut(PutRequest {
                key: key.clone(),
                value,
                lease,
                ..PutRequest::default()
            }))],
            failure: vec![operation(Operation::RequestRange(RangeRequest {
                key: key.clone(),
                ..RangeRequest::default()
            }))],
        };
        let response = self.submit(caller, &request).await.map_err(undecorated)?.into_inner();
        let header = response.header.unwrap_or_default();
        let existing = first_found(response);
        let created = existing.as_ref().map_or(header.revision, |kv| kv.create_revision);
        Ok((Place { key, created, lease, caller: caller.clone(), prefix }, header, existing))
    }

    /// Marks that somebody waits at this place.
    pub(super) fn waiting(&self, place: &Place) -> Waiting<'_> {
        Waiting { door: self, place: Some(place.clone()) }
    }

    /// Resolves when nobody stands before this place, having kept its lease alive in the meantime. Returns whether
    /// there was anybody to wait for.
    pub(super) async fn turn(&self, place: &Place, mut guard: Guard) -> Result<bool, Lost> {
        if predecessor(&self.handle.view(), place).is_none() {
            return Ok(false);
        }
        tokio::select! {
            () = self.all_before_gone(place) => {}
            () = self.keep_alive(place.lease) => return Err(Lost::Place),
            refusal = guard.refusal() => return Err(Lost::Refused(refusal.into())),
        }
        let view = self.view(false).await.map_err(Lost::Refused)?;
        let mine = view.get(KEYS, &place.key).is_some_and(|row| signed(row.created()) == place.created);
        if mine { Ok(true) } else { Err(Lost::Place) }
    }

    async fn all_before_gone(&self, place: &Place) {
        let mailbox = self.handle.mailbox();
        let mut token = 0;
        while let Some((key, created)) = predecessor(&self.handle.view(), place) {
            token += 1;
            // Announced anew before each look: the feed may have lost the place.
            mailbox.watch(KEYS, Interest::Exact(key.clone()), token);
            let row_stands = |view: &View| view.get(KEYS, &key).is_some_and(|row| row.created() == created);
            if row_stands(&self.handle.view()) {
                mailbox.recv().await;
            }
            mailbox.unwatch(token);
        }
    }

    /// Resolves when the lease is gone.
    async fn keep_alive(&self, lease: i64) {
        loop {
            let pause = match self.handle.renew(LeaseId(lease)).await {
                Ok(Some(renewed)) => Duration::from_millis(renewed.ttl_milliseconds / 3),
                Ok(None) => return,
                Err(_) => RENEWAL_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Deletes a key of this creation. One that is gone, or was created anew, is let be.
    pub(super) async fn leave(&self, caller: &Caller, key: &Bytes, created: i64) -> Result<ResponseHeader, Status> {
        let delete = DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(key.clone(), created)],
            success: vec![operation(Operation::RequestDeleteRange(delete))],
            failure: Vec::new(),
        };
        let response = self.submit(caller, &request).await.map_err(undecorated)?.into_inner();
        Ok(response.header.unwrap_or_default())
    }
}

/// These services answer refusals of the requests they make with the plain text; so does the real server. What can
/// be tried again stays recognisable.
pub(super) fn undecorated(status: Status) -> Status {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => status,
        _ => Status::unknown(status.message()),
    }
}

pub(super) fn operation(request: Operation) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// Holds if the key was created at this revision; 0: if it is not there.
pub(super) fn created_at(key: Bytes, created: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key,
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::CreateRevision(created)),
    }
}

fn first_found(response: TxnResponse) -> Option<KeyValue> {
    match response.responses.into_iter().next()?.response? {
        Outcome::ResponseRange(response) => response.kvs.into_iter().next(),
        _ => None,
    }
}

/// The youngest key of the queue that is older than `place`, and its creation revision.
fn predecessor(view: &View, place: &Place) -> Option<(Bytes, u64)> {
    let end = after_prefix(&place.prefix);
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = view.range(KEYS, Bound::Included(&place.prefix), to);
    let mut youngest: Option<(Bytes, u64)> = None;
    while let Some((key, row)) = rows.next() {
        let created = row.created();
        if signed(created) < place.created && youngest.as_ref().is_none_or(|(_, other)| *other < created) {
            youngest = Some((Bytes::copy_from_slice(key), created));
        }
    }
    youngest
}

/// As the Go client prints it: a sign, then the magnitude.
fn hexadecimal(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{:x}", number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_spelt_as_the_go_client_spells_them() {
        assert_eq!(hexadecimal(0x3cee_a1f8_c891_9629), "3ceea1f8c8919629");
        assert_eq!(hexadecimal(-5), "-5");
        assert_eq!(hexadecimal(i64::MIN), "-8000000000000000");
    }

    #[test]
    fn what_can_be_tried_again_stays_recognisable() {
        let refused = undecorated(crate::Refusal::LeaseNotFound.into());
        assert_eq!((refused.code(), refused.message()), (Code::Unknown, "etcdserver: requested lease not found"));
        assert_eq!(undecorated(crate::Refusal::NoLeader.into()).code(), Code::Unavailable);
    }
}
