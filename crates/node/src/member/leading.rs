//! The leading half of a member: deciding requests against the working state, and releasing the decisions.
//! It exists only while this member leads. It may not know clients, only members that ask.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use raft::{Index, NodeId, Tag, Term};
use state::{Delta, Edit, Lease, LeaseId, State};

use super::asking::Asker;
use super::checkpoints::Checkpoints;
use super::leases::Deadlines;
use super::quota::{self, OverQuota};
use crate::clock::{MILLISECOND, Now};
use crate::message::{Decline, Outcome};
use crate::mutants::mutated;
use crate::{Batch, Context, Limits, Protocol, ProtocolId};

/// What a leader holds besides the log.
///
/// Invariants:
/// - `working` is the committed state plus every entry of the log plus the turn under way;
/// - `in_flight` holds the state after each of those entries, in order of index, so that committing one adopts a
///   state instead of computing it again, and losing leadership drops them all;
/// - a verdict leaves only when the last entry it saw is committed and leadership was proven after it was reached:
///   by the commit of an entry appended after it, or by a read barrier begun after it.
pub(super) struct Leading {
    pub(super) term: Term,
    working: State,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    turn: Turn,
    backlog: VecDeque<Request>,
    barriers: BTreeMap<Tag, Barrier>,
    declined: Vec<Told>,
    deadlines: Deadlines,
    checkpoints: Checkpoints,
    /// Requests that the quota stood against, since this was last asked.
    refused: u64,
    /// When the age of the history is looked at next, in nanoseconds awake.
    ages_due: u64,
}

struct InFlight {
    index: Index,
    state: State,
    /// What leaves when the entry is committed.
    told: Vec<Told>,
    bytes: usize,
}

/// A request that waits to be decided.
struct Request {
    asker: Asker,
    protocol: ProtocolId,
    bytes: Bytes,
    /// When it came, in nanoseconds.
    arrived: u64,
}

/// A protocol's decision that waits for its release.
struct Verdict {
    asker: Asker,
    decision: Decision,
}

enum Decision {
    /// The protocol's reply.
    Reply(Bytes),
    /// The quota stood against it.
    Refused(OverQuota),
}

impl Verdict {
    /// What is told once the last entry that the decision saw or made is known.
    fn resting_on(self, index: Index) -> Told {
        let index = index.0;
        let outcome = match self.decision {
            Decision::Reply(reply) => Outcome::Decided { index, reply },
            Decision::Refused(OverQuota { bytes, limit }) => Outcome::OverQuota { index, bytes, limit },
        };
        (self.asker, outcome)
    }
}

/// What was decided since the last entry was proposed.
#[derive(Default)]
struct Turn {
    deltas: Vec<Bytes>,
    bytes: usize,
    verdicts: Vec<Verdict>,
    questions: Vec<(Asker, BarrierQuestion)>,
}

/// Verdicts that made no entry of their own, and questions for the read point itself.
struct Barrier {
    seen: Index,
    verdicts: Vec<Verdict>,
    questions: Vec<(Asker, BarrierQuestion)>,
}

#[derive(Clone, Copy)]
enum BarrierQuestion {
    Read,
    Lease(LeaseId),
}

/// Everything a decision may depend on besides the state.
pub(super) struct Desk<'a> {
    pub(super) protocols: &'a [Arc<dyn Protocol>],
    pub(super) limits: &'a Limits,
    /// The state that is committed and applied.
    pub(super) committed: &'a State,
    pub(super) now: Now,
    pub(super) awake: u64,
    pub(super) random: &'a mut dyn FnMut() -> u64,
}

/// What a leader's turn wants from Raft.
pub(super) enum Want {
    /// Append this entry; say at which index with [`Leading::proposed`].
    Propose(Batch),
    /// Prove leadership; say so with [`Leading::proven`].
    Barrier(Tag),
}

/// An answer for a member.
pub(super) type Told = (Asker, Outcome);

