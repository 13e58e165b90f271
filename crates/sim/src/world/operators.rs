//! Operators: they add, promote, remove and replace members while the ensemble serves, order another leader, and now
//! and then do not know of each other.

use node::member::{Answer as Told, Event, Peers};
use node::{Change, Failure, MemberAddress, NodeId};
use raft::Membership;

use super::clients::Waiter;
use super::{Action, World};
use crate::clock::SECOND;
use crate::disk::Death;
use crate::fault::Fault;
use crate::invariants::{Invariant, Verdict, ensure};

/// What an operator ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A new member, or a learner that stays one.
    Add(NodeId),
    /// A learner is to vote.
    Promote(NodeId),
    /// A member is to go.
    Remove(NodeId),
    /// Another leader.
    Lead,
}

/// How often an operator repeats what must be done and is not done yet.
const REPEAT_EVERY: u64 = 2 * SECOND;

impl World {
    /// Who belongs to the ensemble, as far as it is decided.
    pub(super) fn members(&self) -> Vec<NodeId> {
        self.witness.ledger().membership().members().into_iter().collect()
    }

    /// Something is ordered.
    pub(super) fn operate(&mut self, fault: Fault) {
        let membership = self.witness.ledger().membership().clone();
        match fault {
            Fault::AddMember => self.add(false),
            Fault::AddLearner => self.add(true),
            Fault::Promote => {
                let learners: Vec<NodeId> = membership.learners.keys().copied().collect();
                if let Some(id) = self.chance.pick(&learners) {
                    self.order(Order::Promote(id), Change::Promote { id });
                }
            }
            Fault::RemoveMember => {
                let members: Vec<NodeId> = membership.members().into_iter().collect();
                if let Some(id) = self.chance.pick(&members).filter(|_| members.len() > 2) {
                    self.order(Order::Remove(id), Change::Remove { id });
                }
            }
            Fault::RemoveLeader => {
                if let Some(id) = self.leader().filter(|_| membership.voters.len() > 2) {
                    self.order(Order::Remove(id), Change::Remove { id });
                }
            }
            Fault::Replace => self.lose_one(&membership),
            Fault::TwoOperators => {
                self.operate(Fault::AddMember);
                self.operate(Fault::RemoveMember);
            }
            _ => {
                let to = self.anybody();
                let to = self.chance.percent(80).then_some(to);
                self.order_from_somebody(Order::Lead, |tag| Event::Lead { tag, to });
            }
        }
    }

    fn add(&mut self, learner: bool) {
        let spare: Vec<NodeId> = self.hosts.iter().filter(|(_, host)| host.is_spare()).map(|(id, _)| *id).collect();
        let Some(&id) = spare.first() else { return };
        let known = self.members();
        let host = self.host(id);
        host.present = true;
        host.options.members = known.into_iter().chain([id]).map(address).collect();
        let life = host.life;
        let wait = host.chance.below(2 * SECOND);
        self.after(wait, Action::Start { id, life });
        self.order(Order::Add(id), Change::Add { member: address(id), learner });
    }

    fn order(&mut self, order: Order, change: Change) {
        self.note("operator", || format!("orders {order:?}"));
        self.order_from_somebody(order, |tag| Event::Change { tag, change });
    }

    fn order_from_somebody(&mut self, order: Order, event: impl FnOnce(node::member::RequestTag) -> Event) {
        let members = self.members();
        let up: Vec<NodeId> = members.into_iter().filter(|id| self.hosts[id].process.is_some()).collect();
        if let Some(id) = self.chance.pick(&up) {
            self.coverage.count("orders given");
            self.post(id, Waiter::Order(order), event);
        }
    }

