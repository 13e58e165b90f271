//! A follower's side: hearing the leader, making its own log equal to the leader's, noticing that it is gone.

use crate::cause::{Cause, Event};
use crate::drain::Gate;
use crate::effects::Rearm;
use crate::message::Message;
use crate::mutants::mutated;
use crate::raft::Raft;
use crate::roles::{Follower, Post};
use crate::types::{Entry, Index, LogId, NodeId, Payload};

impl<P: Payload> Raft<P> {
    /// Somebody speaks as the leader of the present term. Whether it can be.
    pub(crate) fn heard_leader(&mut self, from: NodeId) -> bool {
        match &mut self.post {
            Post::Follower(follower) if follower.leader == Some(from) => {
                follower.silent = false;
                follower.lost = false;
                self.owed.effects.timer = Some(Rearm::Election);
                true
            }
            Post::PreCandidate(canvass) if canvass.former.leader.is_some_and(|leader| leader != from) => {
                self.event(Event::Unsound { from });
                false
            }
            Post::Follower(Follower { leader: None, .. }) | Post::PreCandidate(_) | Post::Candidate(_) => {
                self.follow(self.ballot.term, Some(from), Cause::HeardLeader(from));
                true
            }
            // A second leader of one term: no correct member says so.
            Post::Follower(_) | Post::Leader(_) => {
                self.event(Event::Unsound { from });
                false
            }
        }
    }

    /// The leader sends entries, or asks whether `previous` is here.
    pub(crate) fn append_received(&mut self, leader: NodeId, previous: LogId, entries: Vec<Entry<P>>, commit: Index) {
        if previous.index < self.log.base().index {
            // What stands there is committed, so it is equal; the leader goes on from there.
            return self.owe_appended(self.commit);
        }
        let held = self.log.holds(previous) || mutated("gap-in-log") && previous.index <= self.log.last().index;
        if !held {
            let last = self.log.last().index.min(previous.index);
            let hint = self.log.last_of_term(last, previous.term);
            let rejected = Message::Rejected { previous: previous.index, hint };
            return self.send(leader, rejected, Gate::Now);
        }
        if self.log.first_conflict(previous.index, &entries).is_some_and(|conflict| conflict <= self.commit) {
            return self.event(Event::Unsound { from: leader });
        }
        let end = Index(previous.index.0 + entries.len() as u64);
        let spliced = self.log.splice(previous, entries);
        if let Some(cut) = spliced.cut {
            self.durable.cut(if mutated("written-by-place") { Index(u64::MAX) } else { cut.previous() });
        }
        if spliced.membership_changed {
            self.membership_changed();
        }
        self.note_repair();
        let vouched = if mutated("commit-past-append") { self.log.last().index } else { end };
        if commit.min(vouched) > self.commit {
            self.commit_to(commit.min(vouched));
        }
        self.owe_appended(end);
    }

    /// The log equals the leader's up to `matched`; the answer leaves when that is durable.
    fn owe_appended(&mut self, matched: Index) {
        if let Post::Follower(follower) = &mut self.post {
            follower.appended = follower.appended.max(Some(matched));
        }
    }

    /// The leader lives, and says what is committed.
    pub(crate) fn heartbeat_received(&mut self, commit: LogId, round: u64) {
        self.commit_received(commit);
        if let Post::Follower(follower) = &mut self.post {
            follower.alive = follower.alive.max(Some(round));
        }
    }

    /// The leader says what is committed. Holding that very entry is holding all before it as the leader does.
    pub(crate) fn commit_received(&mut self, commit: LogId) {
        let held = self.log.holds(commit) || mutated("commit-by-place") && commit.index <= self.log.last().index;
        if commit.index > self.commit && held {
            self.commit_to(commit.index);
        }
    }

    /// A connection broke.
    pub(crate) fn connection_lost(&mut self, peer: NodeId) {
        match &mut self.post {
            Post::Follower(follower) if follower.leader == Some(peer) => {
                if !follower.lost {
                    follower.lost = true;
                    self.owed.effects.timer = Some(Rearm::Quick);
                    self.event(Event::LostLeader(peer));
                }
            }
            Post::PreCandidate(canvass) if canvass.former.leader == Some(peer) => {
                canvass.former.lost = true;
            }
            Post::Leader(leader) => {
                if let Some(peer) = leader.peers.get_mut(&peer) {
                    peer.interrupt();
                }
            }
            Post::Follower(_) | Post::PreCandidate(_) | Post::Candidate(_) => {}
        }
    }

    /// There is a connection again. A follower waits for the leader's own word all the same: a process that
    /// was restarted connects too, but leads no more.
    pub(crate) fn connected(&mut self, peer: NodeId) {
        if let Post::Leader(leader) = &mut self.post
            && let Some(peer) = leader.peers.get_mut(&peer)
        {
            peer.resume();
        }
    }
}
