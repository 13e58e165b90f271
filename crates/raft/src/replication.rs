//! A leader's side: appending, sending to each peer at its own pace, counting answers, committing.
//!
//! Only an entry of the leader's own term is ever committed by counting; those before it are committed with
//! it. The leader's own disk is one among others: it counts when it is written, and its appends to peers
//! wait for nothing.

use std::collections::BTreeMap;

use crate::cause::{Cause, Event};
use crate::drain::{Gate, Owed};
use crate::effects::{Rearm, Refusal};
use crate::hibernation::Rest;
use crate::log::Log;
use crate::message::{Envelope, Message};
use crate::mutants::mutated;
use crate::progress::{Flow, Peer};
use crate::quorum;
use crate::raft::Raft;
use crate::reads::Reads;
use crate::roles::{Leader, Post};
use crate::types::{Body, Config, Entry, Index, LogId, NodeId, Payload, Tag, Term};

impl<P: Payload> Raft<P> {
    /// Takes office: every peer is probed, and an entry of this term is appended, whose commit tells how
    /// much of the log is committed.
    pub(crate) fn lead(&mut self, cause: Cause) {
        assert!(self.durable.ballot() == self.ballot, "a leader's own vote is durable");
        let last = self.log.last().index;
        let uncommitted = (self.commit.0 + 1..=last.0).filter_map(|place| self.log.get(Index(place)));
        let leader = Leader {
            peers: BTreeMap::new(),
            reads: Reads::default(),
            transfer: None,
            rest: Rest::default(),
            uncommitted_weight: uncommitted.map(Entry::weight).sum(),
        };
        self.stand(Post::Leader(leader), cause);
        self.owed.effects.timer = Some(Rearm::Election);
        self.meet_members();
        self.append(Body::Noop);
    }

    /// Knows a peer for every other member in force.
    pub(crate) fn meet_members(&mut self) {
        let (own, last) = (self.config.id, self.log.last().index);
        let members = self.log.membership().members();
        if let Some(leader) = self.leading() {
            for id in members {
                if id != own {
                    leader.peers.entry(id).or_insert_with(|| Peer::new(last));
                }
            }
        }
    }

    /// Appends an entry of the present term.
    pub(crate) fn append(&mut self, body: Body<P>) -> LogId {
        let changes_membership = matches!(body, Body::Membership(_));
        let entry = Entry { term: self.ballot.term, body };
        let weight = entry.weight();
        let id = self.log.append(entry);
        let leader = self.leading().expect("only a leader appends");
        leader.uncommitted_weight += weight;
        if changes_membership {
            self.membership_changed();
            self.meet_members();
        }
        id
    }

    /// Somebody here wants a payload in the log.
    pub(crate) fn propose(&mut self, tag: Tag, payload: P) {
        if let Err(refusal) = self.accepts() {
            return self.refuse(tag, refusal);
        }
        let id = self.append(Body::Command(payload));
        self.note_proposal(id, tag);
    }

    /// Whether a proposal made now is appended, or why not.
    pub(crate) fn accepts(&self) -> Result<(), Refusal> {
        let Post::Leader(leader) = &self.post else {
            return Err(Refusal::NotLeader { hint: self.leader() });
        };
        if let Some(to) = leader.transfer.as_ref().map(|transfer| transfer.to) {
            return Err(Refusal::Transferring { to });
        }
        let (waiting, limit) = (leader.uncommitted_weight, self.config.max_uncommitted_weight);
        if waiting >= limit { Err(Refusal::Busy { waiting, limit }) } else { Ok(()) }
    }

    /// Remembers whose entry this is.
    pub(crate) fn note_proposal(&mut self, id: LogId, tag: Tag) {
        self.proposals.note(id, tag);
        self.owed.effects.proposed.push((tag, id.index, id.term));
    }

    /// A peer's log equals this one up to `matched`.
    pub(crate) fn appended(&mut self, from: NodeId, matched: Index) {
        let (base, last) = (self.log.base().index, self.log.last().index);
        let Some(peer) = self.leading().and_then(|leader| leader.peers.get_mut(&from)) else {
            return;
        };
        if matched > last {
            return self.event(Event::Unsound { from });
        }
        peer.heard();
        peer.appended(matched, base);
        self.advance_commit();
        self.promote_learners();
        self.push_transfer();
    }

    /// A peer does not have the entry at `previous`; up to `hint` its log may agree.
    pub(crate) fn rejected(&mut self, from: NodeId, previous: Index, hint: LogId) {
        let agree = self.log.last_of_term(hint.index, hint.term).index;
        if let Some(peer) = self.leading().and_then(|leader| leader.peers.get_mut(&from)) {
            peer.heard();
            peer.rejected(previous, agree);
        }
    }

    /// A peer follows, and did so when this round reached it.
    pub(crate) fn alive(&mut self, from: NodeId, round: u64) {
        let Some(leader) = self.leading() else { return };
        let Some(peer) = leader.peers.get_mut(&from) else {
            return;
        };
        if round > leader.reads.issued() {
            return self.event(Event::Unsound { from });
        }
        peer.heard();
        peer.resume();
        peer.round = peer.round.max(round);
        self.answer_reads();
    }

