//! Changing who belongs: asked for here, carried through by whoever leads.
//!
//! A membership is in force from the moment it is *appended*, on every member, committed or not; a cut brings
//! the one before it back. A change of voters appends a joint membership; once that is committed, the leader
//! appends the settled one; once that is committed too, those who left are told so and forgotten, and a leader
//! who left hands over and stands down. A new leader that finds a joint membership finishes it. So a change
//! can no longer be lost once its *first* entry is committed, and that is the one that carries the tag.
//!
//! What a leader refuses to begin:
//! - anything before it committed an entry of its own term (its view of the last change may be behind);
//! - a second change before the first is committed;
//! - a new voter that is not caught up as a learner;
//! - a set of voters of which no majority is alive and caught up.

use std::collections::BTreeSet;

use crate::cause::{Cause, Event, TransferCause};
use crate::drain::Gate;
use crate::effects::Refusal;
use crate::membership::Membership;
use crate::message::Message;
use crate::mutants::mutated;
use crate::progress::Peer;
use crate::quorum;
use crate::raft::Raft;
use crate::roles::{Leader, Post};
use crate::types::{Body, NodeId, Payload, Tag};

impl<P: Payload> Raft<P> {
    /// Somebody here wants another membership.
    pub(crate) fn reconfigure(&mut self, tag: Tag, target: &Membership) {
        match self.refusal_of_change(target) {
            Some(refusal) => self.refuse(tag, refusal),
            None => {
                let step = self.log.membership().towards(target);
                let id = self.append(Body::Membership(Box::new(step)));
                self.note_proposal(id, tag);
            }
        }
    }

    fn refusal_of_change(&self, target: &Membership) -> Option<Refusal> {
        let Post::Leader(leader) = &self.post else {
            return Some(Refusal::NotLeader { hint: self.leader() });
        };
        if let Some(transfer) = &leader.transfer {
            return Some(Refusal::Transferring { to: transfer.to });
        }
        if !self.has_committed_in_term() && !mutated("R3") {
            return Some(Refusal::NotReady);
        }
        if self.is_changing() {
            return Some(Refusal::ChangeInFlight);
        }
        if let Err(why) = target.validate_target() {
            return Some(Refusal::Invalid(why));
        }
        let is_new = |id: &&NodeId| !self.log.membership().is_voter(**id);
        if let Some(&stranger) = target.voters.iter().filter(is_new).find(|id| !self.is_healthy(**id)) {
            return Some(Refusal::NotCaughtUp(stranger));
        }
        let healthy = target.voters.iter().filter(|&&id| self.is_healthy(id)).count();
        let needed = quorum::majority(target.voters.len());
        (healthy < needed).then_some(Refusal::WouldLoseQuorum { healthy, needed })
    }

    /// Whether a change is not through yet.
    fn is_changing(&self) -> bool {
        self.log.membership().is_joint() || (self.log.membership_index() > self.commit && !mutated("two-changes"))
    }

    /// Whether `id` is this member, or in contact and caught up.
    fn is_healthy(&self, id: NodeId) -> bool {
        let Post::Leader(leader) = &self.post else {
            return false;
        };
        id == self.config.id || leader.peers.get(&id).is_some_and(Peer::is_caught_up)
    }

    /// Makes learners voters that are to be, and are caught up.
    pub(crate) fn promote_learners(&mut self) {
        let Post::Leader(Leader { transfer: None, .. }) = &self.post else {
            return;
        };
        let membership = self.log.membership();
        let ripe = |id: NodeId| membership.learners[&id].promote && self.is_healthy(id);
        let learners: BTreeSet<NodeId> = membership.learners.keys().copied().filter(|&id| ripe(id)).collect();
        if learners.is_empty() {
            return;
        }
        let target = membership.promoted(&learners);
        if self.refusal_of_change(&target).is_none() {
            let step = membership.towards(&target);
            self.event(Event::Promoting(learners.into_iter().collect()));
            self.append(Body::Membership(Box::new(step)));
        }
    }

    /// The commit index moved: a change may take its next step.
    pub(crate) fn go_on_with_change(&mut self) {
        if !self.has_committed_in_term() || self.log.membership_index() > self.commit {
            return;
        }
        if self.log.membership().is_joint() {
            self.settle_change();
        } else if !self.log.membership().is_voter(self.config.id) {
            self.stand_down();
        }
    }

    /// The joint membership is committed: only the new voters decide from here on.
    fn settle_change(&mut self) {
        let settled = self.log.membership().settled();
        self.append(Body::Membership(Box::new(settled)));
        // A single voter that holds everything already may commit at once.
        self.advance_commit();
    }

    /// The ensemble has decided to go on without this leader.
    fn stand_down(&mut self) {
        let commit = self.commit_id();
        let Post::Leader(leader) = &self.post else {
            return;
        };
        let members = self.log.membership();
        let voters = leader.peers.iter().filter(|(id, _)| members.voters.contains(id));
        let successor = voters.max_by_key(|(_, peer)| (peer.matched(), peer.is_heard())).map(|(&id, _)| id);
        let peers: Vec<NodeId> = leader.peers.keys().copied().collect();
        for peer in peers {
            self.send(peer, Message::Commit { commit }, Gate::Now);
        }
        if let Some(to) = successor {
            self.event(Event::TransferStarted { to, why: TransferCause::Removed });
            self.send(to, Message::CampaignNow, Gate::Now);
        }
        self.follow(self.ballot.term, None, Cause::Removed);
    }

    /// Forgets peers that belong to no committed membership; the drain has just told them what is committed.
    pub(crate) fn part_with_removed(&mut self) {
        let Self { post: Post::Leader(leader), log, commit, .. } = self else {
            return;
        };
        if log.membership_index() <= *commit {
            leader.peers.retain(|&id, _| log.membership().contains(id));
        }
    }
}