    /// An operator hears what came of an order.
    pub(super) fn order_told(&mut self, order: Order, told: &Result<Told, Failure>) -> Verdict {
        self.note("operator", || format!("hears of {order:?}: {told:?}"));
        match told {
            Ok(Told::Changed { .. }) => {
                self.coverage.count("orders carried out");
                let ledger = self.witness.ledger();
                let now = ledger.membership();
                let done = match order {
                    Order::Add(id) | Order::Promote(id) => ledger.ever_belonged(id),
                    // Half way is enough, for from there it goes on by itself: it may count among those who go.
                    Order::Remove(id) => !now.voters.contains(&id) && !now.learners.contains_key(&id),
                    Order::Lead => false,
                };
                ensure(done, Invariant::OrdersAreCarriedOut, || {
                    let (voters, outgoing) = (&now.voters, &now.outgoing);
                    format!("{order:?} is said to be carried out, voters are {voters:?}, and half way {outgoing:?}")
                })
            }
            Ok(Told::Led { .. }) => {
                self.coverage.count("transfers carried out");
                Ok(())
            }
            Ok(Told::Refused(_)) => {
                self.coverage.count("orders refused");
                Ok(())
            }
            _ => {
                self.coverage.count("orders that failed");
                Ok(())
            }
        }
    }

    /// A machine is gone for ever, and its disk with it: it is removed, and another takes its place.
    fn lose_one(&mut self, membership: &Membership) {
        let there = |id: &NodeId| self.hosts[id].present;
        let voters: Vec<NodeId> = membership.voters.iter().copied().collect();
        // Whoever loses a second disk before the first is replaced has lost what only these two may have held.
        let whole = membership.outgoing.is_empty() && membership.members().iter().all(there);
        if voters.len() < 3 || !whole || !self.hosts.values().any(super::host::Host::is_spare) {
            return;
        }
        let Some(id) = self.chance.pick(&voters) else { return };
        self.coverage.count("disks lost");
        self.note_of(id, || "is lost with its disk".into());
        self.take_away(id, Death::PowerLost);
        self.witness.lost(id);
        self.after(SECOND, Action::Replace(id));
    }

    /// A lost member is removed, as often as it takes, and then replaced.
    pub(super) fn replace(&mut self, id: NodeId) {
        if self.witness.ledger().membership().contains(id) {
            self.order(Order::Remove(id), Change::Remove { id });
            self.after(REPEAT_EVERY, Action::Replace(id));
        } else if !self.mood.resting {
            self.add(false);
        }
    }

    /// A process ends and is not started again.
    pub(super) fn take_away(&mut self, id: NodeId, death: Death) {
        self.die(id, death, 0);
        let host = self.host(id);
        // No start that was planned for it counts any more.
        host.life += 1;
        host.present = false;
        host.gone = true;
    }

    /// A member stops because it was removed.
    pub(super) fn retire(&mut self, id: NodeId, why: &str) -> Verdict {
        let membership = self.witness.ledger().membership();
        ensure(!membership.contains(id), Invariant::MembersStopOnlyWithReason, || {
            format!("{id} belongs to {:?} and stops: {why}", membership.members())
        })?;
        self.coverage.count("members that left");
        self.take_away(id, Death::Stopped);
        Ok(())
    }

    /// A process hears with whom it is to be connected.
    pub(super) fn follow_peers(&mut self, id: NodeId, peers: Peers) {
        let Some(process) = &mut self.host(id).process else { return };
        process.peers = Some(peers);
        for peer in self.ids().into_iter().filter(|&peer| peer != id) {
            let ends = crate::network::pair(id, peer);
            if self.knows(id, peer) {
                self.expect_attempt(ends);
            } else {
                self.sever(ends, None);
            }
        }
    }

    /// Whether a running process keeps a connection with a peer.
    pub(super) fn knows(&self, id: NodeId, peer: NodeId) -> bool {
        let host = &self.hosts[&id];
        let Some(process) = &host.process else { return false };
        let list = process.peers.as_ref().map_or(&host.options.members, |peers| &peers.list);
        list.iter().any(|member| member.id == peer)
    }

    /// Whether a running process would tell a peer that it was removed.
    pub(super) fn expels(&self, id: NodeId, peer: NodeId) -> bool {
        let peers = self.hosts[&id].process.as_ref().and_then(|process| process.peers.as_ref());
        peers.is_some_and(|peers| peers.ensemble_id != 0 && peer.0 <= peers.last_id && !self.knows(id, peer))
    }
}

/// Where a member is found.
pub(super) fn address(id: NodeId) -> MemberAddress {
    MemberAddress {
        id,
        name: format!("m{}", id.0),
        peer: format!("m{}:2380", id.0),
        client: std::collections::BTreeMap::new(),
        priority: 0,
    }
}
