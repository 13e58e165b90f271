//! The Watch service: opens a stream and leaves it to its task. Knows nothing of what a stream sends.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Credentials, Door};
use crate::watch::serve_stream;
use crate::wire::etcdserverpb::watch_server::Watch;
use crate::wire::etcdserverpb::{WatchRequest, WatchResponse};

/// Responses of one stream that may wait for the connection. What waits beyond them waits as history, not as memory.
const RESPONSES_AHEAD: usize = 4;

#[tonic::async_trait]
impl Watch for Door {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        self.admit(request.metadata())?;
        // A token that is not valid refuses each watch, not the stream: it may become valid, as far as we know.
        let credentials = Credentials::of(&request);
        let guard = self.guard(request.metadata());
        let (sender, responses) = mpsc::channel(RESPONSES_AHEAD);
        tokio::spawn(serve_stream(self.clone(), credentials, request.into_inner(), sender, guard));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