    /// Commits what a majority holds durably.
    pub(crate) fn advance_commit(&mut self) {
        let Post::Leader(leader) = &self.post else {
            return;
        };
        let own = self.config.id;
        let durable = if mutated("R17") { self.log.last().index } else { self.durable.to() };
        let held = |id| {
            if id == own { durable } else { leader.peers.get(&id).map_or(Index::ZERO, Peer::matched) }
        };
        let agreed = quorum::agreed(self.deciding_membership(), held);
        if agreed > self.commit && (self.log.term_at(agreed) == Some(self.ballot.term) || mutated("R1")) {
            self.commit_to(agreed);
            self.go_on_with_change();
        }
    }

    /// The heartbeat timer ran out.
    pub(crate) fn heartbeat_due(&mut self) {
        let commit = self.commit_id();
        let Post::Leader(leader) = &mut self.post else {
            return;
        };
        if matches!(leader.rest, Rest::Asking { .. }) {
            // Not everybody agreed in time, and what follows wakes those who did.
            leader.rest = Rest::default();
        }
        let heartbeat = Message::Heartbeat { commit, round: leader.reads.issued() };
        let mut messages = Vec::new();
        for (&id, peer) in &mut leader.peers {
            messages.push((id, heartbeat.clone()));
            let nudge = peer.needs_nudge().then(|| peer.sent_to()).flatten();
            if let Some(previous) = nudge.and_then(|index| self.log.id_at(index)) {
                messages.push((id, Message::Append { previous, entries: Vec::new(), commit: commit.index }));
            }
        }
        for (id, message) in messages {
            self.send(id, message, Gate::Now);
        }
        self.repeat_transfer();
    }

    /// The last committed entry.
    pub(crate) fn commit_id(&self) -> LogId {
        self.log.id_at(self.commit).expect("the commit index is within the log")
    }

    /// Sends each peer what it needs and may get.
    pub(crate) fn cut_appends(&mut self) {
        let commit = self.commit_id();
        let Self { post: Post::Leader(leader), config, log, ballot, owed, .. } = self else {
            return;
        };
        let mut desk = Desk { config, log, term: ballot.term, commit, owed };
        for (&id, peer) in &mut leader.peers {
            desk.serve(id, peer);
        }
        self.part_with_removed();
    }
}

/// Where appends are cut: all that this needs of the leader, so that peers can be changed meanwhile.
struct Desk<'a, P> {
    config: &'a Config,
    log: &'a Log<P>,
    term: Term,
    commit: LogId,
    owed: &'a mut Owed<P>,
}

impl<P: Payload> Desk<'_, P> {
    fn serve(&mut self, id: NodeId, peer: &mut Peer) {
        let (base, matched) = (self.log.base().index, peer.matched());
        match &mut peer.flow {
            Flow::Probe { waiting: true, .. } | Flow::Snapshot => {}
            Flow::Probe { next, waiting, again } if *again || next.previous() >= base => {
                let from = (*next).max(base.next());
                let entries = if *again { Vec::new() } else { self.log.slice(from, self.config.max_append_weight).0 };
                (*next, *waiting) = (from, true);
                self.send_append(id, from.previous(), entries);
            }
            Flow::Stream { next, .. } if next.previous() >= base => self.stream(id, peer),
            Flow::Probe { .. } | Flow::Stream { .. } => {
                peer.flow = Flow::Snapshot;
                self.owed.effects.snapshots.push(id);
                self.owed.effects.events.push(Event::SnapshotNeeded { by: id, matched });
            }
        }
    }

    /// Fills the window; if there is nothing to send, tells what is newly committed.
    fn stream(&mut self, id: NodeId, peer: &mut Peer) {
        let Flow::Stream { next, inflight, .. } = &mut peer.flow else {
            return;
        };
        let last = self.log.last().index;
        while *next <= last && inflight.has_room(self.config.window_weight, self.config.window_messages) {
            let (entries, weight) = self.log.slice(*next, self.config.max_append_weight);
            let previous = next.previous();
            *next = Index(next.0 + entries.len() as u64);
            inflight.sent(next.previous(), weight);
            peer.commit_told = self.commit.index.min(next.previous());
            self.send_append(id, previous, entries);
        }
        if peer.commit_told < self.commit.index && *next > self.commit.index {
            peer.commit_told = self.commit.index;
            self.send(id, Message::Commit { commit: self.commit });
        }
    }

    fn send_append(&mut self, to: NodeId, previous: Index, entries: Vec<Entry<P>>) {
        let previous = self.log.id_at(previous).expect("checked against the base");
        self.send(to, Message::Append { previous, entries, commit: self.commit.index });
    }

    fn send(&mut self, to: NodeId, message: Message<P>) {
        let envelope = Envelope { from: self.config.id, to, term: self.term, message };
        self.owed.messages.push((Gate::Now, envelope));
    }
}
