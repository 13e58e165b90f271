//! The member as a plain value: events and the present time in, effects out.
//!
//! Its parts: [`asking`] (the questions of its own clients), [`leading`] (deciding, only while it leads),
//! [`leases`] (when they run out), [`story`] (why it stands where it stands), and here the loop that ties them to
//! the consensus core. No thread, socket, file or clock is known here, so that the simulator runs the same code.

mod asking;
mod digests;
mod event;
mod leading;
mod leases;
mod snapshots;
mod story;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use raft::{Body, Envelope, Index, Input, NodeId, Pacer, Raft, Recovered, Standing, Tag, Ticket};
use state::{LeaseId, State};

use self::asking::{Asker, Asking};
use self::digests::{Digests, Divergence};
pub use self::event::{Answer, Effects, Event, Published, RequestTag, SnapshotOrder};
use self::leading::{Desk, Leading, Told, Want};
use self::snapshots::SnapshotPlan;
use self::story::{Story, role_of};
use crate::clock::{AwakeClock, Now};
use crate::message::{Decline, Outcome, PeerMessage, Question};
use crate::{Batch, Counters, MemberStatus, Options, Protocol, Status, StreamId};

/// One member of an ensemble.
///
/// Invariants:
/// - `committed` is the state after entry `applied`, and both move together;
/// - `leading` exists exactly while the core's standing, as last drained, is leader of `leading.term`;
/// - a message that promises durability leaves only when the write it waits for is durable (`gated`).
pub struct Member {
    options: Options,
    raft: Raft<Batch>,
    pacer: Pacer,
    protocols: Vec<Arc<dyn Protocol>>,
    committed: State,
    applied: Index,
    standing: Standing,
    asking: Asking,
    leading: Option<Leading>,
    connected: BTreeSet<NodeId>,
    /// The way to the leader was closed by a refusal; questions wait until then (nanoseconds) or a new standing.
    ask_again_at: u64,
    written: Ticket,
    last_ticket: Ticket,
    snapshots: SnapshotPlan,
    gated: VecDeque<(Ticket, Envelope<Batch>)>,
    clock: AwakeClock,
    digests: Digests,
    digest_told: Index,
    random: Random,
    next_tag: u64,
    story: Story,
    counters: Counters,
    published_index: Index,
    status_due: bool,
    status_shown_at: u64,
    effects: Effects,
}

/// What is freed of compacted history in one turn.
const RECLAIM_PER_TURN: usize = 256;
/// How often the figures in the status are renewed while nothing else changes, in nanoseconds.
const STATUS_EVERY: u64 = 100 * crate::clock::MILLISECOND;

impl Member {
    /// Starts a member from what its disk held: the recovered log, and the state of the snapshot
    /// that `recovered.loaded` names (or an empty one).
    ///
    /// `seed` feeds every random choice; in production it is fresh on every start.
    #[must_use]
    pub fn restore(
        options: Options,
        protocols: Vec<Arc<dyn Protocol>>,
        recovered: Recovered<Batch>,
        state: State,
        now: Now,
        seed: u64,
    ) -> Member {
        let mut random = Random(seed);
        let config = raft::Config {
            max_uncommitted_weight: options.limits.uncommitted_bytes.saturating_mul(2),
            ..raft::Config::new(options.id, options.initial_membership())
        };
        let pacer = Pacer::new(options.pacing(), random.next(), now.nanoseconds);
        let snapshots = SnapshotPlan::restore(&recovered);
        let raft = Raft::restore(config, recovered);
        let applied = raft.applied();
        let core = raft.status();
        let standing = Standing { role: core.role, term: core.ballot.term, leader: core.leader, cause: core.cause };
        // Numbers of an earlier life of this member must not come again: an answer to them may still arrive.
        let first_number = (now.unix_milliseconds << 20) | (random.next() & 0xf_ffff);
        let timeout = u64::try_from(options.limits.request_timeout.as_nanos()).unwrap_or(u64::MAX);
        let names = options.members.iter().map(|member| (member.id, member.name.clone())).collect();
        let mut clock = AwakeClock::default();
        clock.advance(now);
        Member {
            raft,
            pacer,
            protocols,
            committed: state,
            applied,
            standing,
            asking: Asking::new(first_number, timeout),
            leading: None,
            connected: BTreeSet::new(),
            ask_again_at: 0,
            written: Ticket::NONE,
            last_ticket: Ticket::NONE,
            snapshots,
            gated: VecDeque::new(),
            clock,
            digests: Digests::default(),
            digest_told: Index::ZERO,
            random,
            next_tag: 1,
            story: Story::new(names),
            counters: Counters::default(),
            published_index: applied,
            status_due: true,
            status_shown_at: 0,
            effects: Effects::default(),
            options,
        }
    }

