//! The KV service. Knows nothing of how ranges are evaluated or writes decided.

use std::sync::Arc;

use node::View;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Counts, Door};
use crate::authorize;
use crate::check;
use crate::prepare;
use crate::range;
use crate::refusal::Refusal;
use crate::wire::etcdserverpb::kv_server::Kv;
use crate::wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::wire::etcdserverpb::request_op::Request as Operation;
use crate::wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};

/// Pieces of a streamed range that may wait for the client.
const PIECES_AHEAD: usize = 2;

/// Keys in the first piece of a streamed range; later ones grow with what the keys turn out to weigh.
const FIRST_PIECE_KEYS: i64 = 10;

#[tonic::async_trait]
impl Kv for Door {
    type RangeStreamStream = ReceiverStream<Result<RangeStreamResponse, Status>>;

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        Counts::add(&self.counts.ranges);
        self.admit(request.metadata())?;
        check::range(request.get_ref())?;
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let view = self.view(request.serializable).await?;
        authorize::range(&view, &caller, &request)?;
        let term = view.term;
        let cost = range::cost(&view, &request);
        let mut response = self.read(cost, view, move |view| range::answer(view, &request)).await??;
        self.complete(&mut response, term);
        Ok(Response::new(response))
    }

    async fn range_stream(&self, request: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Counts::add(&self.counts.ranges);
        self.admit(request.metadata())?;
        check::range(request.get_ref())?;
        streamable(request.get_ref())?;
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let view = self.view(request.serializable).await?;
        authorize::range(&view, &caller, &request)?;
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let door = self.clone();
        tokio::task::spawn_blocking(move || door.send_pieces(&view, request, &sender));
        Ok(Response::new(ReceiverStream::new(pieces)))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Counts::add(&self.counts.puts);
        self.admit(request.metadata())?;
        check::put(request.get_ref())?;
        self.submit(&self.caller(&request)?, request.get_ref()).await
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Counts::add(&self.counts.deletes);
        self.admit(request.metadata())?;
        check::delete_range(request.get_ref())?;
        self.submit(&self.caller(&request)?, request.get_ref()).await
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Counts::add(&self.counts.transactions);
        self.admit(request.metadata())?;
        check::transaction(request.get_ref(), self.options.max_txn_operations)?;
        let caller = self.caller(&request)?;
        if !prepare::is_read_only(request.get_ref()) {
            return self.submit(&caller, request.get_ref()).await;
        }
        let request = request.into_inner();
        let view = self.view(prepare::is_serializable(&request)).await?;
        authorize::transaction(&view, &caller, &request)?;
        let term = view.term;
        let cost = cost(&view, &request);
        let answer = self.read(cost, view, move |view| prepare::read(view, &request)).await?;
        let mut response = answer.ok_or(Refusal::Unreadable)??;
        self.complete(&mut response, term);
        Ok(Response::new(response))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        self.admit(request.metadata())?;
        self.submit(&self.caller(&request)?, request.get_ref()).await
    }
}

impl Door {
    /// Evaluates a read here if it is small, and on a thread of its own if it would keep others waiting.
    async fn read<T: Send + 'static>(
        &self,
        cost: usize,
        view: Arc<View>,
        evaluate: impl FnOnce(&View) -> T + Send + 'static,
    ) -> Result<T, Status> {
        if cost <= self.options.range_inline_keys {
            return Ok(evaluate(&view));
        }
        // The thread fails only if the runtime is on its way out.
        tokio::task::spawn_blocking(move || evaluate(&view)).await.map_err(|_| Refusal::Stopped.into())
    }

    /// Sends a range piece by piece, all of one view, so that it never lies in memory whole.
    fn send_pieces(
        &self,
        view: &View,
        mut request: RangeRequest,
        pieces: &mpsc::Sender<Result<RangeStreamResponse, Status>>,
    ) {
        let limit = if request.limit > 0 && !request.count_only { request.limit } else { i64::MAX };
        let mut total = None;
        let mut sent = 0;
        let mut piece_keys = FIRST_PIECE_KEYS;
        loop {
            request.limit = piece_keys.min(limit - sent);
            let piece = range::answer(view, &request).map_err(Status::from);
            let Ok(mut piece) = piece else {
                let _ = pieces.blocking_send(piece.map(|_| RangeStreamResponse::default()));
                return;
            };
            let total = *total.get_or_insert(piece.count);
            sent += crate::table::signed_count(piece.kvs.len());
            let next =
                piece.kvs.last().filter(|_| piece.more && sent < limit).map(|last| [&last.key, &b"\0"[..]].concat());
            piece_keys =
                next_piece_keys(piece_keys, prost::Message::encoded_len(&piece), self.options.max_request_bytes);
            if next.is_none() {
                piece.count = total;
                self.complete(&mut piece, view.term);
            } else {
                piece = RangeResponse { kvs: piece.kvs, ..RangeResponse::default() };
            }
            let piece = RangeStreamResponse { range_response: Some(piece) };
            match (pieces.blocking_send(Ok(piece)), next) {
                (Ok(()), Some(next)) => request.key = next.into(),
                _ => return,
            }
        }
    }
}

/// Aims at pieces of about the largest request's size.
fn next_piece_keys(keys: i64, bytes: usize, aim_bytes: usize) -> i64 {
    if bytes < aim_bytes / 2 {
        keys.saturating_mul(2)
    } else if bytes > aim_bytes.saturating_mul(2) {
        (keys / 2).max(1)
    } else {
        keys
    }
}

/// What can be sent before all of it is known: keys in their order, unfiltered.
fn streamable(request: &RangeRequest) -> Result<(), Status> {
    let natural = request.sort_order() == SortOrder::None
        || (request.sort_order() == SortOrder::Ascend && request.sort_target() == SortTarget::Key);
    if !natural {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    let filters =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    if filters != [0; 4] {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}

/// How many keys a read-only transaction has to visit at most.
fn cost(view: &View, request: &TxnRequest) -> usize {
    let operations = request.success.iter().chain(&request.failure);
    operations
        .map(|operation| match &operation.request {
            Some(Operation::RequestRange(request)) => range::cost(view, request),
            Some(Operation::RequestTxn(request)) => cost(view, request),
            _ => 1,
        })
        .sum()
}
