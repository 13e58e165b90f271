//! Handing leadership over: on request, to a preferred member, away from a stalled disk, or on removal.
//!
//! The leader stops taking proposals, waits until the successor's log equals its own, and tells it to campaign
//! at once. If nobody has taken over after an election timeout, it carries on as before.

use crate::cause::{Cause, Event, TransferCause};
use crate::drain::Gate;
use crate::effects::Refusal;
use crate::message::Message;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::roles::{Leader, Post};
use crate::types::{NodeId, Payload, Tag};

/// A transfer under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Transfer {
    /// The successor.
    pub(crate) to: NodeId,
    /// Why.
    why: TransferCause,
    /// Who asked for it here.
    tag: Option<Tag>,
    /// The successor was told to campaign.
    told: bool,
    /// A majority check went by since it began.
    late: bool,
}

impl<P: Payload> Raft<P> {
    /// Somebody here wants another leader.
    pub(crate) fn transfer(&mut self, tag: Tag, to: Option<NodeId>) {
        let own = self.config.id;
        let Post::Leader(leader) = &self.post else {
            let hint = self.leader();
            return self.refuse(tag, Refusal::NotLeader { hint });
        };
        if to == Some(own) {
            return self.owed.effects.handed_over.push((tag, own));
        }
        if let Some(under_way) = &leader.transfer {
            let to = under_way.to;
            return self.refuse(tag, Refusal::Transferring { to });
        }
        let successor = match to {
            Some(id) => self.is_reachable_voter(id).then_some(id),
            None => self.best_successor(),
        };
        match successor {
            Some(successor) => self.start_transfer(successor, TransferCause::Asked, Some(tag)),
            None => self.refuse(tag, Refusal::NoSuccessor(to)),
        }
    }

    fn is_reachable_voter(&self, id: NodeId) -> bool {
        let Post::Leader(leader) = &self.post else {
            return false;
        };
        self.log.membership().voters.contains(&id) && leader.peers.get(&id).is_some_and(Peer::is_in_contact)
    }

    /// The voter that could take over soonest; among equals the one wished for most.
    pub(crate) fn best_successor(&self) -> Option<NodeId> {
        let Post::Leader(leader) = &self.post else {
            return None;
        };
        let membership = self.log.membership();
        let reachable = leader.peers.iter().filter(|(id, _)| self.is_reachable_voter(**id));
        reachable
            .max_by_key(|(id, peer)| {
                let ready = (peer.is_heard(), peer.is_caught_up());
                (ready, membership.priority(**id), peer.matched(), std::cmp::Reverse(**id))
            })
            .map(|(&id, _)| id)
    }

    /// Begins handing over.
    pub(crate) fn start_transfer(&mut self, to: NodeId, why: TransferCause, tag: Option<Tag>) {
        let Some(leader) = self.leading() else { return };
        leader.transfer = Some(Transfer { to, why, tag, told: false, late: false });
        self.event(Event::TransferStarted { to, why });
        self.push_transfer();
    }

    /// Tells the successor to campaign as soon as it has everything.
    pub(crate) fn push_transfer(&mut self) {
        let last = self.log.last().index;
        let Some(Leader { transfer: Some(transfer), peers, .. }) = self.leading() else {
            return;
        };
        let ready = peers.get(&transfer.to).is_some_and(|peer| peer.matched() == last);
        if ready && !transfer.told {
            transfer.told = true;
            let to = transfer.to;
            self.send(to, Message::CampaignNow, Gate::Now);
        }
    }

    /// At a heartbeat: the word to campaign may have been lost.
    pub(crate) fn repeat_transfer(&mut self) {
        if let Some(Leader { transfer: Some(transfer), .. }) = self.leading() {
            transfer.told = false;
            self.push_transfer();
        }
    }

    /// At a majority check: gives up a transfer that was under way at the last one already.
    pub(crate) fn age_transfer(&mut self) {
        let Some(leader) = self.leading() else { return };
        match &mut leader.transfer {
            Some(transfer) if !transfer.late => transfer.late = true,
            Some(Transfer { to, .. }) => {
                let to = *to;
                if let Some(peer) = leader.peers.get_mut(&to) {
                    peer.forget_health();
                }
                self.abort_transfer(Refusal::TransferTimedOut { to });
            }
            None => {}
        }
    }

    /// Nothing comes of the transfer under way.
    pub(crate) fn abort_transfer(&mut self, because: Refusal) {
        let Some(Transfer { to, why, tag, .. }) = self.leading().and_then(|leader| leader.transfer.take()) else {
            return;
        };
        self.event(Event::TransferFailed { to, why, because });
        if let Some(tag) = tag {
            self.refuse(tag, because);
        }
    }

    /// The cause to give if `from`, who speaks of a later term, was asked to take over.
    pub(crate) fn handed_over_to(&self, from: NodeId) -> Option<Cause> {
        let Post::Leader(Leader { transfer: Some(transfer), .. }) = &self.post else {
            return None;
        };
        (transfer.to == from).then_some(Cause::HandedOver { to: from, why: transfer.why })
    }

    /// This member leads no more: a transfer under way has either done this or come to nothing.
    pub(crate) fn settle_transfer(&mut self, successor: Option<NodeId>, cause: &Cause) {
        let Post::Leader(Leader { transfer: Some(transfer), .. }) = &self.post else {
            return;
        };
        let to = transfer.to;
        if successor == Some(to) || matches!(cause, Cause::HandedOver { .. }) {
            if let Some(tag) = transfer.tag {
                self.owed.effects.handed_over.push((tag, to));
            }
        } else {
            self.abort_transfer(Refusal::NotLeader { hint: successor });
        }
    }
}
