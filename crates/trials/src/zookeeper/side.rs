//! Plays a case on one side and writes down what came back.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::case::{Deed, SESSIONS, Step};
use super::connection::{Connection, Frame, Session, frame_into};
use super::request::{Place, Request, Seen};

/// Long enough that no session ends by itself.
const TIMEOUT_MILLISECONDS: i32 = 40_000;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The reply to this step.
    Reply(usize, Frame),
    /// An event, after the reply to which it was told.
    Event(Frame),
    /// The connection was closed.
    Closed,
    /// The session was opened, or taken up again: whether it was still there.
    Opened {
        /// Whether it is the one that was asked for.
        resumed: bool,
    },
}

/// All that one side said in one case, session by session.
#[derive(Debug, Default)]
pub struct Record {
    /// What each session heard, with the step before which it was heard.
    pub heard: [Vec<(usize, Heard)>; SESSIONS],
    /// The numbers of sessions, in the order in which they were opened.
    pub sessions: BTreeMap<i64, usize>,
    /// The newest transaction when the case began.
    pub beginning: i64,
}

struct Player<'a> {
    addresses: &'a [String],
    root: &'a str,
    steps: &'a [Step],
    clients: Vec<Client>,
    record: Record,
}

struct Client {
    connection: Option<Connection>,
    session: Session,
    member: usize,
    seen: Seen,
    /// Steps whose replies did not come yet, with their request numbers.
    asked: Vec<(usize, i32)>,
    out: Vec<u8>,
}

/// Stands for a question that belongs to no step: it finds out that all events have come.
const FLUSH: usize = usize::MAX;

/// Plays the steps under a root of their own.
///
/// # Errors
/// The side is not there, or does not answer at all.
pub fn play(addresses: &[String], root: &str, steps: &[Step]) -> anyhow::Result<Record> {
    let client = |member| Client {
        connection: None,
        session: Session::default(),
        member,
        seen: Seen::default(),
        asked: Vec::new(),
        out: Vec::new(),
    };
    let clients = (0..SESSIONS).map(client).collect();
    let mut player = Player { addresses, root, steps, clients, record: Record::default() };
    for session in 0..SESSIONS {
        player.open(session, 0)?;
    }
    player.flush(0)?;
    for client in &mut player.clients {
        client.seen.beginning = client.seen.now;
    }
    player.record.beginning = player.clients.iter().map(|client| client.seen.now).max().unwrap_or(0);
    let mut at = 0;
    while at < steps.len() {
        let end = (at + 1..steps.len()).find(|&next| !continues(steps, next)).unwrap_or(steps.len());
        player.burst(at, end).with_context(|| format!("at step {at} of {root}"))?;
        at = end;
    }
    player.flush(steps.len())?;
    Ok(player.record)
}

/// Whether a step is sent together with the one before it.
fn continues(steps: &[Step], at: usize) -> bool {
    let (before, step) = (&steps[at - 1], &steps[at]);
    // What follows a change of an access list, the real server holds against the new list or still against the old one,
    // as it happens.
    let is_settled = !matches!(before.deed, Deed::Ask(Request::SetAccess { .. }));
    step.pipelined && step.session == before.session && !stands_alone(step) && !stands_alone(before) && is_settled
}

/// Whether a step is answered at once, whatever was asked before it.
fn stands_alone(step: &Step) -> bool {
    match &step.deed {
        Deed::Return | Deed::Ask(Request::Authenticate { .. } | Request::Broken { .. }) => true,
        Deed::Ask(_) => false,
    }
}

