//! Clients: each is connected to one member, asks through an ordered stream or through none, holds a lease perhaps, and
//! remembers all that it asked and was told.

use std::collections::BTreeMap;

use node::member::{Answer as Told, Event, RequestTag};
use node::{Batch, Failure, NodeId, StreamId};
use raft::{Body, Write};
use state::LeaseId;

use super::operators::Order;
use super::{Action as Happening, World};
use crate::chance::Chance;
use crate::check::{Done, Operation, Outcome};
use crate::clock::{MILLISECOND, SECOND};
use crate::invariants::{Verdict, Violation};
use crate::registers::{Action, Answer, Register, Registers, Reply, Request, RequestId};
use crate::sabotage::Sabotage;

/// How clients feel at present.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mood {
    /// They ask much more than usual.
    pub(super) bursting: bool,
    /// They send so many bytes more than needed.
    pub(super) padding: u32,
    /// They give up early.
    pub(super) impatient: bool,
    /// They do not keep their leases.
    pub(super) silent: bool,
    /// Watchers read late.
    pub(super) slow_watchers: bool,
    /// Hubs hear late of what is published.
    pub(super) slow_hubs: bool,
    /// They ask for nothing new.
    pub(super) resting: bool,
}

/// Who waits for an answer, and for what.
pub(super) enum Waiter {
    /// A request to be decided.
    Request { client: usize, request: RequestId },
    /// A barrier, to read then.
    Read { client: usize, request: RequestId, register: Register, acknowledged_before: u64 },
    /// An operator's order.
    Order(Order),
    /// A lease to be kept or looked at.
    Lease { client: usize, lease: i64, asked: u64, kept: bool },
}

impl Waiter {
    fn is_request(&self) -> bool {
        matches!(self, Waiter::Request { .. })
    }
}

/// One client.
pub(super) struct Client {
    pub(super) number: u32,
    pub(super) chance: Chance,
    pub(super) token: u64,
    /// The member it is connected to, and which life of it.
    pub(super) home: Option<(NodeId, u64)>,
    /// The stream that it asks through; none for a client whose requests are independent.
    pub(super) stream: StreamId,
    pub(super) ordered: bool,
    /// A request of the stream failed: nothing more goes through it.
    pub(super) broken: bool,
    pub(super) outstanding: BTreeMap<RequestId, u64>,
    pub(super) holding: Option<Holding>,
    /// What it believes that registers hold.
    pub(super) known: BTreeMap<Register, Option<u64>>,
}

/// A lease that a client holds.
#[derive(Clone, Copy)]
pub(super) struct Holding {
    pub(super) lease: i64,
    pub(super) ttl: u64,
    pub(super) granted_by: RequestId,
    pub(super) granted: bool,
    pub(super) keep_at: u64,
    /// Whether it is kept at all, and whether by questions or by signs of life.
    pub(super) faithful: bool,
    pub(super) asks: bool,
}

/// The first register of each group: touched by itself only, exchanged, on leases.
pub(super) const GROUPS: [Register; 3] = [0, 1000, 2000];

impl Client {
    pub(super) fn new(number: u32, mut chance: Chance) -> Client {
        let ordered = chance.percent(75);
        Client {
            number,
            chance,
            token: 0,
            home: None,
            stream: StreamId::NONE,
            ordered,
            broken: false,
            outstanding: BTreeMap::new(),
            holding: None,
            known: BTreeMap::new(),
        }
    }

    /// A value that a register may be expected to hold.
    fn guess(&mut self, register: Register) -> Option<u64> {
        self.known.get(&register).copied().flatten()
    }
}

impl World {
    pub(super) fn wake_client(&mut self, client: usize, within: u64) {
        let (now, patience) = (self.now, self.patience());
        let this = &mut self.clients[client];
        this.token += 1;
        let mut at = now + this.chance.below(within + 1);
        // However long it rests: it keeps its lease in time, and gives up in time.
        if let Some(holding) = this.holding.filter(|holding| holding.granted && holding.faithful) {
            at = at.min(holding.keep_at.max(now + SECOND / 10));
        }
        if let Some(&asked) = this.outstanding.values().min() {
            at = at.min((asked + patience).max(now + SECOND / 10));
        }
        let token = this.token;
        self.at(at, Happening::Client { client, token });
    }

