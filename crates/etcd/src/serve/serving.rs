//! gRPC's own health service: whether clients may be sent here. Knows only whether reads can be answered.

use node::Status as Standing;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Door;
use crate::wire::health::health_check_response::ServingStatus;
use crate::wire::health::health_server::Health;
use crate::wire::health::{HealthCheckRequest, HealthCheckResponse};

/// The server as a whole: the one name that is asked for.
const WHOLE: &str = "";

#[tonic::async_trait]
impl Health for Door {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if request.get_ref().service != WHOLE {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(response(serving(&self.handle.status()))))
    }

    /// Tells at once, and whenever it changes.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = request.get_ref().service == WHOLE;
        let mut changes = self.handle.status_changes();
        let mut guard = self.guard(request.metadata());
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut told = None;
            loop {
                let now = if known { serving(&changes.borrow_and_update()) } else { ServingStatus::ServiceUnknown };
                if told != Some(now) {
                    told = Some(now);
                    if sender.send(Ok(response(now))).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                    _ = guard.refusal() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

fn serving(standing: &Standing) -> ServingStatus {
    if standing.can_read { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
