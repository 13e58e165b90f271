//! One client's side of its session: its requests in order, its answers, its watches. It moves no bytes itself; the
//! connection feeds it frames and empties its output.
//!
//! Order, stated once: requests are answered in the order in which they came, pings excepted. What the leader
//! decides is handed to it at once, so writes are pipelined. A read waits until everything before it is answered, and
//! then sees all of it; what comes after it is handed to the leader only then, so that a read never sees a later
//! write of its own client. Before an answer that saw revision *r* leaves, all events up to *r* leave; events after
//! *r* wait until the answer has left.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use node::{Delivery, Failure, Mailbox, Pending, Reason, Reply, View};
use tokio::time::Instant;
use tracing::{debug, info};

use super::front::{Front, Guest, Place};
use super::handshake::{Established, Stream, keep_hold};
use super::pulse::Pulse;
use super::reconfigure::{Unfulfilled, reconfigure};
use crate::identity::{self, Exchange, Step};
use crate::prepare::{Decision, Hold, PROTOCOL, Request};
use crate::watch::{Order, Watches, may_hear};
use crate::wire::{
    AuthRequest, Code, Event, Identity, OpCode, Reader, ReplyHeader, RequestHeader, write_event, write_reply, xid,
};

/// The watch for the session's own row; those of the client are numbered from 1.
const SESSION_TOKEN: u64 = 0;

/// How long a connection that is over may take to hand over its last answers.
const FAREWELL: Duration = Duration::from_secs(1);

/// A request that waits for its turn or its answer.
pub(super) struct Waiting {
    pub(super) xid: i32,
    /// Bytes it came in.
    weight: usize,
    since: Instant,
    pub(super) state: Stage,
}

/// What a request waits for.
pub(super) enum Stage {
    /// The reads before it, which must not see what it does.
    Unsent { opcode: OpCode, body: Bytes, identities: Arc<[Identity]> },
    /// The leader's decision.
    Decided { opcode: OpCode, pending: Pending<Reply> },
    /// A state that holds everything that was committed when the client asked.
    Synced { path: String, pending: Pending<Arc<View>> },
    /// The same, and then it reads.
    Barred { opcode: OpCode, body: Bytes, identities: Arc<[Identity]>, pending: Pending<Arc<View>> },
    /// Another membership. What is asked after it waits, as behind a read.
    Reconfigured { pending: Reconfiguring },
    /// Only its turn.
    Read { opcode: OpCode, body: Bytes, identities: Arc<[Identity]> },
    /// Its turn to be refused; with some refusals the connection ends.
    Refused { code: Code, is_last: bool },
}

/// A change of the membership on its way.
pub(super) type Reconfiguring = Pin<Box<dyn Future<Output = Result<(i64, Bytes), Unfulfilled>> + Send>>;

/// What came for the request at the head of the queue.
pub(super) enum Answer {
    Decided(Result<Reply, Failure>),
    Synced(Result<Arc<View>, Failure>),
    Reconfigured(Result<(i64, Bytes), Unfulfilled>),
}

/// See the module.
pub(super) struct Client {
    pub(super) front: Arc<Front>,
    place: Place,
    pub(super) hold: Hold,
    stream: Stream,
    pub(super) mailbox: Mailbox,
    /// Watched paths as the counters of the front end have them.
    counted_watches: usize,
    /// A delivery that is newer than the answers that left so far allow.
    pub(super) held: Option<Delivery>,
    pub(super) identities: Arc<[Identity]>,
    /// A proof of identity that is under way.
    exchange: Option<Exchange>,
    pub(super) queue: VecDeque<Waiting>,
    queued_bytes: usize,
    /// Reads and syncs in the queue: each sees some state as a whole, and not yet what is asked after it.
    queued_reads: usize,
    /// Bytes for the client.
    pub(super) out: BytesMut,
    /// The newest transaction that an answer told of.
    seen: i64,
    pub(super) pulse: Pulse,
    /// Nothing more is done; what is in `out` may leave until then.
    pub(super) closing: Option<Instant>,
}

/// Changes that a request makes and its own client may be watching: the node, its access list, the parent's counters,
/// and one to spare. Requests are taken only while the mailbox has room for what those before them may bring, so that
/// nobody loses a connection by haste; a large transaction may bring more than this.
const CHANGES_PER_REQUEST: usize = 4;

