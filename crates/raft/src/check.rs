//! The invariants of a member, all at once. Costs the length of the log: for tests and simulations.

use crate::hibernation::Rest;
use crate::progress::Peer;
use crate::quorum;
use crate::raft::Raft;
use crate::roles::{Leader, Post};
use crate::types::{Entry, Index, Payload};

impl<P: Payload> Raft<P> {
    /// Asserts everything that must hold between two steps.
    ///
    /// # Panics
    /// Something does not hold; the message says what.
    pub fn check(&self) {
        self.log.check();
        self.check_order();
        match &self.post {
            Post::Follower(follower) => {
                assert!(follower.leader != Some(self.config.id), "it follows itself");
                let done = self.commit == self.log.last().index && self.durable.pending() == 0;
                assert!(!follower.asleep || done, "it sleeps with work to do");
            }
            Post::PreCandidate(canvass) => {
                assert!(canvass.granted.contains(&self.config.id), "a pre-candidate is for itself");
            }
            Post::Candidate(_) => {
                assert!(self.ballot.vote == Some(self.config.id), "a candidate votes for itself");
            }
            Post::Leader(leader) => self.check_leader(leader),
        }
    }

    /// The order of places and terms.
    fn check_order(&self) {
        let (base, last) = (self.log.base(), self.log.last());
        assert!(base.index <= self.applied, "the base {base} is beyond what was applied, {}", self.applied);
        assert!(self.applied <= self.commit, "applied {} beyond committed {}", self.applied, self.commit);
        assert!(self.commit <= last.index, "committed {} beyond the log's end {last}", self.commit);
        assert!(last.term <= self.ballot.term, "the log's end {last} is of a later term than {}", self.ballot.term);
        assert!(self.durable.to() <= last.index, "durable to {} beyond the log's end {last}", self.durable.to());
        assert!(self.durable.ballot().term <= self.ballot.term, "the durable ballot is ahead");
        let first = self.proposals.first().unwrap_or(Index(u64::MAX));
        assert!(first > self.applied, "the proposal for place {first} was decided and not reported");
    }

    /// What a leader relies on.
    fn check_leader(&self, leader: &Leader) {
        let (durable, last) = (self.durable.ballot(), self.log.last().index);
        assert!(durable == self.ballot, "it leads term {} with {durable} durable", self.ballot.term);
        leader.peers.values().for_each(|peer| peer.check(last));
        let done = self.commit == last && leader.reads.count() == 0 && leader.transfer.is_none();
        assert!(leader.rest != Rest::Asleep || done, "it sleeps with work to do");
        let own = self.config.id;
        let held = |id| {
            if id == own { self.durable.to() } else { leader.peers.get(&id).map_or(Index::ZERO, Peer::matched) }
        };
        let agreed = quorum::agreed(self.log.membership(), held);
        let in_term = self.log.term_at(agreed) == Some(self.ballot.term);
        assert!(!in_term || agreed <= self.commit, "{agreed} is agreed, but only {} committed", self.commit);
        let places = self.commit.0 + 1..=last.0;
        let weight: usize = places.filter_map(|place| self.log.get(Index(place))).map(Entry::weight).sum();
        assert!(weight == leader.uncommitted_weight, "the uncommitted entries weigh {weight}");
    }
}