impl Leading {
    /// Leases that run out in one turn at most, so that a mass expiry does not delay the heartbeat.
    const EXPIRIES_PER_TURN: usize = 256;
    /// How often the age of the history is looked at, in nanoseconds.
    const AGES_EVERY: u64 = 100 * MILLISECOND;

    /// Starts to lead: `committed` is applied up to some entry, `tail` is the rest of the log.
    ///
    /// # Errors
    /// The tail holds an entry that cannot be applied.
    pub(super) fn new(
        term: Term,
        committed: &State,
        tail: Vec<(Index, Option<Batch>)>,
        awake: u64,
    ) -> Result<Leading, String> {
        let mut working = committed.clone();
        let mut in_flight = VecDeque::with_capacity(tail.len());
        let mut in_flight_bytes = 0;
        for (index, batch) in tail {
            let bytes = batch.as_ref().map_or(0, |batch| batch.bytes().len());
            if let Some(batch) = batch.filter(|_| !mutated("leader-forgets-its-tail")) {
                super::apply_batch(&mut working, &batch).map_err(|why| format!("entry {}: {why}", index.0))?;
            }
            in_flight_bytes += bytes;
            in_flight.push_back(InFlight { index, state: working.clone(), told: Vec::new(), bytes });
        }
        let deadlines = Deadlines::all_of(&working, awake);
        Ok(Leading {
            term,
            working,
            in_flight,
            in_flight_bytes,
            turn: Turn::default(),
            backlog: VecDeque::new(),
            barriers: BTreeMap::new(),
            declined: Vec::new(),
            deadlines,
            checkpoints: Checkpoints::new(awake),
            refused: 0,
            ages_due: 0,
        })
    }

    /// Takes a request of a member (perhaps this one). `patience` is how long an asker waits for an answer, in
    /// nanoseconds: what is older need not be decided any more, so the backlog is bounded by what the members may ask
    /// in that time.
    pub(super) fn request(&mut self, asker: Asker, protocol: ProtocolId, bytes: Bytes, now: Now, patience: u64) {
        let forgotten = now.nanoseconds.saturating_sub(patience);
        while self.backlog.pop_front_if(|oldest| oldest.arrived < forgotten).is_some() {}
        self.backlog.push_back(Request { asker, protocol, bytes, arrived: now.nanoseconds });
    }

    /// Takes a question for the read point.
    pub(super) fn ask_read(&mut self, asker: Asker) {
        self.turn.questions.push((asker, BarrierQuestion::Read));
    }

    /// Takes a question for a lease, which may begin its time anew.
    pub(super) fn ask_lease(&mut self, asker: Asker, lease: LeaseId, renew: bool, awake: u64) {
        if renew {
            self.heard(lease, awake);
        }
        self.turn.questions.push((asker, BarrierQuestion::Lease(lease)));
    }

    /// A lease's owner gave a sign of life: its time begins anew.
    pub(super) fn heard(&mut self, lease: LeaseId, awake: u64) {
        if self.deadlines.renew(lease, awake) {
            self.checkpoints.heard(&self.working, lease);
        }
    }

    /// Decides what waits, as far as one entry and the bounds allow.
    pub(super) fn decide(&mut self, desk: &mut Desk<'_>) -> u64 {
        let before = self.backlog.len();
        while self.turn.bytes < desk.limits.entry_bytes && self.has_room(desk.limits) {
            let Some(request) = self.backlog.pop_front() else { break };
            match desk.protocols.iter().find(|known| known.id() == request.protocol) {
                Some(protocol) => self.decide_one(desk, protocol.as_ref(), request.asker, &request.bytes),
                None => {
                    let decline = Decline::UnknownProtocol(request.protocol);
                    self.declined.push((request.asker, Outcome::Declined(decline)));
                }
            }
        }
        (before - self.backlog.len()) as u64
    }

