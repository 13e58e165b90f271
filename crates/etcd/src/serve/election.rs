//! The Election service: the oldest key of a queue leads, and its value is what the leader proclaims. Knows nothing
//! of how the queue is kept.
//!
//! `rev` in a leader's key is the fencing token: it grows from leader to leader, and the service itself refuses
//! proclamations under an older one.

use bytes::Bytes;
use node::{Interest, View};
use state::Row;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::queue::{Lost, created_at, operation, prefix, undecorated};
use super::{Door, Guard};
use crate::auth::Caller;
use crate::auth::permit::{self, Access};
use crate::keys::after_prefix;
use crate::refusal::Refusal;
use crate::table::{KEYS, key_value, signed};
use crate::wire::etcdserverpb::request_op::Request as Operation;
use crate::wire::etcdserverpb::{PutRequest, ResponseHeader, TxnRequest};
use crate::wire::v3electionpb::election_server::Election;
use crate::wire::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse,
    ResignRequest, ResignResponse,
};

#[tonic::async_trait]
impl Election for Door {
    type ObserveStream = ReceiverStream<Result<LeaderResponse, Status>>;

    /// Returns when the caller leads.
    async fn campaign(&self, request: Request<CampaignRequest>) -> Result<Response<CampaignResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let guard = self.guard(request.metadata());
        let CampaignRequest { name, lease, value } = request.into_inner();
        let lease = self.session(&caller, lease).await?;
        let (place, header, existing) = self.enqueue(&caller, &name, lease, value.clone()).await?;
        let leader = LeaderKey { name, key: place.key.clone(), rev: place.created, lease };
        let waiting = self.waiting(&place);
        if existing.is_some_and(|existing| existing.value != value) {
            self.proclaim_as(&caller, &leader, value).await?;
        }
        self.turn(&place, guard).await.map_err(|lost| match lost {
            Lost::Place => not_leader(),
            Lost::Refused(status) => status,
        })?;
        waiting.keep();
        Ok(Response::new(CampaignResponse { header: Some(header), leader: Some(leader) }))
    }

    async fn proclaim(&self, request: Request<ProclaimRequest>) -> Result<Response<ProclaimResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let ProclaimRequest { leader, value } = request.into_inner();
        let header = self.proclaim_as(&caller, &leader.ok_or_else(no_leader_given)?, value).await?;
        Ok(Response::new(ProclaimResponse { header: Some(header) }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let view = self.view(false).await?;
        let prefix = prefix(&request.into_inner().name);
        queue_readable(&view, &caller, &prefix).map_err(|refusal| undecorated(refusal.into()))?;
        let response = self.leader_in(&view, &prefix);
        response.map(Response::new).ok_or_else(|| Status::unknown("election: no leader"))
    }

    async fn observe(&self, request: Request<LeaderRequest>) -> Result<Response<Self::ObserveStream>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let guard = self.guard(request.metadata());
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(observe(self.clone(), caller, prefix(&request.into_inner().name), sender, guard));
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let leader = request.into_inner().leader.ok_or_else(no_leader_given)?;
        let header = self.leave(&caller, &leader.key, leader.rev).await?;
        Ok(Response::new(ResignResponse { header: Some(header) }))
    }
}

impl Door {
    /// Puts a leader's value, if he still is who he was.
    async fn proclaim_as(&self, caller: &Caller, leader: &LeaderKey, value: Bytes) -> Result<ResponseHeader, Status> {
        let put = PutRequest { key: leader.key.clone(), value, lease: leader.lease, ..PutRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(leader.key.clone(), leader.rev)],
            success: vec![operation(Operation::RequestPut(put))],
            failure: Vec::new(),
        };
        let response = self.submit(caller, &request).await.map_err(undecorated)?.into_inner();
        if response.succeeded { Ok(response.header.unwrap_or_default()) } else { Err(not_leader()) }
    }

    fn leader_in(&self, view: &View, prefix: &[u8]) -> Option<LeaderResponse> {
        let (key, row) = oldest(view, prefix)?;
        let header = self.header_at(signed(view.revision()), view.term);
        Some(LeaderResponse { header: Some(header), kv: Some(key_value(key, &row)) })
    }
}

/// Whether the caller may see who stands in a queue.
fn queue_readable(view: &View, caller: &Caller, prefix: &Bytes) -> Result<(), Refusal> {
    let end = after_prefix(prefix).unwrap_or_else(|| Bytes::from_static(b"\0"));
    permit::keys(view, caller, prefix, &end, Access::Read)
}

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

fn no_leader_given() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

fn oldest(view: &View, prefix: &[u8]) -> Option<(Bytes, Row)> {
    let mut rows = view.prefix(KEYS, prefix);
    let mut oldest: Option<(Bytes, Row)> = None;
    while let Some((key, row)) = rows.next() {
        if oldest.as_ref().is_none_or(|(_, other)| row.created() < other.created()) {
            oldest = Some((Bytes::copy_from_slice(key), row.clone()));
        }
    }
    oldest
}

/// Tells who leads and what he proclaims, now and whenever that changes. Like the real server it may skip what was
/// true for a moment only.
async fn observe(
    door: Door,
    caller: Caller,
    prefix: Bytes,
    responses: mpsc::Sender<Result<LeaderResponse, Status>>,
    mut guard: Guard,
) {
    let mailbox = door.handle.mailbox();
    let mut shown = None;
    let mut token = 0;
    loop {
        // Announced before each look, so that no change falls between looking and waiting.
        token += 1;
        mailbox.watch(KEYS, Interest::Prefix(prefix.clone()), token);
        mailbox.unwatch(token - 1);
        while mailbox.try_recv().is_some() {}
        let view = door.handle.view();
        if let Err(refusal) = queue_readable(&view, &caller, &prefix) {
            let _ = responses.send(Err(undecorated(refusal.into()))).await;
            return;
        }
        let leader = door.leader_in(&view, &prefix);
        let seen = leader.as_ref().and_then(|leader| leader.kv.as_ref()).map(|kv| (kv.key.clone(), kv.mod_revision));
        if let Some(leader) = leader.filter(|_| seen != shown) {
            shown = seen;
            if responses.send(Ok(leader)).await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            _ = mailbox.recv() => {}
            () = responses.closed() => return,
            refusal = guard.refusal() => {
                let _ = responses.send(Err(refusal.into())).await;
                return;
            }
        }
    }
}
