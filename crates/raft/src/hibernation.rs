//! Hibernation: an idle group stops its timers, so that a node can carry thousands of them.
//!
//! A leader whose group had nothing to do for [`Config::hibernate_rounds`](crate::Config::hibernate_rounds) rounds,
//! while every other member was heard and holds everything, asks all of them to sleep. Each that agrees stops its
//! timers and says so; once all have, the leader stops its own: no heartbeats, no questions whether it should still
//! lead. If one does not agree before the next heartbeat, the heartbeat wakes the others.
//!
//! Nearly everything wakes a sleeper: requests, messages, the loss of a connection that matters. A leader that
//! wakes says so to all at once. A follower that is woken by anybody else calls its leader, for it will now
//! expect to hear it.
//!
//! Nothing of this is about safety. Terms, votes and logs stay as they are, a sleeping leader commits nothing
//! and confirms no read: both take a round of messages, and asking for one wakes. What sleeps on is only the
//! *noticing*: that a leader is gone is seen by who loses the connection to it, which is the node's to tell,
//! once for all its groups. Hence it is off unless somebody asks for it. It leaves no line in the diary, which
//! thousands of groups would drown; [`Status::asleep`](crate::Status::asleep) shows it.

use std::collections::BTreeSet;

use crate::drain::Gate;
use crate::effects::Rearm;
use crate::input::Input;
use crate::message::Message;
use crate::mutants::mutated;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::roles::{Leader, Post};
use crate::types::{Index, LogId, NodeId, Payload};

/// How far a leader is on its way to sleep.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Rest {
    /// It works, or waits for work.
    Awake {
        /// For how many rounds in a row there was nothing to do.
        idle_rounds: u32,
        /// The end of the log and the newest round of reads when the last round ended: any work moves one of them.
        mark: (Index, u64),
    },
    /// It asked everybody to sleep.
    Asking {
        /// Who does already.
        asleep: BTreeSet<NodeId>,
    },
    /// All sleep.
    Asleep,
}

impl Default for Rest {
    fn default() -> Self {
        Self::Awake { idle_rounds: 0, mark: (Index::ZERO, 0) }
    }
}

impl<P: Payload> Raft<P> {
    /// Whether this member's timers stand still until something happens to it.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        match &self.post {
            Post::Follower(follower) => follower.asleep,
            Post::Leader(leader) => leader.rest == Rest::Asleep,
            Post::PreCandidate(_) | Post::Candidate(_) => false,
        }
    }

    /// Something happens to a sleeper: wakes it, unless this is nothing that it must be awake for.
    pub(crate) fn rouse(&mut self, input: &Input<P>) {
        let leader = self.leader();
        let sleeps_on = match input {
            Input::Written(_) | Input::Compact(_) | Input::SnapshotSent { .. } => true,
            Input::ConnectionLost(peer) | Input::Connected(peer) => {
                leader != Some(self.config.id) && leader != Some(*peer)
            }
            Input::Received(envelope) => match envelope.message {
                Message::Sleep { .. } => leader == Some(envelope.from) && envelope.term == self.ballot.term,
                Message::Asleep => true,
                _ => false,
            },
            _ => false,
        };
        if !sleeps_on {
            let called = matches!(input, Input::Received(envelope) if leader == Some(envelope.from));
            let lost = matches!(input, Input::ConnectionLost(_));
            self.wake(!called && !lost);
        }
    }

    /// Starts the timers again. A leader tells everybody; a follower calls its leader, if that is of use.
    fn wake(&mut self, call: bool) {
        self.owed.effects.timer = Some(Rearm::Election);
        match &mut self.post {
            Post::Follower(follower) => {
                follower.asleep = false;
                if let Some(leader) = follower.leader.filter(|_| call) {
                    self.send(leader, Message::Wake, Gate::Now);
                }
            }
            Post::Leader(leader) => {
                leader.rest = Rest::default();
                // Everybody has the time of one round to be heard, or this leader leads no longer.
                leader.peers.values_mut().for_each(Peer::begin_round);
                self.heartbeat_due();
            }
            Post::PreCandidate(_) | Post::Candidate(_) => {}
        }
    }

    /// A round of the leader ended: was there anything to do in it?
    pub(crate) fn consider_sleep(&mut self) {
        let limit = self.config.hibernate_rounds;
        let idle = limit > 0 && self.is_idle();
        let (last, commit) = (self.log.last().index, self.commit_id());
        let Some(leader) = self.leading() else { return };
        let mark = (last, leader.reads.issued());
        let idle_rounds = match leader.rest {
            Rest::Awake { idle_rounds, mark: before } if idle && before == mark => idle_rounds.saturating_add(1),
            _ => 0,
        };
        leader.rest = Rest::Awake { idle_rounds, mark };
        if limit == 0 || idle_rounds < limit {
            return;
        }
        let peers: Vec<NodeId> = leader.peers.keys().copied().collect();
        leader.rest = Rest::Asking { asleep: BTreeSet::new() };
        for peer in peers {
            self.send(peer, Message::Sleep { commit }, Gate::Now);
        }
        self.sleep_if_all_do();
    }

    /// Whether nothing is to be done, here or at anybody else's.
    fn is_idle(&self) -> bool {
        let last = self.log.last().index;
        let Post::Leader(Leader { peers, reads, transfer: None, .. }) = &self.post else {
            return false;
        };
        let membership = self.log.membership();
        let own = membership.priority(self.config.id);
        let preferred = membership.voters.iter().any(|&id| membership.priority(id) > own);
        let here = self.commit == last && self.durable.to() == last && self.durable.pending() == 0;
        here && !preferred
            && !membership.is_joint()
            && self.has_committed_in_term()
            && reads.count() == 0
            && peers.values().all(|peer| peer.has_everything(last))
    }

    /// The leader asks this member to sleep.
    pub(crate) fn sleep_asked(&mut self, leader: NodeId, commit: LogId) {
        self.commit_received(commit);
        let last = self.log.last();
        let written = self.durable.to() == last.index && self.durable.pending() == 0 && !self.owed.ballot;
        let done = written && self.missing.is_none();
        let holds_all = last == commit && self.commit == commit.index && done;
        if let Post::Follower(follower) = &mut self.post
            && holds_all
        {
            follower.asleep = true;
            follower.alive = None;
            self.owed.effects.timer = Some(Rearm::Rest);
            self.send(leader, Message::Asleep, Gate::Now);
        }
    }

    /// A member sleeps. (If it woke meanwhile and this is old news, it will call.)
    pub(crate) fn asleep_told(&mut self, from: NodeId) {
        let Some(leader) = self.leading() else { return };
        let Some(peer) = leader.peers.get_mut(&from) else {
            return;
        };
        peer.heard();
        if let Rest::Asking { asleep } = &mut leader.rest {
            asleep.insert(from);
            self.sleep_if_all_do();
        }
    }

    fn sleep_if_all_do(&mut self) {
        let idle = self.is_idle();
        let Some(leader) = self.leading() else { return };
        let Rest::Asking { asleep } = &leader.rest else {
            return;
        };
        let all = leader.peers.keys().all(|peer| asleep.contains(peer)) || mutated("sleep-without-consent");
        if idle && all {
            leader.rest = Rest::Asleep;
            self.owed.effects.timer = Some(Rearm::Rest);
        }
    }
}
