//! A whole ensemble as one plain value: members, their disks, the wire between them, and a ledger of what
//! must stay true. No time and no randomness: whoever drives it picks what happens next.
//!
//! For golden scripts (a person picks), the random walker (a generator picks) and model checkers (everything
//! is picked): `Clone + Eq + Hash`. Only compiled for tests and with the feature `testing`.

mod disk;
mod ledger;
mod promise;
pub mod render;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

pub use disk::Disk;
pub use ledger::Ledger;
pub use promise::Promise;

use crate::cause::Cause;

use crate::disk::Recovered;
use crate::effects::{Effects, Outgoing};
use crate::input::Input;
use crate::membership::Membership;
use crate::message::Envelope;
use crate::quorum;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{Config, Index, LogId, NodeId, Payload, SnapshotMeta, Tag, Ticket};

impl Payload for u8 {
    fn weight(&self) -> usize {
        1
    }
}

impl Payload for String {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// An ensemble.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cluster<P> {
    /// Everybody who was ever added.
    pub members: BTreeMap<NodeId, Member<P>>,
    /// Messages under way, in the order in which they left.
    pub wire: VecDeque<Envelope<P>>,
    /// Snapshots under way.
    pub snapshots: VecDeque<SnapshotUnderWay>,
    /// What must stay true, whatever happens.
    pub ledger: Ledger<P>,
}

/// One member: the core, and what a driver would keep beside it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Member<P> {
    /// Its settings.
    pub config: Config,
    /// The running core; `None` while it is down.
    pub raft: Option<Raft<P>>,
    /// Its disk.
    pub disk: Disk<P>,
    /// Messages that wait for the disk.
    pub held: VecDeque<Outgoing<P>>,
    /// The newest durable snapshot of its state.
    pub snapshot: Option<SnapshotMeta>,
    /// How far its state has applied the log.
    pub applied: Index,
    /// The newest write reported done since the start.
    done: Ticket,
}

/// A snapshot on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotUnderWay {
    /// Who sends it.
    pub from: NodeId,
    /// Who needs it.
    pub to: NodeId,
    /// What it is.
    pub meta: SnapshotMeta,
}

impl<P: Payload> Cluster<P> {
    /// Founding members with these settings, all running.
    #[must_use]
    pub fn new(configs: impl IntoIterator<Item = Config>) -> Self {
        let mut cluster = Self {
            members: BTreeMap::new(),
            wire: VecDeque::new(),
            snapshots: VecDeque::new(),
            ledger: Ledger::default(),
        };
        for config in configs {
            cluster.add(config);
        }
        cluster
    }

    /// An ensemble of voters 1 to `count` with default settings.
    #[must_use]
    pub fn of_voters(count: u64) -> Self {
        let initial = Membership::of_voters((1..=count).map(NodeId));
        Self::new((1..=count).map(|id| Config::new(NodeId(id), initial.clone())))
    }

    /// Adds a running member with an empty disk.
    pub fn add(&mut self, config: Config) {
        let id = config.id;
        let member = Member {
            disk: Disk::new(Recovered::empty(config.initial.clone())),
            config,
            raft: None,
            held: VecDeque::new(),
            snapshot: None,
            applied: Index::ZERO,
            done: Ticket::NONE,
        };
        assert!(self.members.insert(id, member).is_none(), "{id} is there already");
        self.restart(id);
    }

