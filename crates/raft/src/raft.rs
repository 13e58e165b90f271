//! One member of one group: the value itself, its one door in, and what every message passes first.
//!
//! What a member does in each role stands in the files named after the concepts: `election`, `following`,
//! `replication`, `reads`, `reconfiguration`, `snapshots`, `transfer`. This file may not know any of that.

use crate::cause::{Cause, Event};
use crate::disk::Recovered;
use crate::drain::{Gate, Owed};
use crate::durable::Durable;
use crate::effects::{Rearm, Refusal, Role, Standing};
use crate::input::Input;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{Envelope, Message, VoteRefusal};
use crate::mutants::mutated;
use crate::proposals::Proposals;
use crate::roles::{Follower, Leader, Post};
use crate::types::{Ballot, Config, Entry, Index, LogId, NodeId, Payload, Tag, Ticket};

/// One member of one group. A plain value: no handles, no clock, no generics beyond the payload.
///
/// Invariants, held by every step and asserted by [`check`](Raft::check):
/// - the term never goes back, and a vote never changes within a term;
/// - `base <= applied <= commit <= last`, and `commit` never goes back;
/// - nothing at or below `commit` is ever cut;
/// - a leader never cuts its own log;
/// - what is counted for this member towards a majority is durable.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Raft<P> {
    pub(crate) config: Config,
    pub(crate) ballot: Ballot,
    pub(crate) log: Log<P>,
    pub(crate) durable: Durable,
    /// What the disk lost and no leader has brought back yet.
    pub(crate) missing: Option<LogId>,
    pub(crate) commit: Index,
    /// How far entries were handed out to apply.
    pub(crate) applied: Index,
    pub(crate) post: Post,
    /// What the world was told last.
    pub(crate) standing: Standing,
    /// Tags of entries appended by this member as a leader, until what stands there is committed.
    pub(crate) proposals: Proposals,
    pub(crate) owed: Owed<P>,
}

impl<P: Payload> Raft<P> {
    /// The member that left this behind on its disk.
    ///
    /// A snapshot that ends before the log starts cannot be continued from: the driver must not come with one.
    #[must_use]
    pub fn restore(config: Config, recovered: Recovered<P>) -> Self {
        let Recovered { ballot, mut base, entries, loaded, missing } = recovered;
        if base.last.index == Index::ZERO {
            base.membership = config.initial.clone();
        }
        let mut log = Log::restore(base, entries);
        let mut durable = Durable::restore(ballot, log.last().index);
        let mut commit = log.base().index;
        if let Some(loaded) = loaded.filter(|loaded| loaded.last.index > commit) {
            commit = loaded.last.index;
            if !log.holds(loaded.last) {
                // The snapshot was installed, but the crash came before the log took note.
                durable.cut(log.base().index);
                log.rebase(loaded);
            }
        }
        let term = ballot.term.max(log.last().term);
        let standing = Standing { role: Role::Follower, term, leader: None, cause: Cause::Started };
        let mut raft = Self {
            ballot: if term > ballot.term || mutated("vote-forgotten") { Ballot::unvoted(term) } else { ballot },
            log,
            durable,
            missing,
            commit,
            applied: commit,
            post: Post::Follower(Follower::default()),
            standing,
            proposals: Proposals::default(),
            owed: Owed { ballot: term > ballot.term, ..Owed::default() },
            config,
        };
        raft.start();
        raft
    }

    /// The first things that the world is told.
    fn start(&mut self) {
        self.standing.role = self.role();
        self.owed.effects.standing = Some(self.standing.clone());
        self.event(Event::Stands(self.standing.clone()));
        let alone = self.standing.role == Role::Follower && self.log.membership().all_voters().len() == 1;
        self.owed.effects.timer = Some(if alone { Rearm::Quick } else { Rearm::Election });
        self.note_repair();
    }

