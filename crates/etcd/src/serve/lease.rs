//! The Lease service. Knows nothing of deadlines: the leader keeps those.

use node::{Failure, Pending, Renewed};
use state::LeaseId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Counts, Credentials, Door, Guard};
use crate::auth::permit::{self, Access};
use crate::refusal::{Refusal, status_of};
use crate::table::{KEYS, PROTOCOL, lease, signed};
use crate::wire::etcdserverpb::lease_server::Lease;
use crate::wire::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, ResponseHeader,
};

/// Renewals of one stream that may be on their way to the leader at a time. More wait in the connection.
const RENEWALS_AHEAD: usize = 256;

#[tonic::async_trait]
impl Lease for Door {
    type LeaseKeepAliveStream = ReceiverStream<Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        Counts::add(&self.counts.leases_granted);
        self.admit(request.metadata())?;
        self.submit(&self.caller(&request)?, request.get_ref()).await
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        Counts::add(&self.counts.leases_revoked);
        self.admit(request.metadata())?;
        self.submit(&self.caller(&request)?, request.get_ref()).await
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        self.admit(request.metadata())?;
        let credentials = Credentials::of(&request);
        let guard = self.guard(request.metadata());
        let (renewals, answers) = mpsc::channel(RENEWALS_AHEAD);
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(read_renewals(self.clone(), credentials, request.into_inner(), renewals));
        tokio::spawn(answer_renewals(answers, sender, guard));
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let view = self.view(false).await?;
        permit::known(&view, &caller)?;
        if keys {
            permit::lease_keys(&view, &caller, id, Access::Read)?;
        }
        let gone = LeaseTimeToLiveResponse { header: Some(self.header()), id, ttl: -1, ..Default::default() };
        if lease(&view, id).is_none() {
            return Ok(Response::new(gone));
        }
        let remaining = self.handle.remaining(LeaseId(id)).await.map_err(|failure| status_of(&failure))?;
        let Some(remaining) = remaining else { return Ok(Response::new(gone)) };
        let mut attached = Vec::new();
        let mut rows = view.lease_rows(LeaseId(id));
        while let Some((table, key)) = rows.next().filter(|_| keys) {
            if table == KEYS {
                attached.push(bytes::Bytes::copy_from_slice(key));
            }
        }
        Ok(Response::new(LeaseTimeToLiveResponse {
            ttl: seconds(remaining.ttl_milliseconds),
            granted_ttl: seconds(remaining.granted_milliseconds),
            keys: attached,
            ..gone
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let view = self.view(false).await?;
        permit::known(&view, &caller)?;
        let ours = view.leases().filter(|(_, lease)| lease.owner == PROTOCOL.0);
        let mut leases = Vec::new();
        for (id, _) in ours {
            permit::lease_keys(&view, &caller, id.0, Access::Read)?;
            leases.push(LeaseStatus { id: id.0 });
        }
        Ok(Response::new(LeaseLeasesResponse { header: Some(self.header()), leases }))
    }
}

fn seconds(milliseconds: u64) -> i64 {
    signed(milliseconds / 1000)
}

/// A renewal under way.
struct Renewal {
    id: i64,
    header: ResponseHeader,
    /// `None`: there is no such lease of this protocol, as far as this member knows.
    pending: Option<Pending<Option<Renewed>>>,
    /// Why the caller may not keep the lease alive, if he may not.
    refusal: Option<Refusal>,
}

/// Passes renewals on as they arrive; the answers are awaited elsewhere, so a stream of many leases is not slowed
/// down to one round trip each.
async fn read_renewals(
    door: Door,
    credentials: Credentials,
    mut requests: Streaming<LeaseKeepAliveRequest>,
    renewals: mpsc::Sender<Renewal>,
) {
    while let Ok(Some(LeaseKeepAliveRequest { id })) = requests.message().await {
        Counts::add(&door.counts.leases_renewed);
        let view = door.handle.view();
        let allowed = door.identify(&credentials).and_then(|caller| {
            permit::known(&view, &caller)?;
            permit::lease_keys(&view, &caller, id, Access::Write)
        });
        let pending = if allowed.is_ok() { renew(&door, id) } else { None };
        let renewal = Renewal { id, header: door.header(), pending, refusal: allowed.err() };
        if renewals.send(renewal).await.is_err() {
            return;
        }
    }
}

/// A lease of another protocol must not be kept alive by its number. One that this member does not know yet may
/// well be known to the leader.
fn renew(door: &Door, id: i64) -> Option<Pending<Option<Renewed>>> {
    let view = door.handle.view();
    let foreign = view.lease(LeaseId(id)).is_some_and(|lease| lease.owner != PROTOCOL.0);
    (!foreign).then(|| door.handle.renew(LeaseId(id)))
}

async fn answer_renewals(
    mut renewals: mpsc::Receiver<Renewal>,
    responses: mpsc::Sender<Result<LeaseKeepAliveResponse, Status>>,
    mut guard: Guard,
) {
    loop {
        let renewal = tokio::select! {
            renewal = renewals.recv() => renewal,
            refusal = guard.refusal() => {
                let _ = responses.send(Err(refusal.into())).await;
                return;
            }
            () = responses.closed() => return,
        };
        let Some(renewal) = renewal else { return };
        let response = match renewal.refusal {
            Some(refusal) => Err(refusal.into()),
            None => answer(renewal).await.map_err(|failure| status_of(&failure)),
        };
        let failed = response.is_err();
        if responses.send(response).await.is_err() || failed {
            return;
        }
    }
}

/// A lease that is not there has a time to live of 0.
async fn answer(renewal: Renewal) -> Result<LeaseKeepAliveResponse, Failure> {
    let renewed = match renewal.pending {
        Some(pending) => pending.await?,
        None => None,
    };
    let ttl = renewed.map_or(0, |renewed| seconds(renewed.ttl_milliseconds));
    Ok(LeaseKeepAliveResponse { header: Some(renewal.header), id: renewal.id, ttl })
}
