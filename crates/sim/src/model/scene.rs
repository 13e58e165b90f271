//! One node of the graph, and every edge that leads out of it. Knows neither the checker nor what is to be proven.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::testing::Cluster;
use raft::{Effects, Envelope, Index, Input, Message, NodeId, Role, Tag};

use super::configuration::Configuration;

/// An ensemble at one moment, and what may still happen to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scene {
    /// Three cores, their disks, and what is under way between them.
    pub cluster: Cluster<u8>,
    /// What may still happen.
    pub left: Budget,
    /// A snapshot was installed.
    pub installed: bool,
    /// A read was answered.
    pub served: bool,
    /// The assertion that failed on the way here, if one did: nothing comes after it.
    pub breach: Option<String>,
}

/// How often what may happen. What is not here (messages and snapshots arriving, disks finishing, silence being
/// noticed) may always happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Election timers running out.
    pub elections: u8,
    /// Heartbeat timers running out.
    pub heartbeats: u8,
    /// Proposals to leaders.
    pub proposals: u8,
    /// Reads on leaders.
    pub reads: u8,
    /// Members dying.
    pub crashes: u8,
    /// Messages taken off the wire.
    pub drops: u8,
    /// Messages arriving and staying under way all the same.
    pub duplicates: u8,
    /// Changes of membership asked for.
    pub changes: u8,
    /// Snapshots made, and logs compacted.
    pub compactions: u8,
    /// Transfers of leadership asked for.
    pub transfers: u8,
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The message at this position of the wire arrives.
    Deliver(usize),
    /// It arrives, and will arrive again.
    Repeat(usize),
    /// It is lost.
    Drop(usize),
    /// A disk finishes its oldest write.
    Write(NodeId),
    /// A member dies, loses what it did not finish writing, and starts from its disk.
    ///
    /// That some of its unfinished writes survive is the same as its disk finishing them just before; that it stays
    /// down is the same as its hearing nothing.
    Crash(NodeId),
    /// A member has heard no leader for the shortest election timeout.
    Silent(NodeId),
    /// A member's election timer runs out.
    ElectionDue(NodeId),
    /// Everybody has heard no leader for an election timeout, one timer runs out, and all pre-votes arrive at once.
    Campaign(NodeId),
    /// A leader's heartbeat timer runs out.
    HeartbeatDue(NodeId),
    /// A leader is asked to append.
    Propose(NodeId),
    /// A leader is asked to read.
    Read(NodeId),
    /// A leader is asked for the membership that the configuration is about.
    Reconfigure(NodeId),
    /// A leader is asked to hand over.
    Transfer(NodeId, NodeId),
    /// A member makes a snapshot of all that it applied, and compacts its log.
    Compact(NodeId),
    /// The oldest snapshot under way arrives.
    DeliverSnapshot,
    /// The oldest snapshot under way is lost.
    LoseSnapshot,
}

/// What the members told in one step, in order: for traces.
pub(super) type Told = Vec<(NodeId, Effects<u8>)>;

impl Scene {
    pub(super) fn new(mut cluster: Cluster<u8>, left: Budget) -> Self {
        cluster.forget_history();
        Self { cluster, left, installed: false, served: false, breach: None }
    }

    /// Everything that may happen next.
    pub(super) fn actions(&self, world: &Configuration, actions: &mut Vec<Action>) {
        if self.breach.is_some() {
            return;
        }
        self.actions_of_the_wire(actions);
        for (&id, member) in &self.cluster.members {
            let Some(raft) = &member.raft else {
                continue;
            };
            if member.disk.pending() > 0 && !world.prompt_disks {
                actions.push(Action::Write(id));
            }
            actions.extend((self.left.crashes > 0).then_some(Action::Crash(id)));
            let status = raft.status();
            self.actions_of_time(world, id, status.role, actions);
            if status.role == Role::Leader {
                self.actions_of_clients(id, actions);
            }
            if self.left.compactions > 0 && member.applied.min(status.durable) > status.base.index {
                actions.push(Action::Compact(id));
            }
        }
        if !self.cluster.snapshots.is_empty() {
            actions.extend([Action::DeliverSnapshot, Action::LoseSnapshot]);
        }
    }