    /// How long clients wait at present before they give up, in nanoseconds.
    fn patience(&self) -> u64 {
        if self.mood.impatient { SECOND / 4 } else { self.plan.clients.patience }
    }

    /// A client's time has come.
    pub(super) fn client(&mut self, client: usize, token: u64) -> Verdict {
        if self.clients[client].token != token {
            return Ok(());
        }
        self.do_next(client)?;
        self.rest(client);
        Ok(())
    }

    /// A client rests for a while.
    pub(super) fn rest(&mut self, client: usize) {
        let pause = self.plan.clients.pause;
        self.wake_client(client, if self.mood.bursting { (pause / 4).min(SECOND) } else { pause });
    }

    /// A client does its next things.
    fn do_next(&mut self, client: usize) -> Verdict {
        self.lose_patience(client);
        if self.mood.resting || !self.connect_client(client) {
            return Ok(());
        }
        self.care_for_lease(client);
        let free = self.plan.clients.window.saturating_sub(self.clients[client].outstanding.len());
        if free > 0 {
            for _ in 0..self.clients[client].chance.between(1, free as u64) {
                self.ask_something(client)?;
            }
        }
        Ok(())
    }

    /// A process ended: whoever waited for it knows nothing.
    pub(super) fn abandoned(&mut self, waiter: &Waiter) {
        let (Waiter::Request { client, request } | Waiter::Read { client, request, .. }) = waiter else { return };
        self.coverage.count("requests cut off");
        self.clients[*client].outstanding.remove(request);
    }

    /// Gives up everything if the oldest request waits for too long.
    fn lose_patience(&mut self, client: usize) {
        let (now, patience) = (self.now, self.patience());
        let this = &mut self.clients[client];
        if this.outstanding.values().all(|asked| now - asked < patience) {
            return;
        }
        this.outstanding.clear();
        self.coverage.count("clients that gave up");
        self.leave(client);
    }

    /// Leaves the member it is connected to.
    fn leave(&mut self, client: usize) {
        let this = &mut self.clients[client];
        this.outstanding.clear();
        let (home, stream) = (this.home.take(), std::mem::replace(&mut this.stream, StreamId::NONE));
        if let Some((id, life)) = home
            && stream != StreamId::NONE
            && self.hosts[&id].life == life
            && self.host(id).post(Event::Forget { stream })
        {
            self.wake(id);
        }
    }

    /// Sees to it that the client is connected and its stream is whole. False if it must wait.
    fn connect_client(&mut self, client: usize) -> bool {
        if let Some((id, life)) = self.clients[client].home {
            let host = &self.hosts[&id];
            if host.life != life || host.process.is_none() {
                self.leave(client);
            } else if self.clients[client].broken {
                if !self.clients[client].outstanding.is_empty() {
                    return false;
                }
                self.leave(client);
            } else if self.clients[client].outstanding.is_empty() && self.clients[client].chance.per_mille(5) {
                self.coverage.count("clients that moved");
                self.leave(client);
            }
        }
        if self.clients[client].home.is_none() {
            let up: Vec<NodeId> = self.ids().into_iter().filter(|id| self.hosts[id].process.is_some()).collect();
            let stream = self.next_stream;
            let this = &mut self.clients[client];
            let Some(id) = this.chance.pick(&up) else { return false };
            this.home = Some((id, self.hosts[&id].life));
            this.broken = false;
            if this.ordered {
                self.next_stream += 1;
                this.stream = StreamId(stream);
            }
        }
        true
    }

