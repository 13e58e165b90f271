//! The first bytes of a connection: a word for people, or the request for a session.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use node::{Failure, Mailbox, StreamId};
use state::LeaseId;
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::{debug, info, warn};

use super::front::Front;
use super::words;
use crate::prepare::{Attached, Decision, PROTOCOL, Request};
use crate::wire::{Code, ConnectRequest, ConnectResponse, Frames, Reader, write_connect};

/// What a connection turns out to be.
pub(super) enum Greeting {
    /// Somebody asks for a report and nothing else; with what may follow the word.
    Word([u8; 4], u64),
    /// A client.
    Connect(Bytes),
    /// Nothing that can be served.
    Nothing,
}

/// Reads until it is clear what the connection is.
pub(super) async fn greet(reader: &mut (impl AsyncRead + Unpin), frames: &mut Frames) -> Greeting {
    loop {
        if let Some(word) = frames.word().filter(|word| words::is_word(*word)) {
            let argument = frames.buffer.get(4..12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            if word != words::SET_MASK || argument.is_some() {
                return Greeting::Word(word, argument.unwrap_or(0));
            }
        } else {
            match frames.next() {
                Ok(Some(frame)) => return Greeting::Connect(frame),
                Ok(None) => {}
                Err(error) => {
                    warn!(%error, "closing a connection whose first bytes are no request");
                    return Greeting::Nothing;
                }
            }
        }
        match reader.read_buf(&mut frames.buffer).await {
            Ok(0) | Err(_) => return Greeting::Nothing,
            Ok(_) => {}
        }
    }
}

/// An ordered stream of requests, given back when it is dropped.
pub(super) struct Stream {
    front: Arc<Front>,
    pub(super) id: StreamId,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.front.handle.forget(self.id);
    }
}

/// A connection that got hold of a session.
pub(super) struct Established {
    pub(super) attached: Attached,
    pub(super) stream: Stream,
    /// The newest transaction the client can have heard of.
    pub(super) zxid: i64,
}

/// Asks for the session that a client wants, and appends the answer to `out`. `None`: the connection is over, once
/// the answer, if there is one, is written.
pub(super) async fn establish(front: &Arc<Front>, frame: &[u8], out: &mut BytesMut) -> Option<Established> {
    let request = match ConnectRequest::read(&mut Reader::new(frame)) {
        Ok(request) => request,
        Err(error) => {
            info!(%error, "closing a connection whose first request is malformed");
            return None;
        }
    };
    if !catch_up(front, request.last_zxid_seen).await {
        return None;
    }
    let stream = Stream { front: front.clone(), id: front.handle.stream() };
    match ask(front, stream.id, &request).await {
        Ok(decision) if decision.code == Code::Ok.number() => {
            let attached = Attached::decode(&decision.body).expect("the leader answers with what it was asked for");
            if request.session == 0 {
                front.write_members_down().await;
            }
            let password = attached.password;
            let timeout_milliseconds = attached.timeout_milliseconds.cast_signed();
            let response = ConnectResponse { timeout_milliseconds, session: attached.hold.session.0, password };
            write_connect(out, &response, request.knows_read_only);
            Some(Established { attached, stream, zxid: decision.zxid })
        }
        Ok(_) => {
            debug!(session = format_args!("{:#x}", request.session), "no such session (any more)");
            write_connect(out, &ConnectResponse::default(), request.knows_read_only);
            None
        }
        Err(failure) => {
            info!(%failure, "closing a connection that asked for a session");
            None
        }
    }
}

async fn ask(front: &Front, stream: StreamId, connect: &ConnectRequest) -> Result<Decision, Failure> {
    let timeout_milliseconds = front.options.negotiate(connect.timeout_milliseconds);
    let request = match (connect.session, connect.password) {
        (0, _) => Request::Open { timeout_milliseconds, password: front.draw_password() },
        (session, Some(password)) => Request::Resume { session: LeaseId(session), timeout_milliseconds, password },
        // A password of the wrong length is not worth asking the leader.
        (_, None) => return Ok(Decision::refused(Code::SessionExpired, 0)),
    };
    let reply = front.handle.submit(PROTOCOL, stream, request.encode()).await?;
    Ok(Decision::decode(&reply.bytes).expect("the leader answers with a decision"))
}

/// Makes sure that this member is not behind what the client saw elsewhere. Where the real server refuses at once,
/// a member here first asks the leader how far it must be; only a client from another world is ahead of that.
async fn catch_up(front: &Front, zxid: i64) -> bool {
    let is_behind = |revision: u64| i64::try_from(revision).is_ok_and(|revision| revision < zxid);
    if !is_behind(front.handle.view().revision()) {
        return true;
    }
    match front.handle.barrier().await {
        Ok(view) if is_behind(view.revision()) => {
            info!(
                "refusing a client that has seen zxid {zxid:#x}: the newest one here is {:#x}, it must try another server",
                view.revision()
            );
            false
        }
        Ok(_) => true,
        Err(failure) => {
            info!(%failure, "refusing a client that has seen zxid {zxid:#x}, which this member may not have");
            false
        }
    }
}

/// Whether the session is still held by this connection; watches for the end of that.
pub(super) fn keep_hold(front: &Front, mailbox: &Mailbox, attached: &Attached, token: u64) -> bool {
    let key = crate::tables::session_key(attached.hold.session);
    let interest = node::Interest::Exact(Bytes::copy_from_slice(&key));
    mailbox.watch(crate::tables::SESSIONS, interest, token);
    let view = front.handle.view();
    let present = crate::tables::Tree(&view.state).session(attached.hold.session);
    present.is_some_and(|(_, revision)| revision == attached.hold.revision)
}
