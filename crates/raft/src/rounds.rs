//! What a leader does once in every shortest election timeout: asks itself whether it should still lead.
//!
//! A round ends with each election edge. Whoever said nothing during it was not heard; a leader that heard no
//! majority steps down. A disk that works on the same write from one edge to the next has stalled for a whole
//! election timeout, and the leader hands over. A member of higher priority that was well for long enough is
//! handed over to: the count of rounds, and its new start after each failed attempt, keep leadership from
//! bouncing.

use crate::cause::{Cause, Event, TransferCause};
use crate::progress::Peer;
use crate::quorum;
use crate::raft::Raft;
use crate::roles::{Leader, Post};
use crate::types::{NodeId, Payload};

impl<P: Payload> Raft<P> {
    /// The election timer of a leader ran out.
    pub(crate) fn round_due(&mut self) {
        if !self.hears_majority() {
            return;
        }
        let last = self.log.last().index;
        if let Some(leader) = self.leading() {
            leader.peers.values_mut().for_each(|peer| peer.end_round(last));
        }
        self.age_transfer();
        self.look_after_disk();
        self.promote_learners();
        self.prefer();
        self.consider_sleep();
    }

    /// Steps down unless a majority was heard in this round.
    fn hears_majority(&mut self) -> bool {
        let own = self.config.id;
        let Post::Leader(leader) = &self.post else {
            return false;
        };
        let is_heard = |id: NodeId| id == own || leader.peers.get(&id).is_some_and(Peer::is_heard);
        let membership = self.log.membership();
        if quorum::is_majority(membership, is_heard) {
            return true;
        }
        let voters = membership.all_voters();
        let heard = voters.iter().filter(|&&id| is_heard(id)).count();
        let cause = Cause::LostMajority { heard, voters: voters.len() };
        self.follow(self.ballot.term, None, cause);
        false
    }

    fn look_after_disk(&mut self) {
        if !self.durable.is_stalled() {
            return;
        }
        let busy = self.leading().is_none_or(|leader| leader.transfer.is_some());
        match self.best_successor() {
            _ if busy => {}
            Some(successor) => self.start_transfer(successor, TransferCause::DiskStalled, None),
            None => self.event(Event::DiskStalled),
        }
    }

    /// Hands over to a member of higher priority that has been well for long enough.
    fn prefer(&mut self) {
        let rounds = self.config.preference_rounds.max(1);
        let Post::Leader(Leader { peers, transfer: None, .. }) = &self.post else {
            return;
        };
        let membership = self.log.membership();
        let own = if membership.voters.contains(&self.config.id) { membership.priority(self.config.id) } else { 0 };
        let preferred = peers
            .iter()
            .filter(|(id, peer)| membership.voters.contains(id) && peer.healthy_rounds() >= rounds)
            .filter(|(id, _)| membership.priority(**id) > own)
            .max_by_key(|(id, _)| (membership.priority(**id), std::cmp::Reverse(**id)))
            .map(|(&id, _)| id);
        if let Some(preferred) = preferred {
            self.start_transfer(preferred, TransferCause::Preferred, None);
        }
    }
}