    fn ask_something(&mut self, client: usize) -> Verdict {
        let plan = &self.plan.clients;
        let this = &mut self.clients[client];
        let group = this.chance.position(GROUPS.len());
        let count = u64::from(plan.registers[group]);
        let register = GROUPS[group] + Register::try_from(this.chance.below(count)).expect("a few registers");
        let weights = plan.weights;
        let attach = this.holding.filter(|holding| holding.granted).map_or(0, |_| weights.attach);
        let choices =
            [weights.put, weights.get, weights.read, weights.compare, weights.delete, weights.exchange, attach];
        let mut drawn = this.chance.below(choices.iter().sum());
        let choice = choices.iter().position(|&weight| {
            let chosen = drawn < weight;
            drawn = drawn.wrapping_sub(weight);
            chosen
        });
        let value = self.next_request;
        let padding = self.mood.padding;
        match choice {
            Some(0) => self.submit(client, Action::Put { register, value, lease: 0, padding }),
            Some(1) => self.submit(client, Action::Get { register }),
            Some(2) => return self.read(client, register),
            Some(3) => {
                let expected = this.guess(register);
                self.submit(client, Action::CompareAndSet { register, expected, value });
            }
            Some(4) => self.submit(client, Action::Delete { register }),
            Some(5) => self.exchange(client),
            _ => {
                let register = GROUPS[2] + register % plan.registers[2];
                let lease = this.holding.map_or(0, |holding| holding.lease);
                self.submit(client, Action::Put { register, value, lease, padding: 0 });
            }
        }
        Ok(())
    }

    fn exchange(&mut self, client: usize) {
        let value = self.next_request;
        let count = self.plan.clients.registers[1];
        let this = &mut self.clients[client];
        let mut registers: Vec<Register> = (GROUPS[1]..GROUPS[1] + count).collect();
        this.chance.shuffle(&mut registers);
        registers.truncate(usize::try_from(this.chance.between(1, 4)).expect("a few"));
        let expected: Vec<_> = registers
            .iter()
            .filter(|_| this.chance.percent(40))
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .map(|register| (register, this.guess(register)))
            .collect();
        let wanted = registers.iter().map(|&register| (register, this.chance.percent(85).then_some(value))).collect();
        self.submit(client, Action::Exchange { expected, wanted });
    }

    /// Grants itself a lease, keeps it, forgets it, ends it.
    fn care_for_lease(&mut self, client: usize) {
        if self.plan.clients.weights.attach == 0 {
            return;
        }
        let ttl = self.plan.clients.ttl;
        let (now, silent) = (self.now, self.mood.silent);
        let next_request = self.next_request;
        let this = &mut self.clients[client];
        let Some(holding) = &mut this.holding else {
            if this.chance.percent(20) {
                let lease = self.next_lease;
                self.next_lease += 1;
                let milliseconds = this.chance.between(ttl.0, ttl.1);
                this.holding = Some(Holding {
                    lease,
                    ttl: milliseconds * MILLISECOND,
                    granted_by: next_request,
                    granted: false,
                    keep_at: u64::MAX,
                    faithful: this.chance.percent(70),
                    asks: this.chance.percent(60),
                });
                self.grants.insert(lease, now);
                self.submit(client, Action::Grant { lease, ttl_milliseconds: milliseconds });
            }
            return;
        };
        let (lease, asks) = (holding.lease, holding.asks);
        if holding.granted && now >= holding.keep_at && holding.faithful && !silent {
            holding.keep_at = now + holding.ttl / 4;
            return self.keep(client, lease, asks);
        }
        if holding.granted && this.chance.per_mille(10) {
            this.holding = None;
            if this.chance.percent(50) {
                self.submit(client, Action::Revoke { lease });
            }
        }
    }

    fn keep(&mut self, client: usize, lease: i64, asks: bool) {
        let Some((id, _)) = self.clients[client].home else { return };
        let asked = self.now;
        if asks {
            let kept = self.clients[client].chance.percent(80);
            let waiter = Waiter::Lease { client, lease, asked, kept };
            let lease = LeaseId(lease);
            self.post(
                id,
                waiter,
                |tag| if kept { Event::Renew { tag, lease } } else { Event::Remaining { tag, lease } },
            );
        } else if let Some(process) = &mut self.host(id).process {
            process.touched.insert(LeaseId(lease));
            self.coverage.count("signs of life");
            self.wake(id);
        }
    }

    fn read(&mut self, client: usize, register: Register) -> Verdict {
        let Some((id, _)) = self.clients[client].home else { return Ok(()) };
        let request = self.remember(client, StreamId::NONE, Done::Read(register));
        let acknowledged_before = self.acknowledged;
        self.coverage.count("reads asked");
        if self.plan.sabotage == Some(Sabotage::StaleBarriers) {
            return self.read_now(id, client, request, register, acknowledged_before);
        }
        self.post(id, Waiter::Read { client, request, register, acknowledged_before }, |tag| Event::Barrier { tag });
        Ok(())
    }