    /// Something happened. Never fails, never blocks; what follows from it is owed to the next drain.
    pub fn step(&mut self, input: Input<P>) {
        if self.is_asleep() {
            self.rouse(&input);
        }
        match input {
            Input::ElectionDue => self.election_due(),
            Input::LeaderSilent => self.leader_silent(),
            Input::HeartbeatDue => self.heartbeat_due(),
            // Being an input, it has woken whoever slept.
            Input::Wake => {}
            Input::Received(envelope) => self.receive(envelope),
            Input::ConnectionLost(peer) => self.connection_lost(peer),
            Input::Connected(peer) => self.connected(peer),
            Input::Written(ticket) => self.written(ticket),
            Input::Propose(tag, payload) => self.propose(tag, payload),
            Input::Reconfigure(tag, target) => self.reconfigure(tag, &target),
            Input::Read(tag) => self.read(tag),
            Input::Transfer(tag, to) => self.transfer(tag, to),
            Input::Compact(index) => self.compact(index),
            Input::Install(meta) => self.install(meta),
            Input::SnapshotSent { to, at, delivered } => self.snapshot_sent(to, at, delivered),
        }
    }

    /// What every message passes: is it for us, can it be true, and whose term is newer?
    fn receive(&mut self, envelope: Envelope<P>) {
        if envelope.to != self.config.id || !envelope.is_sound() {
            self.event(Event::Unsound { from: envelope.from });
        } else if envelope.term > self.ballot.term {
            self.receive_from_later_term(envelope);
        } else if envelope.term < self.ballot.term {
            self.receive_from_earlier_term(&envelope);
        } else {
            self.receive_in_term(envelope);
        }
    }

    fn receive_from_later_term(&mut self, envelope: Envelope<P>) {
        let Envelope { from, term, ref message, .. } = envelope;
        match message {
            // A question about the future changes nothing here.
            Message::AskPreVote { last } => return self.pre_vote_asked(from, term, *last),
            // Whoever hears a leader does not let a candidate depose it, whatever its term.
            Message::AskVote { transfer: false, .. } if self.protects_leader_from(from) && !mutated("R9") => {
                return self.refuse_vote(from, term, VoteRefusal::LeaderAlive(self.leader()));
            }
            _ => {}
        }
        let leader = message.is_from_leader().then_some(from);
        let answered = matches!(message, Message::PreVote { .. } | Message::Vote { .. });
        let canvasses = matches!(self.post, Post::PreCandidate(_) | Post::Candidate(_));
        let cause = match leader {
            Some(leader) => Cause::HeardLeader(leader),
            None => self.handed_over_to(from).unwrap_or(Cause::HigherTerm { from, term }),
        };
        self.follow(term, leader, cause);
        if answered && canvasses {
            // Only its term was too old: no reason to wait for a whole timeout.
            self.owed.effects.timer = Some(Rearm::Quick);
        }
        self.receive_in_term(envelope);
    }

    fn receive_from_earlier_term(&mut self, envelope: &Envelope<P>) {
        let Envelope { from, term, ref message, .. } = *envelope;
        match message {
            Message::Append { .. } | Message::Heartbeat { .. } if !mutated("silent-to-the-past") => {
                self.send(from, Message::Overtaken, Gate::Now);
            }
            Message::AskPreVote { .. } => {
                self.refuse_pre_vote(from, term, VoteRefusal::TermPassed(self.ballot.term));
            }
            Message::AskVote { .. } => {
                self.refuse_vote(from, term, VoteRefusal::TermPassed(self.ballot.term));
            }
            // Pre-votes are asked across terms, and a refused vote does not bring its refuser along.
            Message::PreVote { asked, refusal } => self.pre_vote_answered(from, *asked, *refusal),
            Message::Vote { asked, refusal: Some(why) } => self.vote_answered(from, *asked, Some(*why)),
            _ => {}
        }
    }

