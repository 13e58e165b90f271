//! The member as a plain value: events and the present time in, effects out.
//!
//! Its parts: [`asking`] (the questions of its own clients), [`leading`] (deciding, only while it leads),
//! [`leases`] (when they run out), [`story`] (the diary: what happened and why), and here the loop that ties them to
//! the consensus core. No thread, socket, file or clock is known here, so that the simulator runs the same code.

mod asking;
mod belonging;
mod checkpoints;
mod consensus;
mod deciding;
mod digests;
mod event;
mod gauges;
mod healing;
mod leading;
mod leases;
mod questions;
mod quota;
mod random;
mod repeats;
mod snapshots;
mod standing;
mod story;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use raft::{Edge, Envelope, Index, Input, NodeId, Pacer, Raft, Recovered, Standing, Tag, Ticket};
use state::State;

use self::asking::Asking;
use self::belonging::Belonging;
pub(crate) use self::consensus::apply_batch;
use self::digests::Digests;
pub use self::event::{Answer, Effects, Event, Peers, Published, RequestTag, SnapshotOrder};
use self::healing::Healing;
use self::leading::Leading;
use self::quota::Fill;
use self::random::Random;
use self::snapshots::SnapshotPlan;
use self::story::Story;
use crate::clock::{AwakeClock, Now};
use crate::message::Question;
use crate::{Batch, Counters, DiaryKind, Options, Protocol, Reason, StreamId};

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
    belonging: Belonging,
    snapshots: SnapshotPlan,
    gated: VecDeque<(Ticket, Envelope<Batch>)>,
    clock: AwakeClock,
    digests: Digests,
    healing: Healing,
    digest_told: Index,
    /// When the member looks after itself next, in nanoseconds: a follower that hears its leader has no other timer.
    upkeep_at: u64,
    /// There is more to decide than one turn should.
    hurried: bool,
    random: Random,
    next_tag: u64,
    story: Story,
    fill: Fill,
    counters: Counters,
    published_index: Index,
    status_due: bool,
    status_shown_at: u64,
    effects: Effects,
}

/// What is freed of compacted history in one turn: more than a turn of ordinary size adds.
const RECLAIM_PER_TURN: usize = 1024;
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
        let belonging = Belonging::restore(&raft);
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
            belonging,
            snapshots,
            gated: VecDeque::new(),
            clock,
            digests: Digests::default(),
            healing: Healing::default(),
            digest_told: Index::ZERO,
            upkeep_at: now.nanoseconds,
            hurried: false,
            random,
            next_tag: 1,
            story: Story::new(options.id, names, log_end, now),
            fill: Fill::default(),
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
        if self.hurried { 0 } else { self.pacer.next().min(self.upkeep_at).min(self.belonging.retires_at()) }
    }

    /// The state that is committed and applied here.
    #[must_use]
    pub fn published(&self) -> Published {
        Published {
            state: self.committed.clone(),
            index: self.applied.0,
            term: self.standing.term.0,
            members: self.belonging.members(),
        }
    }

    /// The consensus core, to look at.
    #[must_use]
    pub fn raft(&self) -> &Raft<Batch> {
        &self.raft
    }

    /// Turns one bit of one row of the committed state, as failing memory would, and says whether there is such a bit:
    /// proof that the difference is noticed. Debug builds only.
    #[cfg(debug_assertions)]
    pub fn damage(&mut self, table: state::TableId, key: &[u8], bit: usize) -> bool {
        self.committed.damage(table, key, bit, state::Damage::Divergence)
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
            Event::SnapshotReceived { meta, state } => self.snapshot_received(now, meta, *state),
            Event::SnapshotSent { to, at, delivered } => self.raft.step(Input::SnapshotSent { to, at, delivered }),
            Event::Change { tag, change } => self.post(now, tag, StreamId::NONE, Question::Change(change)),
            Event::Lead { tag, to } => self.post(now, tag, StreamId::NONE, Question::Lead { to }),
            Event::Expelled { by } => self.expelled(now, by),
            Event::StepAside => {
                let tag = self.new_tag();
                self.raft.step(Input::Transfer(tag, None));
            }
            Event::DamageFound { what } => self.story.note(DiaryKind::Damage, what),
            Event::LogFailed { why } => self.fail(DiaryKind::Fatal, format!("the log failed: {why}")),
            Event::Stop => {
                self.story.note(DiaryKind::Stopped, "was told to stop".into());
                self.asking.stop(&Reason::Stopping);
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
        self.follow_membership();
        self.plan_snapshot();
        match &mut self.leading {
            Some(leading) => leading.reclaim(RECLAIM_PER_TURN),
            None => {
                self.committed.reclaim(RECLAIM_PER_TURN);
            }
        }
        self.effects.send.extend(self.story.pings());
        if self.applied != self.published_index && !self.healing.is_under_way() {
            self.published_index = self.applied;
            self.effects.publish = Some(self.published());
            if let Some((kind, text)) = self.fill.look(&self.options.limits, self.committed.bytes()) {
                self.story.note(kind, text);
                self.status_due = true;
            }
        }
        self.retire(now);
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
    pub(super) fn fail(&mut self, kind: DiaryKind, why: String) {
        self.story.note(kind, format!("stops by itself: {why}"));
        self.effects.fatal = Some(why);
    }

    fn post(&mut self, now: Now, tag: RequestTag, stream: StreamId, question: Question) {
        self.asking.post(now.nanoseconds, tag, stream, question);
    }

    fn tick(&mut self, now: Now) {
        while let Some(edge) = self.pacer.due(now.nanoseconds) {
            // Without a state to decide on, this member could not lead.
            if !(edge == Edge::ElectionDue && self.healing.is_under_way()) {
                self.raft.step(edge.into());
            }
        }
        if now.nanoseconds >= self.upkeep_at {
            self.upkeep_at = now.nanoseconds.saturating_add(self.options.pacing().heartbeat);
            self.asking.expire(now.nanoseconds);
            self.tell_digest();
            self.introduce_itself(now);
            self.ask_for_state(now);
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

    pub(super) fn new_tag(&mut self) -> Tag {
        self.next_tag += 1;
        Tag(self.next_tag - 1)
    }
}
