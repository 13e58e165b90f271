//! The member as a plain value: events and the present time in, effects out.
//!
//! Its parts: [`asking`] (the questions of its own clients), [`leading`] (deciding, only while it leads),
//! [`leases`] (when they run out), [`story`] (the diary: what happened and why), and here the loop that ties them to
//! the consensus core. No thread, socket, file or clock is known here, so that the simulator runs the same code.

mod asking;
mod digests;
mod event;
mod gauges;
mod leading;
mod leases;
mod random;
mod repeats;
mod snapshots;
mod standing;
mod story;
mod words;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use raft::{Body, Envelope, Index, Input, NodeId, Pacer, Raft, Recovered, Standing, Tag, Ticket};
use state::{LeaseId, State};

use self::asking::{Asker, Asking};
use self::digests::{Digests, Divergence};
pub use self::event::{Answer, Effects, Event, Published, RequestTag, SnapshotOrder};
use self::leading::{Desk, Leading, Told, Want};
use self::random::Random;
use self::snapshots::SnapshotPlan;
use self::story::Story;
use crate::clock::{AwakeClock, Now};
use crate::message::{Decline, Outcome, PeerMessage, Question};
use crate::{Batch, Counters, DiaryKind, Options, Protocol, StreamId};

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
    /// When the member looks after itself next, in nanoseconds: a follower that hears its leader has no other timer.
    upkeep_at: u64,
    /// There is more to decide than one turn should.
    hurried: bool,
    random: Random,
    next_tag: u64,
    story: Story,
    counters: Counters,
    published_index: Index,
    status_due: bool,
    status_shown_at: u64,
    effects: Effects,
}