    fn actions_of_the_wire(&self, actions: &mut Vec<Action>) {
        let wire = &self.cluster.wire;
        for (position, envelope) in wire.iter().enumerate() {
            // The wire is sorted: the same message twice need not be tried twice.
            if position > 0 && wire[position - 1] == *envelope {
                continue;
            }
            if self.cluster.is_running(envelope.to) {
                actions.push(Action::Deliver(position));
                actions.extend((self.left.duplicates > 0).then_some(Action::Repeat(position)));
            }
            actions.extend((self.left.drops > 0).then_some(Action::Drop(position)));
        }
    }

    fn actions_of_time(&self, world: &Configuration, id: NodeId, role: Role, actions: &mut Vec<Action>) {
        let leads = role == Role::Leader;
        if !world.prompt_trials && !leads {
            actions.push(Action::Silent(id));
        }
        if self.left.elections > 0 {
            actions.push(if world.prompt_trials && !leads { Action::Campaign(id) } else { Action::ElectionDue(id) });
        }
        if leads && self.left.heartbeats > 0 {
            actions.push(Action::HeartbeatDue(id));
        }
    }

    fn actions_of_clients(&self, id: NodeId, actions: &mut Vec<Action>) {
        let Budget { proposals, reads, changes, transfers, .. } = self.left;
        actions.extend((proposals > 0).then_some(Action::Propose(id)));
        actions.extend((reads > 0).then_some(Action::Read(id)));
        actions.extend((changes > 0).then_some(Action::Reconfigure(id)));
        if transfers > 0 {
            let others = self.cluster.members.keys().filter(|&&other| other != id);
            actions.extend(others.map(|&other| Action::Transfer(id, other)));
        }
    }

