//! Snapshots, as far as consensus is concerned: when the log starts later, and when a peer needs one.
//!
//! Making, sending and loading them is the driver's; the core only learns that it was done.

use crate::cause::{Cause, Event};
use crate::effects::Refusal;
use crate::message::is_sound_id;
use crate::mutants::mutated;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{Index, LogId, NodeId, Payload, SnapshotMeta, Term};

impl<P: Payload> Raft<P> {
    /// Forgets what a snapshot of the state covers.
    pub(crate) fn compact(&mut self, index: Index) {
        if index > self.log.base().index && index <= self.applied {
            self.log.compact(index);
        }
    }

    /// Continues behind a snapshot that a leader sent.
    pub(crate) fn install(&mut self, meta: SnapshotMeta) {
        let last = meta.last;
        if last.index <= self.commit || !self.can_be_true(&meta) {
            return;
        }
        if last.term > self.ballot.term {
            // The snapshot was quicker than any message of that term.
            self.follow(last.term, None, Cause::SnapshotOfLaterTerm(last.term));
        }
        let membership_before = self.log.membership().clone();
        if self.log.holds(last) {
            self.commit_to(last.index);
            self.log.rebase(meta);
        } else {
            let kept = if mutated("snapshot-vouches-for-tail") { last.index } else { self.log.base().index };
            self.durable.cut(kept);
            self.log.rebase(meta);
            self.commit_to(last.index);
        }
        self.applied = last.index;
        self.owed.effects.installed = Some(last);
        while let Some((_, tag)) = self.proposals.take_upto(last.index) {
            self.refuse(tag, Refusal::Covered);
        }
        self.event(Event::SnapshotInstalled(last));
        if *self.log.membership() != membership_before {
            self.membership_changed();
        }
        self.note_repair();
    }

    /// Whether a snapshot can be of this ensemble. A leader holds everything that is committed, so no snapshot
    /// of its own or an earlier term goes beyond its log.
    fn can_be_true(&self, meta: &SnapshotMeta) -> bool {
        let beyond_leader =
            matches!(self.post, Post::Leader(_)) && meta.last.term <= self.ballot.term && !self.log.holds(meta.last);
        is_sound_id(meta.last)
            && meta.last.term < Term(u64::MAX)
            && meta.membership.validate().is_ok()
            && !beyond_leader
    }

    /// What became of a snapshot that a peer needed.
    pub(crate) fn snapshot_sent(&mut self, to: NodeId, at: LogId, delivered: bool) {
        let last = self.log.last().index;
        if let Some(peer) = self.leading().and_then(|leader| leader.peers.get_mut(&to)) {
            peer.snapshot_sent((delivered && at.index <= last).then_some(at.index));
        }
    }
}