/// What is freed of compacted history in one turn: more than a turn of ordinary size adds.
const RECLAIM_PER_TURN: usize = 1024;
/// Entries that a leader makes in one turn before it lets the others hear of it.
const ENTRIES_PER_TURN: usize = 4;
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
        let log_end = raft.last();
        let core = raft.status();
        let standing = Standing { role: core.role, term: core.ballot.term, leader: core.leader, cause: core.cause };
        // Numbers of an earlier life of this member must not come again: an answer to them may still arrive.
        let first_number = random.next() >> 1;
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
            upkeep_at: now.nanoseconds,
            hurried: false,
            random,
            next_tag: 1,
            story: Story::new(options.id, names, log_end, now),
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
        if self.hurried { 0 } else { self.pacer.next().min(self.upkeep_at) }
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
        self.story.turn(now, self.pacer.next());
        match event {
            Event::Tick => self.tick(now),
            Event::Peer { from, message } => self.received(now, from, message),
            Event::Connected(peer) => {
                self.status_due = true;
                self.connected.insert(peer);
                self.story.connected(peer);
                self.raft.step(Input::Connected(peer));
            }
            Event::ConnectionLost(peer) => self.connection_lost(peer),
            Event::Written(ticket) => {
                self.written = ticket;
                self.story.written(ticket);
                self.raft.step(Input::Written(ticket));
            }
            Event::Synced { newest, worst } => self.story.synced(newest, worst),
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
            Event::Break { stream } => self.asking.break_off(stream),
            Event::Forget { stream } => self.asking.forget(stream),
            Event::SnapshotWritten { meta } => self.snapshot_written(meta),
            Event::SnapshotFailed { why } => self.snapshot_failed(&why),
            Event::SnapshotReceived { meta, state } => self.snapshot_received(meta, *state),
            Event::SnapshotSent { to, at, delivered } => self.raft.step(Input::SnapshotSent { to, at, delivered }),
            Event::StepAside => {
                let tag = self.new_tag();
                self.raft.step(Input::Transfer(tag, None));
            }
            Event::LogFailed { why } => self.fail(DiaryKind::Fatal, format!("the log failed: {why}")),
            Event::Stop => {
                self.story.note(DiaryKind::Stopped, "was told to stop".into());
                self.asking.stop();
            }
        }
    }

    /// Hands out everything that is owed since the last drain.
    pub fn drain(&mut self, now: Now) -> Effects {
        // Whatever one part does may give another something to do: an election lets questions go, a question
        // becomes an entry, an entry of a lone member is committed at once. Each round makes progress or is last.
        self.hurried = false;
        self.expire_leases(now);
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
        match &mut self.leading {
            Some(leading) => leading.reclaim(RECLAIM_PER_TURN),
            None => {
                self.committed.reclaim(RECLAIM_PER_TURN);
            }
        }
        self.effects.send.extend(self.story.pings());
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
        self.effects.diary = self.story.take();
        std::mem::take(&mut self.effects)
    }

    /// The member must stop.
    fn fail(&mut self, kind: DiaryKind, why: String) {
        self.story.note(kind, format!("stops by itself: {why}"));
        self.effects.fatal = Some(why);
    }

    fn post(&mut self, now: Now, tag: RequestTag, stream: StreamId, question: Question) {
        self.asking.post(now.nanoseconds, tag, stream, question);
    }

    fn tick(&mut self, now: Now) {
        while let Some(edge) = self.pacer.due(now.nanoseconds) {
            self.raft.step(edge.into());
        }
        if now.nanoseconds >= self.upkeep_at {
            self.upkeep_at = now.nanoseconds.saturating_add(self.options.pacing().heartbeat);
            self.asking.expire(now.nanoseconds);
            self.tell_digest();
        }
    }

    fn received(&mut self, now: Now, from: NodeId, message: PeerMessage) {
        self.story.heard(from);
        match message {
            PeerMessage::Raft(envelope) => self.raft.step(Input::Received(envelope)),
            PeerMessage::Ask { number, term, question } => {
                let asker = Asker { member: from, number };
                match &mut self.leading {
                    // Only in the term it was meant for: the questions before it went to the leader of that term.
                    Some(leading) if leading.term.0 == term => {
                        leading.ask(asker, question, now, self.asking.timeout(), self.clock.awake());
                    }
                    _ => self.tell(vec![(asker, Outcome::Declined(Decline::NotLeader))]),
                }
            }
            PeerMessage::Tell { number, outcome } => self.told(now, from, number, outcome),
            PeerMessage::Touch { leases } => self.touched_here(&leases),
            PeerMessage::Ping { number } => self.effects.send.push((from, PeerMessage::Pong { number })),
            PeerMessage::Pong { number } => self.story.answered(from, number),
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
        let why = format!(
            "the state of this member differs from the leader's after entry {index} (hash {own:032x}, the leader's is \
             {leaders:032x}); give it an empty data folder and a new id, so that it gets everything from its peers"
        );
        self.fail(DiaryKind::Divergence, why);
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

    fn connection_lost(&mut self, peer: NodeId) {
        self.status_due = true;
        self.connected.remove(&peer);
        self.story.lost(peer);
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
                let asker = Asker { member: self.options.id, number };
                leading.ask(asker, question, now, self.asking.timeout(), self.clock.awake());
            }
        } else if self.connected.contains(&leader) {
            for (number, question) in self.asking.send(true) {
                let term = self.standing.term.0;
                self.effects.send.push((leader, PeerMessage::Ask { number, term, question }));
            }
        }
    }

    /// Lets the protocols end what ran out, and the history stay within its bounds; once a drain, and bounded, so that
    /// a mass expiry delays no heartbeat.
    fn expire_leases(&mut self, now: Now) {
        let before = self.counters.expired;
        self.with_desk(now, |leading, desk, counters| {
            counters.expired += leading.expire(desk);
            leading.bound_history(desk);
        });
        self.story.expired(self.counters.expired - before);
    }

    /// Decides what waits for this leader, as far as one turn should.
    fn lead(&mut self, now: Now) {
        for round in 0.. {
            // What is decided while leadership is handed over would not be taken: it waits, in order.
            if self.raft.accepts_proposals() {
                if round == ENTRIES_PER_TURN {
                    break;
                }
                self.with_desk(now, |leading, desk, counters| counters.prepared += leading.decide(desk));
            }
            let Some(leading) = &mut self.leading else { return };
            let tag = Tag(self.next_tag);
            self.next_tag += 1;
            match leading.want(|| tag) {
                Some(Want::Propose(batch)) => {
                    let (bytes, last) = (batch.bytes().len(), self.raft.last().index);
                    self.raft.step(Input::Propose(tag, batch));
                    let index = self.raft.last().index;
                    assert!(index == last.next(), "a core that accepts proposals appends them");
                    self.counters.proposed += 1;
                    leading.proposed(index, bytes);
                }
                Some(Want::Barrier(tag)) => self.raft.step(Input::Read(tag)),
                None => break,
            }
        }
        let Some(leading) = &mut self.leading else { return };
        let declined = leading.take_declined();
        let more = leading.has_work(&self.options.limits, self.clock.awake());
        self.hurried = more && self.raft.accepts_proposals();
        self.tell_from(now, declined);
    }

    fn with_desk(&mut self, now: Now, work: impl FnOnce(&mut Leading, &mut Desk<'_>, &mut Counters)) {
        if !self.raft.accepts_proposals() {
            return;
        }
        let Some(leading) = &mut self.leading else { return };
        let random = &mut self.random;
        let mut desk = Desk {
            protocols: &self.protocols,
            limits: &self.options.limits,
            committed: &self.committed,
            now,
            awake: self.clock.awake(),
            random: &mut || random.next(),
        };
        work(leading, &mut desk, &mut self.counters);
    }

    fn absorb(&mut self, now: Now, effects: raft::Effects<Batch>) {
        self.pacer.observe(&effects, now.nanoseconds);
        effects.events.iter().for_each(|event| self.story.tell(event));
        if let Some(standing) = effects.standing {
            self.stand(now, standing);
        }
        for committed in effects.apply {
            self.apply(now, committed.index, &committed.body);
        }
        self.start_leading();
        for (tag, index) in effects.reads {
            if let Some(leading) = &mut self.leading {
                let told = leading.proven(tag, index, self.clock.awake());
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
        self.gated.extend(effects.send.into_iter().map(|outgoing| (outgoing.after, outgoing.envelope)));
        if let Some(write) = effects.write {
            self.snapshots.logged(&write);
            self.last_ticket = write.ticket;
            self.story.began_to_write(write.ticket);
            self.effects.write.push(write);
        }
        self.effects.send_snapshot.extend(effects.snapshots);
    }

    /// Role, term or leader changed. Comes before anything that was committed is applied: what a new leader
    /// committed in place of this one's entries must not meet the old working state.
    fn stand(&mut self, now: Now, standing: Standing) {
        self.status_due = true;
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
        self.ask_again_at = 0;
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
            Err(why) => self.fail(DiaryKind::Fatal, why),
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
            self.fail(DiaryKind::Fatal, format!("entry {} cannot be applied: {why}", index.0));
        }
        if let Err(divergence) = self.digests.applied(index.0, self.committed.hash()) {
            self.diverged(divergence);
        }
        if matches!(body, Body::Membership(_)) {
            self.status_due = true;
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

    fn tell_from(&mut self, now: Now, told: Vec<Told>) {
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
}

/// Puts the rows of one entry into the tables.
pub(crate) fn apply_batch(state: &mut State, batch: &Batch) -> Result<(), String> {
    for delta in batch.deltas() {
        state.apply(&delta).map_err(|malformed| malformed.to_string())?;
    }
    Ok(())
}