impl Client {
    pub(super) fn new(
        front: Arc<Front>,
        place: Place,
        established: Established,
        peer: Option<&tls::Peer>,
        out: BytesMut,
    ) -> Client {
        let Established { attached, stream, zxid } = established;
        let address = place.guest.peer.ip().to_canonical().to_string();
        place.guest.session.store(attached.hold.session.0, Ordering::Relaxed);
        place.guest.timeout.store(attached.timeout_milliseconds.into(), Ordering::Relaxed);
        front.handle.touch(attached.hold.session);
        let mut identities = vec![Identity::new(identity::IP, &address)];
        if let Some(tls::Peer { subject, .. }) = peer {
            identities.extend(front.identities_of(Identity::new(identity::X509, subject)));
        }
        let mailbox = front.handle.mailbox();
        let is_held = keep_hold(&front, &mailbox, &attached, SESSION_TOKEN);
        let timeout = Duration::from_millis(attached.timeout_milliseconds.into());
        let mut client = Client {
            front,
            place,
            hold: attached.hold,
            stream,
            mailbox,
            counted_watches: 0,
            held: None,
            identities: identities.into(),
            exchange: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_reads: 0,
            out,
            seen: zxid,
            pulse: Pulse::new(timeout, Instant::now()),
            closing: None,
        };
        if !is_held {
            client.close("its session ended or moved before it began");
        }
        client
    }

    /// Whether another request may be taken.
    pub(super) fn accepts(&self) -> bool {
        let options = &self.front.options;
        self.closing.is_none()
            && !self.is_full()
            && self.queue.len() < options.outstanding_requests
            && self.queued_bytes < options.outstanding_bytes
            && self.queue.len() * CHANGES_PER_REQUEST < self.mailbox.room()
    }