    /// When the next [`Event::Tick`] is due at the latest, in nanoseconds.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.pacer.next()
    }

    /// The state that is committed and applied here.
    #[must_use]
    pub fn published(&self) -> Published {
        Published { state: self.committed.clone(), index: self.applied.0, term: self.standing.term.0 }
    }

    /// The consensus core, to look at.
    #[must_use]
    pub fn raft(&self) -> &Raft<Batch> {
        &self.raft
    }

    /// Takes in one event.
    pub fn step(&mut self, now: Now, event: Event) {
        self.clock.advance(now);
        match event {
            Event::Tick => self.tick(now),
            Event::Peer { from, message } => self.received(now, from, message),
            Event::Connected(peer) => {
                self.status_due = true;
                self.connected.insert(peer);
                self.raft.step(Input::Connected(peer));
            }
            Event::ConnectionLost(peer) => self.connection_lost(now, peer),
            Event::Written(ticket) => {
                self.written = ticket;
                self.raft.step(Input::Written(ticket));
            }
            Event::Submit { tag, protocol, stream, request } => {
                self.post(now, tag, stream, Question::Decide { protocol, request });
            }
            Event::Barrier { tag } => {
                self.counters.barriers += 1;
                self.post(now, tag, StreamId::NONE, Question::Barrier);
            }
            Event::Renew { tag, lease } => self.post(now, tag, StreamId::NONE, Question::Lease { lease, renew: true }),
            Event::Remaining { tag, lease } => {
                self.post(now, tag, StreamId::NONE, Question::Lease { lease, renew: false });
            }
            Event::Touched { leases } => self.touched(leases),
            Event::Forget { stream } => self.asking.forget(stream),
            Event::SnapshotWritten { meta } => self.snapshot_written(meta),
            Event::SnapshotFailed { why } => self.snapshot_failed(&why),
            Event::SnapshotReceived { meta, state } => self.snapshot_received(meta, *state),
            Event::SnapshotSent { to, at, delivered } => self.raft.step(Input::SnapshotSent { to, at, delivered }),
            Event::StepAside => {
                let tag = self.new_tag();
                self.raft.step(Input::Transfer(tag, None));
            }
            Event::LogFailed { why } => self.effects.fatal = Some(format!("the log failed: {why}")),
            Event::Stop => self.asking.stop(),
        }
    }

    /// Hands out everything that is owed since the last drain.
    pub fn drain(&mut self, now: Now) -> Effects {
        // Whatever one part does may give another something to do: an election lets questions go, a question
        // becomes an entry, an entry of a lone member is committed at once. Each round makes progress or is last.
        loop {
            self.ask_leader(now);
            self.lead(now);
            let effects = self.raft.drain();
            if effects.is_empty() {
                break;
            }
            self.absorb(now, effects);
        }
        self.open_gate();
        self.plan_snapshot();
        if self.applied != self.published_index {
            self.published_index = self.applied;
            self.effects.publish = Some(self.published());
        }
        self.effects.answers.extend(self.asking.take_answers());
        if self.status_due || now.nanoseconds >= self.status_shown_at + STATUS_EVERY {
            self.status_due = false;
            self.status_shown_at = now.nanoseconds;
            self.effects.status = Some(self.status());
        }
        std::mem::take(&mut self.effects)
    }

    fn post(&mut self, now: Now, tag: RequestTag, stream: StreamId, question: Question) {
        self.asking.post(now.nanoseconds, tag, stream, question);
    }

    fn tick(&mut self, now: Now) {
        while let Some(edge) = self.pacer.due(now.nanoseconds) {
            self.raft.step(edge.into());
        }
        self.asking.expire(now.nanoseconds);
        self.tell_digest();
        match &mut self.leading {
            Some(leading) => leading.reclaim(RECLAIM_PER_TURN),
            None => {
                self.committed.reclaim(RECLAIM_PER_TURN);
            }
        }
    }

    fn received(&mut self, now: Now, from: NodeId, message: PeerMessage) {
        self.story.heard(from, now);
        match message {
            PeerMessage::Raft(envelope) => self.raft.step(Input::Received(envelope)),
            PeerMessage::Ask { number, question } => {
                let asker = Asker { member: from, number };
                match &mut self.leading {
                    Some(leading) => leading.ask(asker, question, self.clock.awake()),
                    None => self.tell(vec![(asker, Outcome::Declined(Decline::NotLeader))]),
                }
            }
            PeerMessage::Tell { number, outcome } => self.told(now, number, outcome),
            PeerMessage::Touch { leases } => self.touched_here(&leases),
            PeerMessage::Digest { index, hash } => {
                if let Err(divergence) = self.digests.told(index, hash) {
                    self.diverged(divergence);
                }
            }
        }
    }

    /// This member's rows are not the leader's: whatever it would answer from now on could be wrong.
    fn diverged(&mut self, divergence: Divergence) {
        let Divergence { index, own, leaders } = divergence;
        self.effects.fatal = Some(format!(
            "the state of this member differs from the leader's after entry {index} (hash {own:032x}, the leader's is \
             {leaders:032x}); give it an empty data folder and a new id, so that it gets everything from its peers"
        ));
    }

    /// Says what this leader's state hashes to, once per tick if anything was applied since.
    fn tell_digest(&mut self) {
        if self.leading.is_none() || self.digest_told == self.applied {
            return;
        }
        self.digest_told = self.applied;
        let (index, hash) = (self.applied.0, self.committed.hash());
        for &peer in &self.connected {
            self.effects.send.push((peer, PeerMessage::Digest { index, hash }));
        }
    }

    fn connection_lost(&mut self, now: Now, peer: NodeId) {
        self.status_due = true;
        self.connected.remove(&peer);
        self.story.lost(peer, now);
        if self.standing.leader == Some(peer) {
            // Questions and answers under way may be gone with the connection.
            self.asking.leader_lost();
        }
        self.raft.step(Input::ConnectionLost(peer));
    }

    fn touched(&mut self, leases: Vec<LeaseId>) {
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
                leading.deadlines.renew(lease, self.clock.awake());
            }
        }
    }

    /// Lets questions go to the leader, if there is one and a way to it.
    fn ask_leader(&mut self, now: Now) {
        let Some(leader) = self.standing.leader else { return };
        if !self.asking.has_unsent() || now.nanoseconds < self.ask_again_at {
            return;
        }
        if let Some(leading) = &mut self.leading {
            for (number, question) in self.asking.send(false) {
                leading.ask(Asker { member: self.options.id, number }, question, self.clock.awake());
            }
        } else if self.connected.contains(&leader) {
            for (number, question) in self.asking.send(true) {
                self.effects.send.push((leader, PeerMessage::Ask { number, question }));
            }
        }
    }

    /// Decides what waits for this leader.
    fn lead(&mut self, now: Now) {
        let Some(mut leading) = self.leading.take() else { return };
        let random = &mut self.random;
        let mut draw = || random.next();
        let mut desk = Desk {
            protocols: &self.protocols,
            limits: &self.options.limits,
            committed: &self.committed,
            now,
            awake: self.clock.awake(),
            random: &mut draw,
        };
        if self.raft.takes_proposals() {
            self.counters.expired += leading.expire(&mut desk);
            leading.bound_history(&desk);
        }
        let mut answers: Vec<Told> = Vec::new();
        loop {
            let before = leading.waiting();
            let tag = Tag(self.next_tag);
            let (declined, want) = leading.next(&mut desk, self.raft.takes_proposals(), || tag);
            self.counters.prepared += (before - leading.waiting()) as u64;
            answers.extend(declined);
            self.next_tag += 1;
            match want {
                Some(Want::Propose(batch)) => {
                    let bytes = batch.bytes().len();
                    let last = self.raft.last().index;
                    self.raft.step(Input::Propose(tag, batch));
                    if self.raft.last().index == last {
                        answers.extend(leading.refused(&self.committed, desk.awake));
                    } else {
                        self.counters.proposed += 1;
                        leading.proposed(last.next(), bytes);
                    }
                }
                Some(Want::Barrier(tag)) => self.raft.step(Input::Read(tag)),
                None => break,
            }
        }
        self.leading = Some(leading);
        self.tell_from(now, answers);
    }

    fn absorb(&mut self, now: Now, effects: raft::Effects<Batch>) {
        self.pacer.observe(&effects, now.nanoseconds);
        if let Some(standing) = effects.standing {
            self.stand(now, standing);
        }
        for committed in effects.apply {
            self.apply(now, committed.index, &committed.body);
        }
        self.start_leading();
        for (tag, index) in effects.reads {
            if let Some(leading) = &mut self.leading {
                let told = leading.proven(tag, index, &self.committed, self.clock.awake());
                self.tell_from(now, told);
            }
        }
        for (tag, _) in effects.refused {
            if let Some(leading) = &mut self.leading {
                let told = leading.unproven(tag);
                self.tell_from(now, told);
            }
        }
        self.asking.applied(self.applied.0);
        self.effects.story.extend(effects.events.iter().map(ToString::to_string));
        self.gated.extend(effects.send.into_iter().map(|outgoing| (outgoing.after, outgoing.envelope)));
        if let Some(write) = effects.write {
            self.snapshots.logged(&write);
            self.last_ticket = write.ticket;
            self.effects.write.push(write);
        }
        self.effects.send_snapshot.extend(effects.snapshots);
    }

    /// Role, term or leader changed. Comes before anything that was committed is applied: what a new leader
    /// committed in place of this one's entries must not meet the old working state.
    fn stand(&mut self, now: Now, standing: Standing) {
        self.status_due = true;
        self.ask_again_at = 0;
        let change = self.story.stands(&standing, now);
        let line = format!("{} in term {}: {}", change.role.name(), change.term, change.cause);
        self.effects.story.push(line);
        let leader_changed = (standing.term, standing.leader) != (self.standing.term, self.standing.leader);
        let lost_reign =
            self.leading.take_if(|leading| standing.role != raft::Role::Leader || standing.term != leading.term);
        self.standing = standing;
        if let Some(leading) = lost_reign {
            let told = leading.resign();
            self.tell_from(now, told);
        }
        if leader_changed {
            self.asking.leader_lost();
        }
    }

    /// Begins to lead, once everything that is committed so far is applied.
    fn start_leading(&mut self) {
        if self.standing.role != raft::Role::Leader || self.leading.is_some() {
            return;
        }
        let tail = self.raft.entries_after(self.applied).map(|(index, entry)| match &entry.body {
            Body::Command(batch) => (index, Some(batch.clone())),
            Body::Noop | Body::Membership(_) => (index, None),
        });
        let tail = tail.collect();
        match Leading::new(self.standing.term, &self.committed, tail, self.clock.awake()) {
            Ok(leading) => self.leading = Some(leading),
            Err(why) => self.effects.fatal = Some(why),
        }
    }

    fn apply(&mut self, now: Now, index: Index, body: &Body<Batch>) {
        assert!(index == self.applied.next(), "entries are applied in order, without leaving one out");
        self.applied = index;
        if let Some(leading) = &mut self.leading {
            if let Some((state, told)) = leading.committed(index) {
                self.committed = state;
                self.tell_from(now, told);
            }
        } else if let Body::Command(batch) = body
            && let Err(why) = apply_batch(&mut self.committed, batch)
        {
            self.effects.fatal = Some(format!("entry {} cannot be applied: {why}", index.0));
        }
        if let Err(divergence) = self.digests.applied(index.0, self.committed.hash()) {
            self.diverged(divergence);
        }
        if matches!(body, Body::Membership(_)) {
            self.status_due = true;
        }
    }

    /// An answer of the leader to a question of this member.
    fn told(&mut self, now: Now, number: u64, outcome: Outcome) {
        if outcome == Outcome::Declined(Decline::NotLeader) {
            // Whoever declines is about to say who leads, or will lead on (a hand-over that failed).
            self.ask_again_at = now.nanoseconds.saturating_add(self.options.pacing().heartbeat);
        }
        self.asking.told(number, outcome, self.applied.0);
    }

    fn tell_from(&mut self, now: Now, told: Vec<Told>) {
        let (own, others): (Vec<Told>, Vec<Told>) =
            told.into_iter().partition(|(asker, _)| asker.member == self.options.id);
        for (asker, outcome) in own {
            self.told(now, asker.number, outcome);
        }
        self.tell(others);
    }

    fn tell(&mut self, told: Vec<Told>) {
        for (asker, outcome) in told {
            self.effects.send.push((asker.member, PeerMessage::Tell { number: asker.number, outcome }));
        }
    }

    /// Lets messages go whose promise is durable by now.
    fn open_gate(&mut self) {
        let mut waiting = VecDeque::with_capacity(self.gated.len());
        for (after, envelope) in self.gated.drain(..) {
            if after <= self.written {
                self.effects.send.push((envelope.to, PeerMessage::Raft(envelope)));
            } else {
                waiting.push_back((after, envelope));
            }
        }
        self.gated = waiting;
    }

    fn new_tag(&mut self) -> Tag {
        self.next_tag += 1;
        Tag(self.next_tag - 1)
    }

    /// The member's standing, for people.
    #[must_use]
    pub fn status(&self) -> Status {
        let core = self.raft.status();
        let matched = |id| match &core.leading {
            Some(_) if id == self.options.id => Some(core.last.index.0),
            Some(leading) => leading.peers.get(&id).map(|peer| peer.matched.0),
            None => None,
        };
        let leads = self.leading.is_some();
        let reaches_leader = self.standing.leader.is_some_and(|leader| leads || self.connected.contains(&leader));
        let members = self.options.members.iter().map(|member| MemberStatus {
            id: member.id,
            name: member.name.clone(),
            peer: member.peer.clone(),
            client: member.client.clone(),
            voter: core.membership.is_voter(member.id),
            connected: member.id == self.options.id || self.connected.contains(&member.id),
            matched: matched(member.id),
        });
        Status {
            id: self.options.id,
            name: self.story.name(self.options.id),
            ensemble: self.options.ensemble.clone(),
            role: role_of(self.standing.role),
            term: self.standing.term.0,
            leader: self.standing.leader,
            commit: core.commit.0,
            applied: self.applied.0,
            revision: self.committed.revision(),
            compacted: self.committed.compacted(),
            hash_at: (self.applied.0, self.committed.hash()),
            state_bytes: self.committed.bytes(),
            members: members.collect(),
            changes: self.story.changes(),
            can_read: reaches_leader,
            can_commit: reaches_leader,
            counters: Counters {
                digests: self.digests.compared(),
                forwarded: self.asking.forwarded(),
                failed: self.asking.failed(),
                leader_changes: self.story.leader_changes(),
                ..self.counters
            },
        }
    }
}

/// Puts the rows of one entry into the tables.
pub(crate) fn apply_batch(state: &mut State, batch: &Batch) -> Result<(), String> {
    for delta in batch.deltas() {
        state.apply(&delta).map_err(|malformed| malformed.to_string())?;
    }
    Ok(())
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, seeded; good enough for ids, not for secrets.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