    /// The members that run.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &Raft<P>)> {
        self.members.iter().filter_map(|(&id, member)| member.raft.as_ref().map(|raft| (id, raft)))
    }

    /// The running core of `id`.
    ///
    /// # Panics
    /// It is down.
    #[must_use]
    pub fn raft(&self, id: NodeId) -> &Raft<P> {
        self.members[&id].raft.as_ref().expect("the member runs")
    }

    /// Whether `id` runs.
    #[must_use]
    pub fn is_running(&self, id: NodeId) -> bool {
        self.members.get(&id).is_some_and(|member| member.raft.is_some())
    }

    /// Something happens to `id`, and is drained at once. Nothing happens to a member that is down.
    pub fn input(&mut self, id: NodeId, input: Input<P>) -> Effects<P> {
        self.step(id, input);
        self.drain(id)
    }

    /// Something happens to `id`; what follows from it is owed.
    pub fn step(&mut self, id: NodeId, input: Input<P>) {
        let Some(raft) = self.members.get_mut(&id).and_then(|member| member.raft.as_mut()) else {
            return;
        };
        if let Input::Read(tag) = &input {
            self.ledger.read_began(id, *tag);
        }
        raft.step(input);
        raft.check();
        self.ledger.check_leader(id, raft);
    }

    /// Takes what `id` owes, and does with it what a driver would. Returns it, to be shown.
    pub fn drain(&mut self, id: NodeId) -> Effects<P> {
        let Some(member) = self.members.get_mut(&id) else {
            return Effects::default();
        };
        let Some(raft) = member.raft.as_mut() else {
            return Effects::default();
        };
        let effects = raft.drain();
        if let Some(write) = effects.write.clone() {
            member.disk.accept(write);
        }
        member.disk.check_will_equal(raft);
        if let Some(installed) = effects.installed {
            assert!(installed.index > member.applied, "an installed snapshot would take the state back");
            member.applied = installed.index;
        }
        for committed in &effects.apply {
            assert!(committed.index == member.applied.next(), "entries are applied in order, each once");
            member.applied = committed.index;
        }
        self.ledger.note(id, raft, &effects);
        self.hand_out(id, &effects);
        effects
    }

    /// Moves what a drain of `id` sent to where it waits, and holds what it said against the disks.
    fn hand_out(&mut self, id: NodeId, effects: &Effects<P>) {
        let leads = |raft: &Raft<P>| matches!(raft.post, Post::Leader(_));
        if let Some(newest) = effects.apply.last()
            && let Some(leader) = self.members[&id].raft.as_ref().filter(|raft| leads(raft))
        {
            self.check_committed(leader, LogId::new(newest.term, newest.index));
        }
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        for outgoing in &effects.send {
            if outgoing.after <= member.done {
                self.wire.push_back(outgoing.envelope.clone());
            } else {
                member.held.push_back(outgoing.clone());
            }
        }
        for &to in &effects.snapshots {
            let meta = member.snapshot.clone().expect("the log was compacted, so there is a snapshot");
            self.snapshots.push_back(SnapshotUnderWay { from: id, to, meta });
        }
    }

    /// The disk of `id` finishes its oldest write.
    pub fn write(&mut self, id: NodeId) -> Effects<P> {
        let Some(member) = self.members.get_mut(&id) else {
            return Effects::default();
        };
        let Some(ticket) = member.disk.finish() else {
            return Effects::default();
        };
        member.done = ticket;
        // A gate opens in order: what was held later waits for later writes, or for none at all.
        let (ready, held) = std::mem::take(&mut member.held).into_iter().partition(|held| held.after <= ticket);
        member.held = held;
        let ready: VecDeque<Outgoing<P>> = ready;
        self.wire.extend(ready.into_iter().map(|outgoing| outgoing.envelope));
        self.input(id, Input::Written(ticket))
    }

    /// The message at this position of the wire arrives, out of order if need be.
    pub fn deliver(&mut self, position: usize) -> Option<(Envelope<P>, Effects<P>)> {
        let envelope = self.wire.remove(position)?;
        let effects = self.input(envelope.to, Input::Received(envelope.clone()));
        Some((envelope, effects))
    }

    /// A snapshot under way arrives, or is lost. The effects are the receiver's and the sender's.
    pub fn deliver_snapshot(&mut self, position: usize, arrives: bool) -> Option<(Effects<P>, Effects<P>)> {
        let SnapshotUnderWay { from, to, meta } = self.snapshots.remove(position)?;
        let delivered = arrives && self.is_running(to);
        let at = meta.last;
        let mut installed = Effects::default();
        if delivered {
            let member = self.members.get_mut(&to).expect("it runs");
            if member.applied < at.index {
                // The driver makes a snapshot durable before it tells the core.
                member.snapshot = Some(meta.clone());
                installed = self.input(to, Input::Install(meta));
            }
        }
        Some((installed, self.input(from, Input::SnapshotSent { to, at, delivered })))
    }

    /// `id` makes a snapshot of its state, as far as it is applied and its disk has the log, and compacts.
    pub fn compact(&mut self, id: NodeId, upto: Index) -> Effects<P> {
        let Some(member) = self.members.get_mut(&id) else {
            return Effects::default();
        };
        let Some(raft) = member.raft.as_ref() else {
            return Effects::default();
        };
        let upto = upto.min(member.applied).min(raft.durable.to());
        let newer = member.snapshot.as_ref().is_none_or(|snapshot| snapshot.last.index < upto);
        if newer && let Some(meta) = raft.meta_at(upto) {
            member.snapshot = Some(meta);
        }
        self.input(id, Input::Compact(upto))
    }

    /// `id` dies. Of its writes under way the oldest `survive` reach the disk all the same.
    pub fn crash(&mut self, id: NodeId, survive: usize) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        member.raft = None;
        member.held.clear();
        member.disk.crash(survive);
        self.ledger.forget_reads(id);
        // Whoever was sending or receiving a snapshot hears that nothing came of it.
        while let Some(position) =
            self.snapshots.iter().position(|under_way| under_way.from == id || under_way.to == id)
        {
            self.deliver_snapshot(position, false);
        }
    }

    /// `id` starts from its disk.
    pub fn restart(&mut self, id: NodeId) -> Effects<P> {
        let Some(member) = self.members.get_mut(&id) else {
            return Effects::default();
        };
        if member.raft.is_some() {
            return Effects::default();
        }
        let mut recovered = member.disk.durable().clone();
        recovered.loaded.clone_from(&member.snapshot);
        member.applied = member.snapshot.as_ref().map_or(Index::ZERO, |snapshot| snapshot.last.index);
        member.done = Ticket::NONE;
        member.raft = Some(Raft::restore(member.config.clone(), recovered));
        self.drain(id)
    }

    /// Forgets what decides nothing and yet differs between histories that came to the same: the order on a
    /// wire that keeps none, how many writes there were before, and why everybody stands as they do. With it a
    /// model checker sees that it has been somewhere before.
    pub fn forget_history(&mut self) {
        for member in self.members.values_mut() {
            let done = std::mem::take(&mut member.done);
            member.disk.renumber(done);
            for held in &mut member.held {
                held.after.0 -= done.0;
            }
            if let Some(raft) = &mut member.raft {
                raft.durable.renumber(done);
                raft.standing.cause = Cause::Started;
            }
        }
        self.wire.make_contiguous().sort_by_cached_key(|envelope| {
            let mut hasher = DefaultHasher::new();
            envelope.hash(&mut hasher);
            hasher.finish()
        });
    }

    /// What a leader calls committed is on the disks of a majority, by a membership that is in force in its log
    /// where the entry stands or behind it. (By which of them it counted, nobody can tell afterwards.)
    fn check_committed(&self, raft: &Raft<P>, id: LogId) {
        let (promise, holders) = (Promise::CommittedIsDurable, self.holders(id));
        let held = |membership: &Membership| quorum::is_majority(membership, |id| holders.contains(&id));
        let behind = raft.entries_after(id.index).filter_map(|(_, entry)| entry.body.membership());
        let is_held = held(raft.log.membership_at(id.index)) || behind.into_iter().any(held);
        assert!(is_held, "{promise}: {id} is on the disks of {holders:?} only");
    }

    /// What was acknowledged last, and so everything before it, is on the disks of a majority still: by one of
    /// the memberships on those disks, or by what it will be when it is settled.
    fn check_acknowledged(&self) {
        let Some(id) = self.ledger.last_acknowledged() else {
            return;
        };
        let (promise, holders) = (Promise::AcknowledgedSurvives, self.holders(id));
        let held = |membership: &Membership| {
            let count = membership.voters.intersection(&holders).count();
            count >= quorum::majority(membership.voters.len())
        };
        let is_held = holders.iter().any(|holder| self.members[holder].memberships_from(id.index).any(held));
        assert!(is_held, "{promise}: {id} is on the disks of {holders:?} only");
    }

    /// Whose disks hold an entry.
    fn holders(&self, id: LogId) -> BTreeSet<NodeId> {
        self.members.iter().filter(|(_, member)| member.holds(id)).map(|(&id, _)| id).collect()
    }

    /// Asserts everything that must hold of the ensemble as a whole.
    ///
    /// # Panics
    /// Something does not hold.
    pub fn check(&self) {
        for (id, raft) in self.running() {
            raft.check();
            self.members[&id].disk.check_mirror(raft);
        }
        self.check_acknowledged();
        let logs: Vec<&Raft<P>> = self.running().map(|(_, raft)| raft).collect();
        for (position, one) in logs.iter().enumerate() {
            for other in &logs[position + 1..] {
                check_logs_match(one, other);
            }
        }
    }

    /// Whether a read or proposal with this tag was ever answered; see [`Ledger`].
    #[must_use]
    pub fn is_acknowledged(&self, tag: Tag) -> bool {
        self.ledger.is_acknowledged(tag)
    }
}