    /// Has a request decided.
    pub(super) fn submit(&mut self, client: usize, action: Action) {
        let Some((id, _)) = self.clients[client].home else { return };
        let stream = self.clients[client].stream;
        let number = self.clients[client].number;
        let request = self.remember(client, stream, Done::Request(action.clone()));
        self.note_client(client, || format!("asks {id} in {stream:?}: {request} {action:?}"));
        let bytes = Request { id: request, client: number, action }.encode();
        self.coverage.count("requests asked");
        let protocol = Registers::ID;
        let twice = self.plan.sabotage == Some(Sabotage::SubmitTwice);
        let copy = bytes.clone();
        self.post(id, Waiter::Request { client, request }, |tag| Event::Submit {
            tag,
            protocol,
            stream,
            request: bytes,
        });
        if twice {
            let waiter = Waiter::Request { client, request };
            self.post(id, waiter, |tag| Event::Submit { tag, protocol, stream, request: copy });
        }
    }

    fn remember(&mut self, client: usize, stream: StreamId, done: Done) -> RequestId {
        let request = self.next_request;
        self.next_request += 1;
        // Requests of no stream are each a stream of their own.
        let stream = if stream == StreamId::NONE { 1 << 48 | request } else { stream.0 };
        let operation = Operation { stream, done, asked: self.now, answered: None, outcome: Outcome::Unknown };
        self.history.operations.insert(request, operation);
        self.clients[client].outstanding.insert(request, self.now);
        request
    }

    pub(super) fn post(&mut self, id: NodeId, waiter: Waiter, event: impl FnOnce(RequestTag) -> Event) {
        let Some(process) = &mut self.host(id).process else { return self.abandoned(&waiter) };
        let tag = RequestTag(process.next_tag);
        process.next_tag += 1;
        process.waiting.insert(tag, waiter);
        process.inbox.push(event(tag));
        self.wake(id);
    }

    /// The first client goes to this member and asks for something simple there. Gives the request.
    pub(super) fn ask_freshly(&mut self, id: NodeId, reads: bool) -> Result<RequestId, Violation> {
        let request = self.next_request;
        self.leave(0);
        self.clients[0].home = Some((id, self.hosts[&id].life));
        if reads {
            self.read(0, GROUPS[0])?;
        } else {
            self.submit(0, Action::Put { register: GROUPS[0], value: request, lease: 0, padding: 0 });
        }
        Ok(request)
    }

    /// What a leader that does not wait for its entries to be committed would answer at once.
    pub(super) fn released_early(
        &mut self,
        id: NodeId,
        writes: &[Write<Batch>],
    ) -> Vec<(RequestTag, Result<Told, Failure>)> {
        let Some(process) = &self.hosts[&id].process else { return Vec::new() };
        if self.plan.sabotage != Some(Sabotage::ReleaseEarly) || !process.waiting.values().any(Waiter::is_request) {
            return Vec::new();
        }
        let mut done = BTreeMap::new();
        for entry in writes.iter().flat_map(|write| &write.append) {
            let Body::Command(batch) = &entry.body else { continue };
            for delta in batch.deltas() {
                done.extend(Registers::receipt_in(&delta));
            }
        }
        let answers = process.waiting.iter().filter_map(|(tag, waiter)| {
            let Waiter::Request { request, .. } = waiter else { return None };
            let reply = Reply { revision: *done.get(request)?, answer: Answer::Done };
            Some((*tag, Ok(Told::Decided(reply.encode()))))
        });
        answers.collect()
    }

    pub(super) fn note_client(&mut self, client: usize, what: impl FnOnce() -> String) {
        if self.is_traced() {
            self.note(&format!("c{client}"), what);
        }
    }

    pub(super) fn published_revision(&self, id: NodeId) -> u64 {
        self.hosts[&id].process.as_ref().map_or(0, |process| process.published.state.revision())
    }

    /// When a lease was asked for.
    pub(super) fn asked_for(&self, lease: i64) -> u64 {
        self.grants.get(&lease).copied().unwrap_or(0)
    }
}
