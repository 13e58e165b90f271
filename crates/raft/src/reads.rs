//! Linearizable reads without a log entry: the leader proves that it still leads *after* the read arrived.
//!
//! All reads since the last drain share one round. Its number goes out with a heartbeat and comes back with
//! each peer's answer; once a majority has answered it, the leader still led when the round began, so its
//! commit index of that moment covers everything that anybody was told before. Numbers are never used twice
//! in a term, and messages carry the term, so no answer can be taken for another's.
//!
//! No round begins before an entry of the leader's own term is committed: until then its commit index may be
//! behind what an earlier leader acknowledged.

use std::collections::VecDeque;

use crate::drain::Gate;
use crate::effects::Refusal;
use crate::message::Message;
use crate::mutants::mutated;
use crate::quorum;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{Index, NodeId, Payload, Tag};

/// A leader's unanswered reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Reads {
    /// The newest round begun. Rounds count from 1.
    issued: u64,
    /// Reads that no round was begun for.
    waiting: Vec<Tag>,
    /// Rounds begun and not confirmed, in order.
    rounds: VecDeque<Round>,
    /// How many reads are in `waiting` and `rounds`.
    count: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Round {
    number: u64,
    index: Index,
    tags: Vec<Tag>,
}

impl Reads {
    /// The newest round begun.
    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }

    /// How many reads are unanswered.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl<P: Payload> Raft<P> {
    /// Somebody here wants to read.
    pub(crate) fn read(&mut self, tag: Tag) {
        let (limit, hint) = (self.config.max_reads, self.leader());
        let Some(leader) = self.leading() else {
            return self.refuse(tag, Refusal::NotLeader { hint });
        };
        let waiting = leader.reads.count;
        if waiting >= limit {
            return self.refuse(tag, Refusal::Busy { waiting, limit });
        }
        leader.reads.waiting.push(tag);
        leader.reads.count += 1;
    }

    /// Begins a round for the reads that came since the last drain.
    pub(crate) fn cut_read_round(&mut self) {
        let commit = self.commit_id();
        let allowed = self.has_committed_in_term() || mutated("R18");
        let Some(leader) = self.leading() else { return };
        if !allowed || leader.reads.waiting.is_empty() {
            return;
        }
        let reads = &mut leader.reads;
        reads.issued += u64::from(!mutated("R10") || reads.issued == 0);
        let tags = std::mem::take(&mut reads.waiting);
        reads.rounds.push_back(Round { number: reads.issued, index: commit.index, tags });
        let heartbeat = Message::Heartbeat { commit, round: reads.issued };
        let peers: Vec<NodeId> = leader.peers.keys().copied().collect();
        for peer in peers {
            if self.log.membership().is_voter(peer) {
                self.send(peer, heartbeat.clone(), Gate::Now);
            }
        }
        self.answer_reads();
    }

    /// Answers the reads of every round that a majority confirmed.
    pub(crate) fn answer_reads(&mut self) {
        let own = self.config.id;
        let Post::Leader(leader) = &mut self.post else {
            return;
        };
        let issued = leader.reads.issued;
        let round_of = |id| {
            if id == own { issued } else { leader.peers.get(&id).map_or(0, |peer| peer.round) }
        };
        let confirmed = quorum::agreed(self.log.membership(), round_of);
        while let Some(round) = leader.reads.rounds.pop_front() {
            if round.number > confirmed {
                leader.reads.rounds.push_front(round);
                break;
            }
            leader.reads.count -= round.tags.len();
            self.owed.effects.reads.extend(round.tags.into_iter().map(|tag| (tag, round.index)));
        }
    }

    /// This member leads no more: nobody here can answer its reads.
    pub(crate) fn refuse_reads(&mut self, hint: Option<NodeId>) {
        let Some(leader) = self.leading() else { return };
        let Reads { waiting, rounds, .. } = std::mem::take(&mut leader.reads);
        for tag in rounds.into_iter().flat_map(|round| round.tags).chain(waiting) {
            self.refuse(tag, Refusal::NotLeader { hint });
        }
    }
}
