//! What clients are told: each answer is held against what may be said, and remembered.

use node::member::{Answer as Told, RequestTag};
use node::{Failure, NodeId};

use super::World;
use super::clients::Waiter;
use crate::check::{Done, Outcome};
use crate::invariants::{Invariant, Verdict, clients, ensure, must, violation};
use crate::registers::{Action, Answer, Register, Registers, Reply, RequestId};

impl World {
    /// A member answers one of its clients.
    pub(super) fn answered(&mut self, id: NodeId, tag: RequestTag, told: Result<Told, Failure>) -> Verdict {
        let Some(process) = &mut self.host(id).process else { return Ok(()) };
        let waiter = process.waiting.remove(&tag);
        clients::requests_are_answered_once(id, tag.0, waiter.is_some())?;
        match waiter {
            Some(Waiter::Request { client, request }) => self.decided(id, client, request, told),
            Some(Waiter::Read { client, request, register, acknowledged_before }) => {
                self.clients[client].outstanding.remove(&request);
                if told.is_ok() {
                    self.read_now(id, client, request, register, acknowledged_before)?;
                }
                Ok(())
            }
            Some(Waiter::Lease { client, lease, asked, kept }) => self.lease_told(client, lease, asked, kept, &told),
            Some(Waiter::Order(order)) => self.order_told(order, &told),
            None => Ok(()),
        }
    }

    fn decided(&mut self, id: NodeId, client: usize, request: RequestId, told: Result<Told, Failure>) -> Verdict {
        self.clients[client].outstanding.remove(&request);
        let now = self.now;
        let outcome = match told {
            Ok(Told::Decided(bytes)) => {
                let reply = Reply::decode(&bytes).filter(|reply| reply.answer != Answer::Unreadable);
                let reply =
                    must(reply.ok_or("unreadable"), Invariant::RepliesCanBeRead, || format!("the one to {request}"))?;
                self.replied(id, client, request, &reply)?;
                Outcome::Replied { revision: reply.revision, answer: reply.answer }
            }
            Ok(other) => {
                return Err(violation(Invariant::RepliesCanBeRead, format!("{request} was answered {other:?}")));
            }
            Err(failure) => {
                self.note_client(client, || format!("{request} failed at {id}: {failure}"));
                self.clients[client].broken |= self.clients[client].ordered;
                if self.clients[client].holding.is_some_and(|holding| holding.granted_by == request) {
                    self.clients[client].holding = None;
                }
                match failure {
                    Failure::NotApplied(_) => {
                        self.coverage.count("requests not applied");
                        clients::not_applied_is_never_applied(request, self.witness.ledger().receipt(request))?;
                        Outcome::NotApplied
                    }
                    Failure::Unknown(_) => {
                        self.coverage.count("requests of unknown outcome");
                        Outcome::Unknown
                    }
                }
            }
        };
        let operation = self.history.operations.get_mut(&request).expect("whatever is asked is remembered");
        operation.answered = Some(now);
        operation.outcome = outcome;
        Ok(())
    }

    fn replied(&mut self, id: NodeId, client: usize, request: RequestId, reply: &Reply) -> Verdict {
        self.note_client(client, || format!("{request} is answered by {id}: {reply:?}"));
        clients::replies_are_released_after_commit(request, reply, self.witness.ledger())?;
        let published = self.published_revision(id);
        clients::replies_are_applied_where_they_are_given(id, request, reply, published)?;
        self.acknowledged = self.acknowledged.max(reply.revision);
        self.coverage.count(match reply.answer {
            Answer::Done => "requests acknowledged",
            Answer::Refused => "requests refused",
            _ => "reads decided",
        });
        let Done::Request(action) = self.history.operations[&request].done.clone() else { return Ok(()) };
        let now = self.now;
        let this = &mut self.clients[client];
        match (action, reply.answer) {
            (Action::Put { register, value, .. } | Action::CompareAndSet { register, value, .. }, Answer::Done) => {
                this.known.insert(register, Some(value));
            }
            (Action::Get { register }, Answer::Holds(content)) => {
                this.known.insert(register, content);
            }
            (Action::Grant { .. }, answer) => {
                if let Some(holding) = this.holding.as_mut().filter(|holding| holding.granted_by == request) {
                    holding.granted = answer == Answer::Done;
                    holding.keep_at = now + holding.ttl / 4;
                    self.rest(client);
                }
            }
            (Action::Delete { register }, _) => {
                this.known.insert(register, None);
            }
            _ => {}
        }
        Ok(())
    }

    /// The barrier is through: reads what the member has published.
    pub(super) fn read_now(
        &mut self,
        id: NodeId,
        client: usize,
        request: RequestId,
        register: Register,
        acknowledged_before: u64,
    ) -> Verdict {
        let now = self.now;
        let Some(process) = &self.hosts[&id].process else { return Ok(()) };
        let revision = process.published.state.revision();
        let content = Registers::read(&process.published.state, register);
        clients::reads_after_a_barrier_are_fresh(id, acknowledged_before, revision)?;
        self.coverage.count("reads answered");
        self.note_client(client, || {
            format!("{request} reads {content:?} from {register} at {id}, revision {revision}")
        });
        self.acknowledged = self.acknowledged.max(revision);
        self.clients[client].known.insert(register, content);
        let operation = self.history.operations.get_mut(&request).expect("whatever is asked is remembered");
        operation.answered = Some(now);
        operation.outcome = Outcome::Replied { revision, answer: Answer::Holds(content) };
        Ok(())
    }

    fn lease_told(
        &mut self,
        client: usize,
        lease: i64,
        asked: u64,
        kept: bool,
        told: &Result<Told, Failure>,
    ) -> Verdict {
        let Ok(Told::Lease(found)) = told else { return Ok(()) };
        self.coverage.count("lease questions answered");
        match found {
            Some(remaining) => {
                ensure(
                    remaining.ttl_milliseconds <= remaining.granted_milliseconds,
                    Invariant::LeasesHaveNoMoreThanAll,
                    || format!("lease {lease}: {remaining:?}"),
                )?;
                if kept {
                    self.leases.kept(lease, asked)?;
                }
            }
            None => {
                self.leases.missed(lease)?;
                let this = &mut self.clients[client];
                if this.holding.is_some_and(|holding| holding.lease == lease) {
                    this.holding = None;
                }
            }
        }
        Ok(())
    }
}
