//! The watches of a step: opened on one stream, followed by writes, and closed when everything was told.
//!
//! How events are spread over responses is a server's own business; what is compared is the sequence of events of each
//! watch, and what is promised of responses: whole revisions, in order. Everything was told when a watch on a key of its
//! own has seen the last write and each other watch has as many events as it will ever have: the servers are not asked,
//! they are waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::case::{Operation, Watch};
use super::side::{Answer, Side, refusal};
use super::wire::etcdserverpb as pb;
use super::wire::etcdserverpb::watch_client::WatchClient;
use super::wire::etcdserverpb::watch_request::RequestUnion;
use crate::PATIENCE;

/// The key by which the end is known: above all keys of a case.
const END: &[u8] = b"\xff\xff\xff\xff-end";

/// The id of the watch on it.
const END_ID: i64 = 9999;

/// A watch that catches up may be told after one that does not need to. The real server makes its rounds ten times a
/// second; if nothing came for so long behind the end, nothing will.
const QUIET: Duration = Duration::from_millis(350);

/// Plays the step and writes down what each watch was told.
pub(super) async fn watch(
    side: &mut Side,
    user: usize,
    watches: &[Watch],
    writes: &[Operation],
) -> anyhow::Result<Answer> {
    let (requests, stream) = mpsc::channel(watches.len() + 1);
    for (number, watch) in watches.iter().enumerate() {
        requests.send(create(side, watch, number)).await.context("the stream takes all requests")?;
    }
    let end = pb::WatchCreateRequest { key: END.to_vec(), watch_id: END_ID, ..pb::WatchCreateRequest::default() };
    let end = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(end)) };
    requests.send(end).await.context("the stream takes all requests")?;
    let mut client = WatchClient::new(side.channel.clone()).max_decoding_message_size(usize::MAX);
    let request = side.by(user, ReceiverStream::new(stream));
    let mut responses = match client.watch(request).await {
        Ok(responses) => responses.into_inner(),
        Err(status) => return Ok(refusal(&status)),
    };
    let mut told = Told::default();
    while told.created <= watches.len() {
        match next(&mut responses, PATIENCE).await? {
            Next::Response(response) => told.take(side, response),
            Next::Ended(reason) => return Ok(reason),
            Next::Nothing => anyhow::bail!("a watch was not answered within {PATIENCE:?}"),
        }
    }
    let mut answers = Vec::new();
    for write in writes {
        let request = pb::TxnRequest { success: vec![side.operation(write)], ..pb::TxnRequest::default() };
        let answer = side.keys().txn(side.by(user, request)).await;
        answers.push(match answer {
            Ok(response) => side.transacted(response.into_inner()),
            Err(status) => refusal(&status),
        });
    }
    // With rights or without: the end may not be written, so the quiet alone must do then.
    let put = pb::PutRequest { key: END.to_vec(), ..pb::PutRequest::default() };
    let mut ended = side.keys().put(side.by(user, put)).await.is_err();
    loop {
        let patience = if ended { QUIET } else { PATIENCE };
        match next(&mut responses, patience).await? {
            Next::Response(response) => {
                ended |= response.watch_id == END_ID && (response.canceled || !response.events.is_empty());
                told.take(side, response);
            }
            Next::Ended(reason) => return Ok(reason),
            Next::Nothing => break,
        }
    }
    let delete = pb::DeleteRangeRequest { key: END.to_vec(), ..pb::DeleteRangeRequest::default() };
    // One that is not there was not written.
    let _ = side.keys().delete_range(side.by(user, delete)).await;
    Ok(format!("{answers:?} {:?}", told.watches))
}

fn create(side: &Side, watch: &Watch, number: usize) -> pb::WatchRequest {
    // What was deleted at the very revision of a compaction the real server 3.4 tells, or not, as its sweeping goes.
    let start = side.number(watch.start);
    let start_revision = if start == side.compacted { start + 1 } else { start };
    let create = pb::WatchCreateRequest {
        key: watch.keys.key.clone(),
        range_end: watch.keys.end.clone(),
        start_revision,
        progress_notify: false,
        filters: watch.filters.clone(),
        prev_kv: watch.prev_kv,
        // A watch of any id gets one that both sides give; one that names its own may collide.
        watch_id: if watch.id == 0 { 100 + i64::try_from(number).expect("few watches") } else { watch.id },
        fragment: watch.fragment,
    };
    pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

enum Next {
    Response(pb::WatchResponse),
    Ended(Answer),
    Nothing,
}

async fn next(responses: &mut Streaming<pb::WatchResponse>, patience: Duration) -> anyhow::Result<Next> {
    match tokio::time::timeout(patience, responses.message()).await {
        Ok(Ok(Some(response))) => Ok(Next::Response(response)),
        Ok(Ok(None)) => Ok(Next::Ended("the stream ended".to_owned())),
        Ok(Err(status)) => Ok(Next::Ended(refusal(&status))),
        Err(_) => Ok(Next::Nothing),
    }
}

/// What was told so far.
#[derive(Default)]
struct Told {
    created: usize,
    /// By id: creation and end in words, then events.
    watches: BTreeMap<i64, Vec<Answer>>,
    /// By id: the revision of the last event, and whether more of its response is to come.
    last: BTreeMap<i64, (i64, bool)>,
}

impl Told {
    fn take(&mut self, side: &Side, response: pb::WatchResponse) {
        let words = self.watches.entry(response.watch_id).or_default();
        if response.created {
            self.created += 1;
            words.push("created".to_owned());
        }
        if response.canceled {
            let compacted = side.alike(response.compact_revision);
            words.push(format!("cancelled {:?} compacted {compacted}", response.cancel_reason));
        }
        let (last, torn) = self.last.get(&response.watch_id).copied().unwrap_or((0, false));
        if let Some(first) = response.events.first().and_then(|event| event.kv.as_ref())
            && first.mod_revision <= last
            && !torn
        {
            words.push("a revision was torn, or told out of order".to_owned());
        }
        let mut revision = last;
        for event in response.events {
            let Some(kv) = event.kv else { continue };
            revision = kv.mod_revision;
            let before = event.prev_kv.map(|kv| side.kv(&kv));
            words.push(format!("{} {} was {before:?}", event.r#type, side.kv(&kv)));
        }
        self.last.insert(response.watch_id, (revision, response.fragment));
    }
}