    /// What comes of an action; `None` if nothing does.
    pub(super) fn after(&self, world: &Configuration, action: Action) -> Option<Self> {
        let mut next = self.clone();
        let performed = catch_unwind(AssertUnwindSafe(|| next.perform(world, action)));
        if let Err(panic) = performed {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned()));
            let breach = Some(said.unwrap_or_else(|| "it panicked without a word".to_owned()));
            return Some(Self { breach, ..self.clone() });
        }
        (next != *self).then_some(next)
    }

    /// Lets an action happen, and everything checked. Panics if something does not hold.
    pub(super) fn perform(&mut self, world: &Configuration, action: Action) -> Told {
        let mut told = self.act(world, action);
        if world.prompt_disks {
            let ids: Vec<NodeId> = self.cluster.members.keys().copied().collect();
            while let Some(&id) = ids.iter().find(|&id| self.is_writing(*id)) {
                told.push((id, self.cluster.write(id)));
            }
        }
        self.cluster.check();
        self.installed |= told.iter().any(|(_, effects)| effects.installed.is_some());
        self.served |= told.iter().any(|(_, effects)| !effects.reads.is_empty());
        self.drop_dead_letters();
        self.cluster.forget_history();
        told
    }

    fn is_writing(&self, id: NodeId) -> bool {
        self.cluster.is_running(id) && self.cluster.members[&id].disk.pending() > 0
    }

    fn act(&mut self, world: &Configuration, action: Action) -> Told {
        match action {
            Action::Deliver(position) => self.deliver(position),
            Action::Repeat(position) => {
                self.left.duplicates -= 1;
                let again = self.cluster.wire[position].clone();
                self.cluster.wire.push_back(again);
                self.deliver(position)
            }
            Action::Drop(position) => {
                self.left.drops -= 1;
                self.cluster.wire.remove(position);
                Told::new()
            }
            Action::Write(id) => vec![(id, self.cluster.write(id))],
            Action::Crash(id) => {
                self.left.crashes -= 1;
                self.cluster.crash(id, 0);
                vec![(id, self.cluster.restart(id))]
            }
            Action::Silent(id) => self.input(id, Input::LeaderSilent),
            Action::ElectionDue(id) => {
                self.left.elections -= 1;
                self.input(id, Input::ElectionDue)
            }
            Action::Campaign(id) => {
                self.left.elections -= 1;
                self.campaign(id)
            }
            Action::HeartbeatDue(id) => {
                self.left.heartbeats -= 1;
                self.input(id, Input::HeartbeatDue)
            }
            Action::Compact(id) => {
                self.left.compactions -= 1;
                vec![(id, self.cluster.compact(id, Index(u64::MAX)))]
            }
            Action::DeliverSnapshot | Action::LoseSnapshot => {
                let under_way = self.cluster.snapshots[0].clone();
                let arrives = action == Action::DeliverSnapshot;
                let told = self.cluster.deliver_snapshot(0, arrives);
                told.map(|(to, from)| vec![(under_way.to, to), (under_way.from, from)]).unwrap_or_default()
            }
            Action::Propose(_) | Action::Read(_) | Action::Reconfigure(_) | Action::Transfer(..) => {
                self.request(world, action)
            }
        }
    }

    fn request(&mut self, world: &Configuration, action: Action) -> Told {
        let Budget { proposals, reads, changes, transfers, .. } = &mut self.left;
        let next = |kind: u64, left: &mut u8| {
            *left -= 1;
            Tag(kind * 100 + u64::from(*left))
        };
        match action {
            Action::Propose(id) => {
                let tag = next(1, proposals);
                let payload = *proposals;
                self.input(id, Input::Propose(tag, payload))
            }
            Action::Read(id) => {
                let tag = next(2, reads);
                self.input(id, Input::Read(tag))
            }
            Action::Reconfigure(id) => {
                let tag = next(3, changes);
                self.input(id, Input::Reconfigure(tag, world.target.clone()))
            }
            Action::Transfer(id, to) => {
                let tag = next(4, transfers);
                self.input(id, Input::Transfer(tag, Some(to)))
            }
            _ => Told::new(),
        }
    }

    fn input(&mut self, id: NodeId, input: Input<u8>) -> Told {
        vec![(id, self.cluster.input(id, input))]
    }

    fn deliver(&mut self, position: usize) -> Told {
        let delivered = self.cluster.deliver(position);
        delivered.map(|(envelope, effects)| vec![(envelope.to, effects)]).unwrap_or_default()
    }

    fn campaign(&mut self, id: NodeId) -> Told {
        let mut told = Told::new();
        let others: Vec<NodeId> = self.cluster.members.keys().copied().filter(|&other| other != id).collect();
        for other in others {
            told.push((other, self.cluster.input(other, Input::LeaderSilent)));
        }
        told.push((id, self.cluster.input(id, Input::ElectionDue)));
        let is_trial =
            |said: &Envelope<u8>| matches!(said.message, Message::AskPreVote { .. } | Message::PreVote { .. });
        let arrives = |scene: &Self| {
            scene.cluster.wire.iter().position(|said| is_trial(said) && scene.cluster.is_running(said.to))
        };
        while let Some(position) = arrives(self) {
            told.extend(self.deliver(position));
        }
        self.cluster.wire.retain(|said| !is_trial(said));
        told
    }

    /// Forgets messages to which their receiver will never listen again, since it wrote down a later term: where
    /// they are does not matter, and two scenes that differ in nothing else are one.
    fn drop_dead_letters(&mut self) {
        let Cluster { wire, members, .. } = &mut self.cluster;
        wire.retain(|envelope| {
            let passed = envelope.term < members[&envelope.to].disk.durable().ballot.term;
            let is_listened_to = match envelope.message {
                Message::AskPreVote { .. }
                | Message::AskVote { .. }
                | Message::Append { .. }
                | Message::Heartbeat { .. } => true,
                // A refusal may come from somebody whose term is earlier than the one voted about.
                Message::PreVote { .. } | Message::Vote { refusal: Some(_), .. } => true,
                Message::Vote { refusal: None, .. }
                | Message::Appended { .. }
                | Message::Rejected { .. }
                | Message::Alive { .. }
                | Message::Commit { .. }
                | Message::Sleep { .. }
                | Message::Asleep
                | Message::Wake
                | Message::Overtaken
                | Message::CampaignNow => false,
            };
            !passed || is_listened_to
        });
    }
}
