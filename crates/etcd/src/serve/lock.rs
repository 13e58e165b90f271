//! The Lock service: a lock is held by the oldest key of its queue. Knows nothing of how the queue is kept.
//!
//! The creation revision of the key in the reply is the fencing token: show it to whatever the lock protects, or
//! compare it in the transaction that writes.

use tonic::{Request, Response, Status};

use super::Door;
use super::queue::{Lost, undecorated};
use crate::wire::etcdserverpb::DeleteRangeRequest;
use crate::wire::v3lockpb::lock_server::Lock;
use crate::wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};

#[tonic::async_trait]
impl Lock for Door {
    /// Returns when the lock is held. A caller without a lease gets one of a minute, which he must keep alive by
    /// himself from then on.
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let guard = self.guard(request.metadata());
        let LockRequest { name, lease } = request.into_inner();
        let lease = self.session(&caller, lease).await?;
        let (place, header, _) = self.enqueue(&caller, &name, lease, bytes::Bytes::new()).await?;
        let waiting = self.waiting(&place);
        let waited = self.turn(&place, guard).await.map_err(|lost| match lost {
            Lost::Place => Status::unknown("mutex: session is expired"),
            Lost::Refused(status) => status,
        })?;
        waiting.keep();
        let header = if waited { self.header() } else { header };
        Ok(Response::new(LockResponse { header: Some(header), key: place.key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        self.admit(request.metadata())?;
        let caller = self.caller(&request)?;
        let delete = DeleteRangeRequest { key: request.into_inner().key, ..DeleteRangeRequest::default() };
        crate::check::delete_range(&delete).map_err(|refusal| undecorated(refusal.into()))?;
        let response = self.submit(&caller, &delete).await.map_err(undecorated)?.into_inner();
        Ok(Response::new(UnlockResponse { header: response.header }))
    }
}