    fn receive_in_term(&mut self, envelope: Envelope<P>) {
        let Envelope { from, term, message, .. } = envelope;
        if message.is_from_leader() && !self.heard_leader(from) {
            return;
        }
        match message {
            Message::AskPreVote { last } => self.pre_vote_asked(from, term, last),
            Message::PreVote { asked, refusal } => self.pre_vote_answered(from, asked, refusal),
            Message::AskVote { last, .. } => self.vote_asked(from, term, last),
            Message::Vote { asked, refusal } => self.vote_answered(from, asked, refusal),
            Message::Append { previous, entries, commit } => self.append_received(from, previous, entries, commit),
            Message::Appended { matched } => self.appended(from, matched),
            Message::Rejected { previous, hint } => self.rejected(from, previous, hint),
            Message::Heartbeat { commit, round } => self.heartbeat_received(commit, round),
            Message::Alive { round } => self.alive(from, round),
            Message::Commit { commit } => self.commit_received(commit),
            Message::CampaignNow => self.campaign_now(from),
            Message::Sleep { commit } => self.sleep_asked(from, commit),
            Message::Asleep => self.asleep_told(from),
            // Being a message, it has woken whoever slept.
            Message::Wake | Message::Overtaken => {}
        }
    }

    /// The driver reports a write, and all before it, durable.
    fn written(&mut self, ticket: Ticket) {
        self.durable.written(ticket);
        match &self.post {
            Post::Follower(_) | Post::PreCandidate(_) => {}
            Post::Candidate(_) => self.own_vote_written(),
            Post::Leader(_) => self.advance_commit(),
        }
    }

    /// The leader's data, while leading.
    pub(crate) fn leading(&mut self) -> Option<&mut Leader> {
        match &mut self.post {
            Post::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// Owes a message.
    pub(crate) fn send(&mut self, to: NodeId, message: Message<P>, gate: Gate) {
        let envelope = Envelope { from: self.config.id, to, term: self.ballot.term, message };
        self.owed.messages.push((gate, envelope));
    }

    /// Owes a line for the diary.
    pub(crate) fn event(&mut self, event: Event) {
        self.owed.effects.events.push(event);
    }

    /// Owes a refusal.
    pub(crate) fn refuse(&mut self, tag: Tag, refusal: Refusal) {
        self.owed.effects.refused.push((tag, refusal));
    }

    /// Everything up to `index` is decided.
    pub(crate) fn commit_to(&mut self, index: Index) {
        assert!(index >= self.commit, "the commit index would go back from {} to {index}", self.commit);
        assert!(index <= self.log.last().index, "{index} is beyond the log's end {}", self.log.last());
        if let Post::Leader(leader) = &mut self.post {
            let count = usize::try_from(index.ahead_of(self.commit)).expect("no more than there are entries in memory");
            let weight: usize = self.log.behind(self.commit).take(count).map(Entry::weight).sum();
            leader.uncommitted_weight = leader.uncommitted_weight.saturating_sub(weight);
        }
        self.commit = index;
    }

    /// The membership by whose majorities this member decides: the newest in its log, committed or not.
    pub(crate) fn deciding_membership(&self) -> &Membership {
        let alone = |before: &Membership| before.all_voters().len() == 1;
        if mutated("R4") || mutated("R7") && alone(self.log.membership_at(self.commit)) {
            return self.log.membership_at(self.commit);
        }
        self.log.membership()
    }

    /// Whether an entry of the present term is committed: only then a leader knows all that is.
    pub(crate) fn has_committed_in_term(&self) -> bool {
        self.log.term_at(self.commit) == Some(self.ballot.term)
    }

    /// The membership changed, by an entry or a snapshot.
    pub(crate) fn membership_changed(&mut self) {
        let (index, membership) = (self.log.membership_index(), self.log.membership().clone());
        self.event(Event::MembershipAppended { index, membership });
        self.announce(Cause::MembershipChanged);
    }

    /// Whatever the disk lost is back once the log reaches as far as what was acknowledged.
    pub(crate) fn note_repair(&mut self) {
        if let Some(missing) = self.missing.filter(|&missing| self.log.last() >= missing) {
            self.missing = None;
            self.event(Event::Repaired(missing));
        }
    }
}