impl Player<'_> {
    fn open(&mut self, session: usize, at: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[session];
        client.connection = None;
        let address = &self.addresses[client.member % self.addresses.len()];
        let wanted = client.session;
        let (connection, got) = Connection::open(address, wanted, TIMEOUT_MILLISECONDS)?;
        let resumed = wanted.id != 0 && got.id == wanted.id;
        if got.id == 0 {
            client.session = Session::default();
            return self.open(session, at);
        }
        client.session = got;
        client.connection = Some(connection);
        let ordinal = self.record.sessions.len();
        self.record.sessions.entry(got.id).or_insert(ordinal);
        self.record.heard[session].push((at, Heard::Opened { resumed }));
        Ok(())
    }

    fn burst(&mut self, begin: usize, end: usize) -> anyhow::Result<()> {
        let session = self.steps[begin].session;
        if self.clients[session].connection.is_none() {
            self.open(session, begin)?;
        }
        // What others did before is there: as for a client that was told to look.
        if !stands_alone(&self.steps[begin]) {
            self.ask(session, FLUSH, &sync());
        }
        for at in begin..end {
            match &self.steps[at].deed {
                Deed::Ask(request) => self.ask(session, at, request),
                Deed::Return => {
                    self.exchange(session, at)?;
                    self.flush(at)?;
                    self.clients[session].member += 1;
                    self.open(session, at)?;
                }
            }
        }
        self.exchange(session, end)?;
        if matches!(&self.steps[end - 1].deed, Deed::Ask(request) if request.ends()) {
            self.await_end(session, end)?;
        }
        self.flush(end)
    }

    /// A connection that is about to be closed is not written to: whether that would still be answered is chance.
    fn await_end(&mut self, session: usize, at: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[session];
        let Some(mut connection) = client.connection.take() else { return Ok(()) };
        while let Some(frame) = connection.receive()? {
            self.record.heard[session].push((at, Heard::Event(frame)));
        }
        self.record.heard[session].push((at, Heard::Closed));
        client.session = Session::default();
        Ok(())
    }

    /// Waits until every session has heard all events so far. Their order among replies of other sessions is nobody's
    /// promise; their order within a session is.
    fn flush(&mut self, at: usize) -> anyhow::Result<()> {
        for session in 0..SESSIONS {
            if self.clients[session].connection.is_some() {
                self.ask(session, FLUSH, &sync());
                self.send(session);
            }
        }
        (0..SESSIONS).try_for_each(|session| self.collect(session, at))
    }

    fn ask(&mut self, session: usize, at: usize, request: &Request) {
        let client = &mut self.clients[session];
        let xid = if at == FLUSH { i32::MAX } else { request.xid(i32::try_from(at).unwrap_or(i32::MAX - 1)) };
        let mut content = [xid.to_be_bytes(), request.opcode().to_be_bytes()].concat();
        request.write(self.root, client.seen, &mut content);
        frame_into(&content, &mut client.out);
        client.asked.push((at, xid));
    }

    fn exchange(&mut self, session: usize, at: usize) -> anyhow::Result<()> {
        self.send(session);
        self.collect(session, at)
    }

    fn send(&mut self, session: usize) {
        let client = &mut self.clients[session];
        let out = std::mem::take(&mut client.out);
        if let Some(connection) = &mut client.connection {
            // If it cannot be sent, the connection is closed: the next read says so.
            let _ = connection.send(&out);
        }
    }

    fn collect(&mut self, session: usize, at: usize) -> anyhow::Result<()> {
        let heard = &mut self.record.heard[session];
        let client = &mut self.clients[session];
        let Some(connection) = &mut client.connection else { return Ok(()) };
        let mut asked = client.asked.drain(..).peekable();
        let mut is_closed = false;
        while let Some(&(step, xid)) = asked.peek() {
            let Some(frame) = connection.receive()? else {
                is_closed = true;
                break;
            };
            client.seen.now = client.seen.now.max(frame.zxid);
            if frame.xid == -1 && xid != -1 {
                heard.push((step.min(at), Heard::Event(frame)));
                continue;
            }
            asked.next();
            if step != FLUSH {
                heard.push((step, Heard::Reply(step, frame)));
            } else if frame.xid != xid {
                anyhow::bail!("request {xid} is answered by {frame:?}");
            }
        }
        drop(asked);
        if is_closed {
            heard.push((at, Heard::Closed));
            client.connection = None;
            client.session = Session::default();
        }
        Ok(())
    }
}

fn sync() -> Request {
    Request::Plain { opcode: 9, place: Place::Exactly("/".to_owned()) }
}