    /// Whether the client must read before anything more is done for it.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() >= self.front.options.output_bytes
    }

    /// Whether the request at the head of the queue waits for an answer of which nobody here knows yet what it saw.
    pub(super) fn awaits_answer(&self) -> bool {
        let stage = self.queue.front().map(|waiting| &waiting.state);
        matches!(
            stage,
            Some(Stage::Decided { .. } | Stage::Synced { .. } | Stage::Barred { .. } | Stage::Reconfigured { .. })
        )
    }

    /// Ends the connection, not the session.
    pub(super) fn close(&mut self, reason: &str) {
        if self.closing.is_none() {
            debug!(session = %self.hold.session, peer = %self.guest().peer, "closing a connection: {reason}");
            self.closing = Some(Instant::now() + FAREWELL);
        }
    }

    /// The client gave a sign of life.
    pub(super) fn beat(&mut self) {
        if self.pulse.beat(Instant::now()) {
            self.front.handle.touch(self.hold.session);
        }
    }

    /// A sign of life that was held back is due.
    pub(super) fn pass_pulse(&mut self) {
        if self.pulse.pass_if_due(Instant::now()) {
            self.front.handle.touch(self.hold.session);
        }
    }

    /// Takes a request in.
    pub(super) fn receive(&mut self, frame: &Bytes) {
        self.front.counters.tally.received.fetch_add(1, Ordering::Relaxed);
        self.guest().tally.received.fetch_add(1, Ordering::Relaxed);
        let mut reader = Reader::new(frame);
        let Ok(RequestHeader { xid, opcode: number }) = RequestHeader::read(&mut reader) else {
            return self.close("a request without a header");
        };
        self.guest().last_xid.store(xid.into(), Ordering::Relaxed);
        self.guest().last_opcode.store(number.into(), Ordering::Relaxed);
        let body = frame.slice(RequestHeader::BYTES..);
        match OpCode::from_number(number) {
            Some(OpCode::Ping) => self.answer(xid::PING, self.seen, Code::Ok, &[]),
            Some(OpCode::Auth) => self.authenticate(xid, &body),
            Some(OpCode::Sync) => self.sync(xid, &body),
            Some(OpCode::Reconfig) if self.front.options.reconfig => {
                let pending = Box::pin(reconfigure(self.front.clone(), self.identities.clone(), body.clone()));
                self.queued_reads += 1;
                self.enqueue(xid, body.len(), Stage::Reconfigured { pending });
            }
            Some(opcode) if opcode.is_decided_by_leader() => {
                let identities = self.identities.clone();
                let stage = if self.queued_reads == 0 {
                    self.submit(opcode, &body, &identities)
                } else {
                    Stage::Unsent { opcode, body: body.clone(), identities }
                };
                self.enqueue(xid, body.len(), stage);
            }
            Some(OpCode::Sasl) if !self.front.options.sasl_users.is_empty() => self.authenticate_by_sasl(xid, &body),
            // The real server answers these two so, and keeps the connection only for the first.
            Some(OpCode::DeleteContainer) => self.refuse(xid, Code::Unimplemented, false),
            None | Some(OpCode::Sasl) => self.refuse(xid, Code::Unimplemented, true),
            Some(opcode) => {
                let identities = self.identities.clone();
                // Raised now, so that what was written anywhere before the client asked is seen.
                let barrier = self.front.options.linearizable_reads.then(|| self.front.handle.barrier());
                self.queued_reads += 1;
                let stage = match barrier {
                    Some(pending) => Stage::Barred { opcode, body: body.clone(), identities, pending },
                    None => Stage::Read { opcode, body: body.clone(), identities },
                };
                self.enqueue(xid, body.len(), stage);
            }
        }
    }

    fn submit(&self, opcode: OpCode, body: &[u8], identities: &[Identity]) -> Stage {
        let request =
            Request::Operate { hold: self.hold, opcode: opcode.number(), identities: identities.to_vec(), body };
        let pending = self.front.handle.submit(PROTOCOL, self.stream.id, request.encode());
        Stage::Decided { opcode, pending }
    }

    /// Whether the client has asked for the end of its session.
    fn is_leaving(&self) -> bool {
        self.queue.iter().any(|waiting| matches!(waiting.state, Stage::Decided { opcode: OpCode::CloseSession, .. }))
    }

    /// Hands the leader what no read stands before any more.
    fn submit_unsent(&mut self) {
        for at in 0..self.queue.len() {
            let submitted = match &self.queue[at].state {
                Stage::Unsent { opcode, body, identities } => self.submit(*opcode, body, identities),
                Stage::Read { .. } | Stage::Barred { .. } | Stage::Synced { .. } | Stage::Reconfigured { .. } => return,
                Stage::Decided { .. } | Stage::Refused { .. } => continue,
            };
            self.queue[at].state = submitted;
        }
    }

    fn sync(&mut self, xid: i32, body: &Bytes) {
        match Reader::new(body).string() {
            Ok(path) => {
                let pending = self.front.handle.barrier();
                self.queued_reads += 1;
                self.enqueue(xid, body.len(), Stage::Synced { path: path.into_owned(), pending });
            }
            Err(_) => self.refuse(xid, Code::MarshallingError, false),
        }
    }

    /// Answers at once: what follows on the connection is asked in the new identity's name already.
    fn authenticate(&mut self, xid: i32, body: &[u8]) {
        let Ok(AuthRequest { scheme, credentials }) = AuthRequest::read(&mut Reader::new(body)) else {
            return self.close("an authentication that is malformed");
        };
        let proven = match scheme.as_ref() {
            identity::DIGEST => identity::digest_identity(credentials),
            // The address is known anyway.
            identity::IP => return self.answer(xid, 0, Code::Ok, &[]),
            _ => return self.refuse_identity(xid, "an authentication by an unknown scheme"),
        };
        if self.adopt(proven) {
            self.answer(xid, 0, Code::Ok, &[]);
        } else {
            self.refuse_identity(xid, "more identities than one connection may have");
        }
    }

    /// From now on the client is this one, too. Says whether there was room for it.
    fn adopt(&mut self, proven: Identity) -> bool {
        let mut identities = self.identities.to_vec();
        for identity in self.front.identities_of(proven) {
            if !identities.contains(&identity) {
                identities.push(identity);
            }
        }
        let fits = identities.iter().map(Identity::bytes).sum::<usize>() <= identity::IDENTITIES_BYTES_MAX;
        if fits {
            self.identities = identities.into();
        }
        fits
    }

    /// A step of SASL. Answered at once, as `auth` is. A client that fails keeps its connection and stays who it was;
    /// the answer without a token tells it.
    fn authenticate_by_sasl(&mut self, xid: i32, body: &[u8]) {
        let Ok(token) = Reader::new(body).buffer() else {
            return self.close("an authentication that is malformed");
        };
        let front = self.front.clone();
        let mut exchange = self.exchange.take().unwrap_or_else(|| Exchange::new(front.draw_nonce()));
        let answer = match exchange.step(&front.options.sasl_users, token.unwrap_or_default()) {
            Step::Challenge(challenge) => {
                self.exchange = Some(exchange);
                Some(challenge)
            }
            Step::Proven(identity, proof) => self.adopt(identity).then_some(proof),
            Step::Refused(reason) => {
                front.counters.auth_failed.fetch_add(1, Ordering::Relaxed);
                info!(session = %self.hold.session, peer = %self.guest().peer, "a client failed to prove itself: {reason}");
                None
            }
        };
        let mut reply = crate::wire::Writer::new();
        reply.buffer(answer.as_deref());
        self.answer(xid, 0, Code::Ok, &reply.finish());
    }

    fn refuse_identity(&mut self, xid: i32, reason: &str) {
        self.front.counters.auth_failed.fetch_add(1, Ordering::Relaxed);
        self.answer(xid, 0, Code::AuthFailed, &[]);
        self.close(reason);
    }

    fn refuse(&mut self, xid: i32, code: Code, is_last: bool) {
        self.enqueue(xid, 0, Stage::Refused { code, is_last });
    }

    fn enqueue(&mut self, xid: i32, weight: usize, state: Stage) {
        self.queue.push_back(Waiting { xid, weight, since: Instant::now(), state });
        self.queued_bytes += weight;
        self.guest().queued.store(self.queue.len() as u64, Ordering::Relaxed);
        self.front.counters.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dequeue(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        self.queued_bytes -= waiting.weight;
        self.guest().queued.store(self.queue.len() as u64, Ordering::Relaxed);
        self.front.counters.outstanding.fetch_sub(1, Ordering::Relaxed);
        let latency = waiting.since.elapsed();
        self.front.counters.tally.answered(latency);
        self.guest().tally.answered(latency);
        Some(waiting)
    }

    /// Does all that waits only for its turn.
    pub(super) async fn advance(&mut self) {
        while self.closing.is_none()
            && !self.is_full()
            && matches!(self.queue.front(), Some(Waiting { state: Stage::Read { .. } | Stage::Refused { .. }, .. }))
        {
            let Some(Waiting { xid, state, .. }) = self.dequeue() else { return };
            match state {
                Stage::Read { opcode, body, identities } => {
                    self.queued_reads -= 1;
                    self.read(xid, opcode, &body, &identities).await;
                }
                Stage::Refused { code, is_last } => {
                    self.answer(xid, self.seen, code, &[]);
                    if is_last {
                        self.close("a request that this server does not know");
                    }
                }
                _ => unreachable!("only reads and refusals wait for nothing but their turn"),
            }
        }
        if self.closing.is_none() {
            self.submit_unsent();
        }
    }

    /// The answer for the request at the head of the queue came.
    pub(super) async fn complete(&mut self, answer: Answer) {
        let Some(Waiting { xid, state, .. }) = self.dequeue() else { return };
        match (state, answer) {
            (Stage::Decided { opcode, .. }, Answer::Decided(Ok(reply))) => {
                let decision = Decision::decode(&reply.bytes).expect("the leader answers with a decision");
                self.tell_decision(xid, opcode, &decision).await;
            }
            (Stage::Synced { path, .. }, Answer::Synced(Ok(view))) => {
                self.queued_reads -= 1;
                let mut body = crate::wire::Writer::new();
                body.string(&path);
                // The barrier was raised when the request came: a write before it may be newer, and is seen already.
                let zxid = crate::tables::zxid(view.revision()).max(self.seen);
                self.answer_after_events(xid, zxid, Code::Ok, &body.finish()).await;
            }
            (Stage::Barred { opcode, body, identities, .. }, Answer::Synced(Ok(_))) => {
                self.queued_reads -= 1;
                self.read(xid, opcode, &body, &identities).await;
            }
            (Stage::Reconfigured { .. }, Answer::Reconfigured(Ok((zxid, record)))) => {
                self.queued_reads -= 1;
                self.answer_after_events(xid, zxid.max(self.seen), Code::Ok, &record).await;
            }
            (Stage::Reconfigured { .. }, Answer::Reconfigured(Err(Unfulfilled::Refused(code)))) => {
                self.queued_reads -= 1;
                self.answer(xid, self.seen, code, &[]);
            }
            // Decided in its turn, and nothing was changed: the connection goes on.
            (Stage::Decided { opcode, .. }, Answer::Decided(Err(Failure::NotApplied(Reason::OverQuota { .. })))) => {
                let refused = Decision::refused(Code::QuotaExceeded, self.seen);
                self.tell_decision(xid, opcode, &refused).await;
            }
            (
                _,
                Answer::Decided(Err(failure))
                | Answer::Synced(Err(failure))
                | Answer::Reconfigured(Err(Unfulfilled::Failed(failure))),
            ) => {
                info!(%failure, session = %self.hold.session, "closing a connection whose request failed");
                self.close("a request failed");
            }
            _ => unreachable!("what is awaited is what the head of the queue waits for"),
        }
    }

    async fn tell_decision(&mut self, xid: i32, opcode: OpCode, decision: &Decision) {
        if decision.code == Code::SessionMoved.number() {
            return self.close("its session moved to another connection");
        }
        self.settle(decision.zxid).await;
        self.answer_number(xid, decision.zxid, decision.code, &decision.body);
        if decision.code == Code::SessionExpired.number() {
            self.close("its session expired");
        } else if opcode == OpCode::CloseSession {
            self.close("the client closed its session");
        }
    }

    /// Answers with what a state of this revision showed.
    pub(super) async fn answer_after_events(&mut self, xid: i32, zxid: i64, code: Code, body: &[u8]) {
        self.settle(zxid).await;
        self.answer(xid, zxid, code, body);
    }

    /// Lets all events up to a transaction out.
    pub(super) async fn settle(&mut self, zxid: i64) {
        if self.watches().is_empty() {
            return;
        }
        self.mailbox.settled(zxid.cast_unsigned()).await;
        while let Some(delivery) = self.held.take().or_else(|| self.mailbox.try_recv()) {
            match &delivery {
                Delivery::Changes { revision, .. } if crate::tables::zxid(*revision) > zxid => {
                    self.held = Some(delivery);
                    return;
                }
                _ => self.deliver(&delivery),
            }
        }
    }

    /// Something changed that this connection watches.
    pub(super) fn deliver(&mut self, delivery: &Delivery) {
        let Delivery::Changes { revision, changes } = delivery else {
            // The client comes back and says what it watched; what it missed is told from there.
            return self.close("it read its events too slowly (mailbox_changes)");
        };
        for (_, change) in changes.iter().filter(|(token, _)| *token == SESSION_TOKEN) {
            match &change.after {
                // The answer to the client's own farewell closes the connection, once it is on its way.
                None if self.is_leaving() => {}
                None => self.close("its session ended"),
                Some(row) if row.modified() != self.hold.revision => self.close("its session moved"),
                Some(_) => {}
            }
        }
        let outcome = self.watches().observe(crate::tables::zxid(*revision), changes);
        if !outcome.events.is_empty() {
            self.tell(*revision, &outcome.events);
        }
        self.carry_out(outcome.orders);
    }

    fn tell(&mut self, revision: u64, events: &[Event]) {
        let view = self.front.handle.view();
        for event in events {
            match may_hear(&view, revision, event, &self.identities) {
                Ok(true) => {
                    write_event(&mut self.out, event);
                    self.count_sent(event.path.len());
                }
                Ok(false) => {}
                Err(forgotten) => return self.close(&format!("it read its events too slowly: {forgotten}")),
            }
        }
    }

    /// Tells the mailbox.
    pub(super) fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Watch { token, table, interest } => {
                    self.mailbox.watch(table, interest, token);
                }
                Order::Unwatch { token } => self.mailbox.unwatch(token),
            }
        }
        let present = self.watches().len();
        self.count_watches(present);
    }

    fn count_watches(&mut self, present: usize) {
        let change = present as i64 - self.counted_watches as i64;
        self.front.counters.watches.fetch_add(change, Ordering::Relaxed);
        self.counted_watches = present;
    }

    pub(super) fn answer(&mut self, xid: i32, zxid: i64, code: Code, body: &[u8]) {
        self.answer_number(xid, zxid, code.number(), body);
    }

    fn answer_number(&mut self, xid: i32, zxid: i64, code: i32, body: &[u8]) {
        self.seen = self.seen.max(zxid);
        write_reply(&mut self.out, ReplyHeader { xid, zxid, code }, body);
        self.guest().tally.last_zxid.store(zxid, Ordering::Relaxed);
        self.count_sent(body.len());
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.front.counters.tally.sent(bytes);
        self.guest().tally.sent(bytes);
        self.guest().last_answer.store(self.front.up(), Ordering::Relaxed);
    }

    /// Its watches. Never held while anything is waited for.
    pub(super) fn watches(&self) -> MutexGuard<'_, Watches> {
        self.place.guest.watches()
    }

    fn guest(&self) -> &Guest {
        &self.place.guest
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let counters = &self.front.counters;
        counters.outstanding.fetch_sub(self.queue.len() as i64, Ordering::Relaxed);
        counters.watches.fetch_sub(self.counted_watches as i64, Ordering::Relaxed);
    }
}