    /// How many requests the quota stood against, since this was last asked.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Closes the turn: hands over what to ask of Raft for it, if anything. To be called until it gives nothing, each
    /// time after what it gave was done.
    pub(super) fn want(&mut self, new_tag: impl FnOnce() -> Tag) -> Option<Want> {
        if !self.turn.deltas.is_empty() {
            let deltas = std::mem::take(&mut self.turn.deltas);
            return Some(Want::Propose(Batch::seal(&deltas)));
        }
        if self.turn.verdicts.is_empty() && self.turn.questions.is_empty() {
            return None;
        }
        let tag = new_tag();
        let barrier = Barrier {
            seen: self.in_flight.back().map_or(Index(0), |last| last.index),
            verdicts: std::mem::take(&mut self.turn.verdicts),
            questions: std::mem::take(&mut self.turn.questions),
        };
        self.barriers.insert(tag, barrier);
        Some(Want::Barrier(tag))
    }

    /// Refusals that rest on nothing but the request itself.
    pub(super) fn take_declined(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.declined)
    }

    /// Whether there is something to decide and room for it.
    pub(super) fn has_work(&self, limits: &Limits, awake: u64) -> bool {
        (!self.backlog.is_empty() || self.deadlines.is_due(awake) || self.checkpoints.is_due(awake))
            && self.has_room(limits)
    }

    fn has_room(&self, limits: &Limits) -> bool {
        self.in_flight_bytes < limits.uncommitted_bytes
    }

    fn decide_one(&mut self, desk: &mut Desk<'_>, protocol: &dyn Protocol, asker: Asker, request: &[u8]) {
        let context = Context { random: (desk.random)(), origin: asker.member, term: self.term.0 };
        let before = quota::is_near(desk.limits, &self.working).then(|| self.working.clone());
        let mut transaction = self.working.begin(desk.now.unix_milliseconds);
        let reply = protocol.prepare(&context, &mut transaction, request);
        let delta = transaction.finish();
        if let Some(before) = before
            && let Err(refusal) = quota::admit(desk.limits, &before, &self.working)
            && !protocol.is_essential(request)
        {
            self.working = before;
            self.refused += 1;
            self.turn.verdicts.push(Verdict { asker, decision: Decision::Refused(refusal) });
            return;
        }
        match self.fits(delta, desk) {
            Ok(delta) => {
                self.note(delta, desk.awake);
                self.turn.verdicts.push(Verdict { asker, decision: Decision::Reply(reply) });
            }
            Err(decline) => self.declined.push((asker, Outcome::Declined(decline))),
        }
    }

    /// Ends leases whose time ran out, each by its protocol's own decision. Returns how many.
    pub(super) fn expire(&mut self, desk: &mut Desk<'_>) -> u64 {
        if !self.has_room(desk.limits) {
            return 0;
        }
        let expired = self.deadlines.take_expired(desk.awake, Self::EXPIRIES_PER_TURN);
        let mut count = 0;
        for id in expired {
            let Some(&Lease { owner, ttl_milliseconds, .. }) = self.working.lease(id) else { continue };
            let Some(protocol) = desk.protocols.iter().find(|known| known.id().0 == owner) else {
                // Of a protocol that this version does not have; the next leader may.
                self.deadlines.granted(id, ttl_milliseconds, desk.awake);
                continue;
            };
            let context = Context { random: (desk.random)(), origin: NodeId(0), term: self.term.0 };
            let mut transaction = self.working.begin(desk.now.unix_milliseconds);
            protocol.expire(&context, &mut transaction, id);
            let delta = transaction.finish();
            assert!(self.working.lease(id).is_none(), "expiring a lease revokes it");
            if let Ok(delta) = self.fits(delta, desk) {
                self.note(delta, desk.awake);
                count += 1;
            } else {
                // More rows hang on it than one entry can delete. It stays, and is tried again when fewer do.
                self.deadlines.granted(id, ttl_milliseconds, desk.awake);
            }
        }
        count
    }

    /// Lets the log know what is left of long leases. What was promised to owners who were heard again comes into the
    /// log whether there is room or not: the answers to them rest on the entry that this becomes.
    pub(super) fn checkpoint(&mut self, desk: &Desk<'_>) {
        let unix_milliseconds = desk.now.unix_milliseconds;
        let delta = self.checkpoints.write(&mut self.working, &self.deadlines, desk.awake, unix_milliseconds);
        self.note(delta, desk.awake);
    }

    /// Compacts the older half of the history when it outgrew its bounds, and what is too old.
    pub(super) fn bound_history(&mut self, desk: &Desk<'_>) {
        let Some(until) = self.outgrown(desk.limits).max(self.outlived(desk)) else { return };
        let mut transaction = self.working.begin(desk.now.unix_milliseconds);
        // Nothing to compact is no error: what is above the bound may all be of the newest revision.
        let _ = transaction.compact(until);
        let delta = transaction.finish();
        self.note(delta, desk.awake);
    }

    /// Up to which revision to compact because there is too much history.
    fn outgrown(&self, limits: &Limits) -> Option<u64> {
        let (bytes, revisions) = (self.working.history_bytes(), self.working.history_revisions());
        if bytes <= limits.history_bytes && revisions <= limits.history_revisions {
            return None;
        }
        let by_bytes = self.working.revision_leaving(limits.history_bytes / 2);
        let by_count = self.working.revision().saturating_sub(limits.history_revisions as u64 / 2);
        Some(if revisions > limits.history_revisions { by_bytes.max(by_count) } else { by_bytes })
    }

    /// Up to which revision to compact because it is too old: looked at now and then, and only once an eighth more than the
    /// bound is over, so that a steady trickle of changes does not make an entry for each of them.
    fn outlived(&mut self, desk: &Desk<'_>) -> Option<u64> {
        let age = u64::try_from(desk.limits.history_age.as_millis()).unwrap_or(u64::MAX);
        if age == 0 || desk.awake < self.ages_due {
            return None;
        }
        self.ages_due = desk.awake + Self::AGES_EVERY;
        let now = desk.now.unix_milliseconds;
        self.working.revision_before(now.saturating_sub(age.saturating_add(age / 8)))?;
        self.working.revision_before(now.saturating_sub(age))
    }

    /// Frees a bounded part of what compaction left behind.
    pub(super) fn reclaim(&mut self, budget: usize) {
        self.working.reclaim(budget);
    }

    /// The entry wanted last was appended at `index`.
    pub(super) fn proposed(&mut self, index: Index, bytes: usize) {
        assert!(self.in_flight.back().is_none_or(|last| last.index < index), "entries are appended in order");
        // Decisions that wait for a barrier leave with this entry, for its commit proves as much: else one of them could
        // be declined, and asked again, when a later one of its stream is done.
        let waiting = self.barriers.values_mut().flat_map(|barrier| barrier.verdicts.drain(..));
        let verdicts = waiting.chain(self.turn.verdicts.drain(..));
        let mut told: Vec<Told> = verdicts.map(|verdict| verdict.resting_on(index)).collect();
        if mutated("answer-before-commit") {
            self.declined.append(&mut told);
        }
        self.turn.bytes = 0;
        self.in_flight_bytes += bytes;
        self.in_flight.push_back(InFlight { index, state: self.working.clone(), told, bytes });
    }

    /// The entry at `index` is committed: gives the state after it, if the entry changed any, and what it releases.
    pub(super) fn committed(&mut self, index: Index) -> Option<(State, Vec<Told>)> {
        // Changes of membership are entries too, but the core's own: nothing of theirs is in flight here.
        let entry = self.in_flight.pop_front_if(|entry| entry.index <= index)?;
        assert!(entry.index == index, "a leader adopts its entries in order, without leaving one out");
        self.in_flight_bytes -= entry.bytes;
        Some((entry.state, entry.told))
    }

    /// Leadership was proven by a barrier begun as `tag`; reads may be served at `index`.
    pub(super) fn proven(&mut self, tag: Tag, index: Index, awake: u64) -> Vec<Told> {
        let Some(barrier) = self.barriers.remove(&tag) else { return Vec::new() };
        let mut told = Vec::new();
        // Leases are known as the newest decisions left them: what tells of them rests on the last entry.
        let mut leases = Vec::new();
        for (asker, question) in barrier.questions {
            match question {
                BarrierQuestion::Read => told.push((asker, Outcome::Barrier { index: index.0 })),
                BarrierQuestion::Lease(lease) => {
                    let found = self.deadlines.remaining(lease, awake);
                    leases.push((asker, Outcome::Lease { found }));
                }
            }
        }
        match self.in_flight.back_mut() {
            Some(last) => last.told.extend(leases),
            None => told.extend(leases),
        }
        // What the verdicts saw may still be in flight: then they leave with it. Else it is committed, and so at or
        // before the read point: whoever asked must have applied that much.
        let seen = barrier.seen.max(index);
        let verdicts = barrier.verdicts.into_iter().map(|verdict| verdict.resting_on(seen));
        match self.in_flight.iter_mut().rev().find(|entry| entry.index <= barrier.seen) {
            Some(entry) => entry.told.extend(verdicts),
            None => told.extend(verdicts),
        }
        told
    }

    /// The barrier begun as `tag` will not be answered: whoever waits asks the next leader. Verdicts that changed
    /// nothing are safe to reach anew.
    pub(super) fn unproven(&mut self, tag: Tag) -> Vec<Told> {
        let Some(barrier) = self.barriers.remove(&tag) else { return Vec::new() };
        let askers = barrier.questions.into_iter().map(|(asker, _)| asker);
        let askers = askers.chain(barrier.verdicts.into_iter().map(|verdict| verdict.asker));
        askers.map(|asker| (asker, Outcome::Declined(Decline::NotLeader))).collect()
    }

    /// Leadership is over. What was never proposed is declined; what is in flight is nobody's knowledge now.
    pub(super) fn resign(mut self) -> Vec<Told> {
        let decline = |asker| (asker, Outcome::Declined(Decline::NotLeader));
        let mut told: Vec<Told> = Vec::new();
        for tag in self.barriers.keys().copied().collect::<Vec<_>>() {
            told.extend(self.unproven(tag));
        }
        told.extend(self.turn.questions.into_iter().map(|(asker, _)| decline(asker)));
        told.extend(self.turn.verdicts.into_iter().map(|verdict| decline(verdict.asker)));
        told.extend(self.backlog.into_iter().map(|request| decline(request.asker)));
        told
    }

    /// A change too large for an entry is taken back: the working state is the last entry's again, with what this turn
    /// decided before.
    fn fits(&mut self, delta: Option<Bytes>, desk: &Desk<'_>) -> Result<Option<Bytes>, Decline> {
        let bytes = delta.as_ref().map_or(0, Bytes::len);
        if bytes <= desk.limits.change_bytes {
            return Ok(delta);
        }
        self.working = self.in_flight.back().map_or(desk.committed, |last| &last.state).clone();
        for earlier in &self.turn.deltas {
            self.working.apply(earlier).expect("what this turn decided applies to what it was decided on");
        }
        Err(Decline::TooLarge { bytes: bytes as u64, limit: desk.limits.change_bytes as u64 })
    }

    /// Puts a finished transaction into the turn, and takes note of the leases it began and ended.
    fn note(&mut self, delta: Option<Bytes>, awake: u64) {
        let Some(delta) = delta else { return };
        let decoded = Delta::decode(&delta).expect("a delta that was just encoded is well formed");
        for edit in decoded.edits() {
            match edit.expect("a delta that was just encoded is well formed") {
                Edit::Grant { lease, ttl_milliseconds, .. } => self.deadlines.granted(lease, ttl_milliseconds, awake),
                Edit::Revoke { lease } => self.deadlines.forget(lease),
                _ => {}
            }
        }
        self.turn.bytes += delta.len();
        self.turn.deltas.push(delta);
    }
}
