//! Questions on their way to whoever leads, and the answers on their way back. The leader asks itself the same way it
//! is asked by others. It may not know how a question is decided.

use raft::{Index, Input, NodeId};
use state::LeaseId;

use super::Member;
use super::asking::Asker;
use super::leading::Told;
use crate::Now;
use crate::message::{Decline, Outcome, PeerMessage, Question};

impl Member {
    pub(super) fn received(&mut self, now: Now, from: NodeId, message: PeerMessage) {
        self.story.heard(from);
        match message {
            PeerMessage::Raft(envelope) => self.raft.step(Input::Received(envelope)),
            PeerMessage::Ask { number, term, question } => {
                let asker = Asker { member: from, number };
                // Only in the term it was meant for: the questions before it went to the leader of that term.
                if self.leading.as_ref().is_some_and(|leading| leading.term.0 == term) {
                    self.answer(now, asker, question);
                } else {
                    self.tell(vec![(asker, Outcome::Declined(Decline::NotLeader))]);
                }
            }
            PeerMessage::Tell { number, outcome } => self.told(now, from, number, outcome),
            PeerMessage::Touch { leases } => self.touched_here(&leases),
            PeerMessage::Ping { number } => self.effects.send.push((from, PeerMessage::Pong { number })),
            PeerMessage::Pong { number } => self.story.answered(from, number),
            PeerMessage::Digest { index, hash } => {
                if let Err(divergence) = self.digests.told(index, hash) {
                    self.diverged(now, divergence);
                }
            }
            PeerMessage::WantState { above } => self.state_wanted(from, Index(above)),
        }
    }

    /// A question came to this leader.
    fn answer(&mut self, now: Now, asker: Asker, question: Question) {
        let patience = self.asking.timeout();
        let Some(leading) = &mut self.leading else { return };
        match question {
            Question::Decide { protocol, request } => leading.request(asker, protocol, request, now, patience),
            Question::Barrier => leading.ask_read(asker),
            Question::Lease { lease, renew } => leading.ask_lease(asker, lease, renew, self.clock.awake()),
            Question::Change(change) => self.change_members(now, asker, change),
            Question::Lead { to } => self.hand_over(asker, to),
        }
    }

    pub(super) fn touched(&mut self, leases: Vec<LeaseId>) {
        match self.standing.leader {
            _ if self.leading.is_some() => self.touched_here(&leases),
            Some(leader) if self.connected.contains(&leader) => {
                self.effects.send.push((leader, PeerMessage::Touch { leases }));
            }
            // Without a leader nobody counts the time; the next one begins with full time for all.
            _ => {}
        }
    }

    fn touched_here(&mut self, leases: &[LeaseId]) {
        if let Some(leading) = &mut self.leading {
            for &lease in leases {
                leading.heard(lease, self.clock.awake());
            }
        }
    }

    /// Lets questions go to the leader, if there is one and a way to it.
    pub(super) fn ask_leader(&mut self, now: Now) {
        let Some(leader) = self.standing.leader else { return };
        if !self.asking.has_unsent() || now.nanoseconds < self.ask_again_at {
            return;
        }
        if self.leading.is_some() {
            for (number, question) in self.asking.send(false) {
                self.answer(now, Asker { member: self.options.id, number }, question);
            }
        } else if self.connected.contains(&leader) {
            for (number, question) in self.asking.send(true) {
                let term = self.standing.term.0;
                self.effects.send.push((leader, PeerMessage::Ask { number, term, question }));
            }
        }
    }

    /// An answer of the leader to a question of this member.
    fn told(&mut self, now: Now, from: NodeId, number: u64, outcome: Outcome) {
        let declined = outcome == Outcome::Declined(Decline::NotLeader);
        if declined && self.standing.leader == Some(from) && self.asking.awaits(number) {
            // Whoever declines is about to say who leads, or will lead on (a hand-over that failed).
            self.ask_again_at = now.nanoseconds.saturating_add(self.options.pacing().heartbeat);
        }
        self.asking.told(number, outcome, self.applied.0);
    }

    pub(super) fn tell_from(&mut self, now: Now, told: Vec<Told>) {
        let (own, others): (Vec<Told>, Vec<Told>) =
            told.into_iter().partition(|(asker, _)| asker.member == self.options.id);
        for (asker, outcome) in own {
            self.told(now, asker.member, asker.number, outcome);
        }
        self.tell(others);
    }

    fn tell(&mut self, told: Vec<Told>) {
        for (asker, outcome) in told {
            self.effects.send.push((asker.member, PeerMessage::Tell { number: asker.number, outcome }));
        }
    }
}