impl<P: Payload> Member<P> {
    /// Whether its disk holds this entry, in its log or covered by a snapshot, or held it before it was damaged:
    /// whoever knows of the damage helps nobody to be elected without it.
    fn holds(&self, id: LogId) -> bool {
        let log = self.disk.durable();
        let start = log.base.last.index.max(self.snapshot.as_ref().map_or(Index::ZERO, |snapshot| snapshot.last.index));
        let behind = id.index.ahead_of(log.base.last.index);
        let position = usize::try_from(behind).ok().and_then(|behind| behind.checked_sub(1));
        let entry = position.and_then(|position| log.entries.get(position));
        let lost = log.missing.is_some_and(|missing| id <= missing);
        id.index <= start || lost || entry.is_some_and(|entry| entry.term == id.term)
    }

    /// The memberships on its disk that are in force at this place or behind it.
    fn memberships_from(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let log = self.disk.durable();
        let mut found = vec![&log.base.membership];
        for (place, entry) in (log.base.last.index.0 + 1..).zip(&log.entries) {
            if let Some(membership) = entry.body.membership() {
                if place <= index.0 {
                    found.clear();
                }
                found.push(membership);
            }
        }
        found.extend(self.snapshot.as_ref().map(|snapshot| &snapshot.membership));
        found.into_iter()
    }
}

/// Two logs that hold the same entry hold the same entries before it.
fn check_logs_match<P: Payload>(one: &Raft<P>, other: &Raft<P>) {
    let start = one.log.base().index.max(other.log.base().index);
    let mut index = one.log.last().index.min(other.log.last().index);
    let mut same = false;
    while index > start {
        let (left, right) = (one.log.get(index), other.log.get(index));
        if same || left.map(|entry| entry.term) == right.map(|entry| entry.term) {
            let id: Option<LogId> = one.log.id_at(index);
            let (promise, one, other) = (Promise::LogMatching, one.config.id, other.config.id);
            assert!(left == right, "{promise}: {one} and {other} disagree at {id:?}");
            same = true;
        }
        index = index.previous();
    }
}
