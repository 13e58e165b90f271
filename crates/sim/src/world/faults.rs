//! What goes wrong: each kind of fault, from its beginning to its end.

use std::io;

use log::Operation;
use node::NodeId;
use node::member::Event;

use super::clients::Mood;
use super::{Action, World};
use crate::clock::{MILLISECOND, SECOND, VirtualClock};
use crate::coverage::Situation;
use crate::disk::Death;
use crate::drill::Blow;
use crate::fault::Fault;
use crate::invariants::leases::{FASTEST_CLOCK, SLOWEST_CLOCK};
use crate::network::{Conditions, Harsh, Way, pair};
use crate::sabotage::Sabotage;

/// How long a process that ended stays away, in nanoseconds: least and most.
pub(super) const DOWNTIME: (u64, u64) = (10 * MILLISECOND, 3 * SECOND);

/// A part of a fault that comes later.
pub(super) enum Strike {
    /// A process is killed, if it runs.
    Kill(NodeId),
    /// These ways are blocked for so long.
    Block(Vec<Way>, u64),
    /// A process stops in an orderly way.
    Stop(NodeId),
}

/// What is to be taken back when a fault is over.
pub(super) enum Fading {
    /// Blocks of these ways.
    Blocks(Vec<Way>),
    /// The conditions of these ways.
    Conditions(Vec<Way>),
    /// A process is no longer sluggish, or its disk no longer slow or full.
    Sluggish(NodeId),
    SlowSync(NodeId),
    DiskFull(NodeId),
    /// A clock runs on.
    Frozen(NodeId),
    /// Clients are themselves again.
    Mood,
}

impl World {
    /// Something goes wrong, and the next thing is planned.
    pub(super) fn fault(&mut self) {
        if self.mood.resting {
            return;
        }
        let (least, most) = self.plan.fault_gap;
        let wait = self.chance.between(least, most);
        self.after(wait, Action::Fault);
        let Some(fault) = self.chance.pick(&self.plan.faults) else { return };
        let situation = self.situation();
        self.coverage.fault(fault, situation);
        self.note("fault", || fault.name().into());
        match fault {
            Fault::Delay | Fault::Jitter | Fault::SlowLink | Fault::SlowBulk | Fault::SlowControl => {
                self.degrade(fault);
            }
            Fault::Drop | Fault::Double | Fault::Reorder | Fault::Replay => self.turn_harsh(fault),
            Fault::Reset | Fault::HalfOpen | Fault::ResetAll | Fault::Refuse => self.break_connections(fault),
            Fault::Isolate
            | Fault::IsolateLeader
            | Fault::Split
            | Fault::OneWay
            | Fault::Deaf
            | Fault::Mute
            | Fault::MuteLeader
            | Fault::Partial
            | Fault::Bridge
            | Fault::Blackout => self.partition(fault),
            Fault::Flapping => self.flap(),
            Fault::Kill
            | Fault::KillLeader
            | Fault::KillInWrite
            | Fault::KillAll
            | Fault::PowerLoss
            | Fault::PowerLossLeader
            | Fault::PowerLossInWrite
            | Fault::PowerLossAll
            | Fault::CrashLoop
            | Fault::KillInStart
            | Fault::RollingRestart
            | Fault::Stop
            | Fault::LongAbsence => self.end_processes(fault),
            Fault::ShortPause | Fault::LongPause | Fault::PauseLeader | Fault::PauseAll | Fault::Sluggish => {
                self.hold_up(fault);
            }
            Fault::SlowSync
            | Fault::SlowSyncLeader
            | Fault::StuckSync
            | Fault::WriteError
            | Fault::SyncError
            | Fault::SnapshotError
            | Fault::DiskFull => self.spoil_disk(fault),
            Fault::Drift | Fault::ClockJump | Fault::WallAhead | Fault::WallBack | Fault::ClockFreeze => {
                self.spoil_clock(fault);
            }
            Fault::StepAside => self.step_aside(),
            Fault::Corrupt => {
                let ways = self.network.ways();
                let way = self.chance.pick(&ways).expect("there are at least two members");
                self.corrupted_next.insert(way);
            }
            Fault::BitFlip => self.flip_a_bit(),
            Fault::AddMember
            | Fault::AddLearner
            | Fault::Promote
            | Fault::RemoveMember
            | Fault::RemoveLeader
            | Fault::Replace
            | Fault::TwoOperators
            | Fault::Lead => self.operate(fault),
            Fault::Burst
            | Fault::LargeRequests
            | Fault::Impatience
            | Fault::Silence
            | Fault::SlowWatchers
            | Fault::SlowHubs => self.change_mood(fault),
        }
    }

    pub(super) fn strike(&mut self, strike: Strike) {
        match strike {
            Strike::Kill(id) => {
                let away = self.chance.between(DOWNTIME.0, DOWNTIME.1);
                self.die(id, Death::Killed, away);
            }
            Strike::Block(ways, nanoseconds) => self.block_for(ways, nanoseconds),
            Strike::Stop(id) => self.stop(id),
        }
    }

    pub(super) fn fade(&mut self, fading: Fading) {
        let now = self.now;
        match fading {
            Fading::Blocks(ways) => ways.into_iter().for_each(|way| self.unblock(way)),
            Fading::Conditions(ways) => {
                let normal = self.network.normal();
                ways.into_iter().for_each(|way| *self.network.conditions(way) = normal);
            }
            Fading::Sluggish(id) => self.host(id).sluggish = 0,
            Fading::SlowSync(id) => self.host(id).slow_sync = 0,
            Fading::DiskFull(id) => self.empty_disk(id),
            Fading::Frozen(id) => self.host(id).clock.thaw(now),
            Fading::Mood => self.mood = Mood { resting: self.mood.resting, ..Mood::default() },
        }
    }

    /// Nothing is wrong any more, and nothing that was begun goes on.
    pub(super) fn heal(&mut self) {
        self.epoch += 1;
        self.corrupted_next.clear();
        self.mood = Mood { resting: true, ..Mood::default() };
        for due in self.network.heal(self.now) {
            self.at(due.at, Action::Deliver(due));
        }
        let now = self.now;
        for id in self.ids() {
            let host = self.host(id);
            host.sluggish = 0;
            host.slow_sync = 0;
            host.stuck_sync = 0;
            host.killed_in_start = false;
            host.clock.thaw(now);
            host.clock.set_speed(now, VirtualClock::TRUE_SPEED);
            let paused = host.paused;
            self.empty_disk(id);
            if let Some(since) = paused {
                self.resume(id, since);
            }
            let life = self.host(id).life;
            self.after(SECOND, Action::Start { id, life });
        }
    }

    /// Who leads, if anybody does: the leader of the latest term.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let led = |id: NodeId| self.witness.view(id).leads.map(|term| (term, id));
        self.ids().into_iter().filter_map(led).max().map(|(_, id)| id)
    }

    fn situation(&self) -> Situation {
        let leaders = self.ids().into_iter().filter(|&id| self.witness.view(id).leads.is_some()).count();
        match (leaders, self.leader()) {
            (2.., _) => Situation::Rivals,
            (_, Some(id)) => {
                let view = self.witness.view(id);
                if view.log.last().index > view.commit { Situation::Busy } else { Situation::Idle }
            }
            (_, None) => Situation::NoLeader,
        }
    }

    pub(super) fn anybody(&mut self) -> NodeId {
        let ids = self.ids();
        self.chance.pick(&ids).expect("there are members")
    }

    /// The leader, or anybody if there is none.
    fn leader_or_anybody(&mut self) -> NodeId {
        self.leader().unwrap_or_else(|| self.anybody())
    }

    /// Somebody who writes just now, or anybody.
    fn writer_or_anybody(&mut self) -> NodeId {
        let writing: Vec<NodeId> = self.ids().into_iter().filter(|id| self.hosts[id].disk.is_busy()).collect();
        self.chance.pick(&writing).unwrap_or_else(|| self.anybody())
    }

    /// Two ways or more, both directions of one connection.
    fn any_link(&mut self) -> Vec<Way> {
        let pairs = self.network.pairs();
        let (one, other) = self.chance.pick(&pairs).expect("there are at least two members");
        vec![(one, other), (other, one)]
    }

    fn after_fault(&mut self, wait: u64, strike: Strike) {
        let epoch = self.epoch;
        self.after(wait, Action::Strike { epoch, strike });
    }

    fn until(&mut self, wait: u64, fading: Fading) {
        let epoch = self.epoch;
        self.after(wait, Action::Fade { epoch, fading });
    }

    /// How long a fault lasts.
    fn span(&mut self) -> u64 {
        self.chance.magnitude(30 * MILLISECOND, self.plan.fault_span)
    }

    fn degrade(&mut self, fault: Fault) {
        let normal = self.network.normal();
        let chance = &mut self.chance;
        let wait = chance.magnitude(5 * MILLISECOND, 400 * MILLISECOND);
        let worse = match fault {
            Fault::Delay => Conditions { delay: normal.delay + wait, ..normal },
            Fault::Jitter => Conditions { jitter: normal.jitter + wait, ..normal },
            Fault::SlowLink => Conditions { bandwidth: Some(chance.magnitude(2_000, 200_000)), ..normal },
            Fault::SlowBulk => Conditions { lane_delay: [0, wait], ..normal },
            _ => Conditions { lane_delay: [wait, 0], ..normal },
        };
        let ways = if chance.percent(30) { self.network.ways() } else { self.any_link() };
        for &way in &ways {
            *self.network.conditions(way) = worse;
        }
        let span = self.span();
        self.until(span, Fading::Conditions(ways));
    }

    fn turn_harsh(&mut self, fault: Fault) {
        let share = self.chance.magnitude(5, 300);
        let ways = self.network.ways();
        for &way in &ways {
            let harsh = self.network.conditions(way).harsh.get_or_insert_default();
            match fault {
                Fault::Drop => harsh.drop = share,
                Fault::Double => harsh.double = share,
                Fault::Reorder => harsh.reorder = share,
                _ => *harsh = Harsh { replay: share / 5, ..*harsh },
            }
        }
        let span = self.span();
        self.until(span, Fading::Conditions(ways));
    }

    fn break_connections(&mut self, fault: Fault) {
        let ways = self.any_link();
        let (one, other) = ways[0];
        match fault {
            Fault::Reset => self.sever(pair(one, other), None),
            Fault::HalfOpen => {
                let late = if self.chance.percent(50) { one } else { other };
                self.sever(pair(one, other), Some(late));
            }
            Fault::ResetAll => self.network.pairs().into_iter().for_each(|pair| self.sever(pair, None)),
            _ => {
                let until = self.now + self.span();
                self.network.refuse(pair(one, other), until);
                self.sever(pair(one, other), None);
            }
        }
    }

    fn partition(&mut self, fault: Fault) {
        let ids = self.ids();
        let ways = self.network.ways();
        let one = match fault {
            Fault::IsolateLeader | Fault::MuteLeader => self.leader_or_anybody(),
            _ => self.anybody(),
        };
        let mut order = ids.clone();
        self.chance.shuffle(&mut order);
        let cut = self.chance.between(1, ids.len() as u64 - 1);
        let side: Vec<NodeId> = order.into_iter().zip(0..cut).map(|(id, _)| id).collect();
        let across = |way: &Way| side.contains(&way.0) != side.contains(&way.1);
        let blocked: Vec<Way> = match fault {
            Fault::Isolate | Fault::IsolateLeader => {
                ways.into_iter().filter(|way| way.0 == one || way.1 == one).collect()
            }
            Fault::Deaf => ways.into_iter().filter(|way| way.1 == one).collect(),
            Fault::Mute | Fault::MuteLeader => ways.into_iter().filter(|way| way.0 == one).collect(),
            Fault::Split => ways.into_iter().filter(across).collect(),
            Fault::Bridge => ways.into_iter().filter(|way| across(way) && way.0 != one && way.1 != one).collect(),
            Fault::OneWay => self.chance.pick(&ways).into_iter().collect(),
            Fault::Partial => self.any_link(),
            _ => ways,
        };
        let reset = self.chance.percent(30);
        let span = self.span();
        if reset {
            for &(from, to) in &blocked {
                self.sever(pair(from, to), None);
            }
        }
        self.block_for(blocked, span);
    }

    fn block_for(&mut self, ways: Vec<Way>, nanoseconds: u64) {
        ways.iter().for_each(|&way| self.block(way));
        self.until(nanoseconds, Fading::Blocks(ways));
    }

    fn flap(&mut self) {
        let ways = if self.chance.percent(20) { self.network.ways() } else { self.any_link() };
        let mut at = 0;
        for _ in 0..self.chance.between(3, 20) {
            let closed = self.chance.magnitude(10 * MILLISECOND, SECOND);
            self.after_fault(at, Strike::Block(ways.clone(), closed));
            at += closed + self.chance.magnitude(10 * MILLISECOND, SECOND);
        }
    }

    fn end_processes(&mut self, fault: Fault) {
        let away = self.span().min(DOWNTIME.1);
        match fault {
            Fault::Kill => self.end_one(Death::Killed, Self::anybody, away),
            Fault::KillLeader => self.end_one(Death::Killed, Self::leader_or_anybody, away),
            Fault::KillInWrite => self.end_one(Death::Killed, Self::writer_or_anybody, away),
            Fault::PowerLoss => self.end_one(Death::PowerLost, Self::anybody, away),
            Fault::PowerLossLeader => self.end_one(Death::PowerLost, Self::leader_or_anybody, away),
            Fault::PowerLossInWrite => self.end_one(Death::PowerLost, Self::writer_or_anybody, away),
            Fault::LongAbsence => self.end_one(Death::Killed, Self::anybody, 5 * SECOND + away * 5),
            Fault::KillAll | Fault::PowerLossAll => {
                let death = if fault == Fault::KillAll { Death::Killed } else { Death::PowerLost };
                for id in self.ids() {
                    let away = self.span().min(DOWNTIME.1);
                    self.die(id, death, away);
                }
            }
            Fault::CrashLoop => {
                let id = self.anybody();
                for count in 0..self.chance.between(3, 8) {
                    self.after_fault(count * (DOWNTIME.1 + SECOND), Strike::Kill(id));
                }
            }
            Fault::KillInStart => {
                let id = self.anybody();
                self.host(id).killed_in_start = true;
                self.die(id, Death::Killed, away);
            }
            Fault::RollingRestart => {
                for (count, id) in (0..).zip(self.ids()) {
                    self.after_fault(count * (DOWNTIME.1 + 2 * SECOND), Strike::Stop(id));
                }
            }
            _ => {
                let id = self.anybody();
                self.stop(id);
            }
        }
    }

    fn end_one(&mut self, death: Death, whom: fn(&mut World) -> NodeId, away: u64) {
        let id = whom(self);
        self.die(id, death, away);
    }

    fn hold_up(&mut self, fault: Fault) {
        let timeout = self.election_timeout();
        let long = timeout + self.span();
        match fault {
            Fault::ShortPause => {
                let (id, short) = (self.anybody(), self.chance.magnitude(MILLISECOND, timeout));
                self.pause(id, short);
            }
            Fault::LongPause => {
                let id = self.anybody();
                self.pause(id, long);
            }
            Fault::PauseLeader => {
                let id = self.leader_or_anybody();
                self.pause(id, long);
            }
            Fault::PauseAll => self.ids().into_iter().for_each(|id| self.pause(id, long)),
            _ => {
                let (id, span) = (self.anybody(), self.span());
                let late = self.chance.magnitude(MILLISECOND, 100 * MILLISECOND);
                self.host(id).sluggish = late;
                self.until(span, Fading::Sluggish(id));
            }
        }
    }

    fn spoil_disk(&mut self, fault: Fault) {
        let id = if fault == Fault::SlowSyncLeader { self.leader_or_anybody() } else { self.anybody() };
        let span = self.span();
        match fault {
            Fault::SlowSync | Fault::SlowSyncLeader => {
                let slow = self.chance.magnitude(5 * MILLISECOND, SECOND);
                self.host(id).slow_sync = slow;
                self.until(span, Fading::SlowSync(id));
            }
            Fault::StuckSync => {
                let timeout = self.election_timeout();
                let stuck = self.chance.between(timeout, 8 * SECOND);
                self.host(id).stuck_sync = stuck;
            }
            // A disk that fails a start is a start that is tried again: nothing to be learned from it.
            Fault::WriteError | Fault::SyncError | Fault::SnapshotError if self.hosts[&id].process.is_none() => {}
            Fault::WriteError => self.host(id).disk.fail_next(Operation::Write, io::ErrorKind::Other),
            Fault::SyncError => self.host(id).disk.fail_next(Operation::Sync, io::ErrorKind::Other),
            Fault::SnapshotError => {
                let operations = [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename];
                let operation = self.chance.pick(&operations).expect("there are some");
                self.host(id).disk.fail_next_of_snapshot(operation, io::ErrorKind::Other);
            }
            _ => {
                let room = self.chance.below(4096);
                let disk = &mut self.host(id).disk;
                disk.set_room(Some(room));
                self.host(id).disk_full = true;
                self.until(span, Fading::DiskFull(id));
            }
        }
    }

    fn spoil_clock(&mut self, fault: Fault) {
        let now = self.now;
        let id = self.anybody();
        let racing = self.plan.sabotage == Some(Sabotage::RacingClocks);
        let shift = i64::try_from(self.chance.magnitude(1, 3_600_000)).expect("an hour of milliseconds");
        match fault {
            Fault::Drift => {
                let speed = self.chance.between(SLOWEST_CLOCK, FASTEST_CLOCK);
                self.host(id).clock.set_speed(now, if racing { 3 * speed } else { speed });
            }
            Fault::ClockJump => {
                let ahead = self.chance.magnitude(MILLISECOND, 60 * SECOND);
                self.host(id).clock.jump(now, ahead);
                self.leases.jumped(now);
            }
            Fault::WallAhead => self.host(id).clock.shift_wall(shift),
            Fault::WallBack => self.host(id).clock.shift_wall(-shift),
            _ => {
                let span = self.span();
                self.host(id).clock.freeze(now);
                self.until(span, Fading::Frozen(id));
            }
        }
    }

    /// There is room on a disk again.
    fn empty_disk(&mut self, id: NodeId) {
        let host = self.host(id);
        host.disk.set_room(None);
        host.disk_full = false;
    }

    /// The one blow of a drill.
    pub(super) fn strike_leader(&mut self, blow: Blow) {
        let Some(leader) = self.leader() else { return };
        self.coverage.count("blows to a leader");
        self.note("drill", || format!("{leader}: {blow:?}"));
        match blow {
            Blow::Killed => self.die(leader, Death::Killed, SECOND),
            Blow::Unpowered => self.die(leader, Death::PowerLost, SECOND),
            Blow::Paused => self.pause(leader, SECOND),
            Blow::StepsAside => self.step_aside(),
            Blow::Deposed => {
                let ways = self.network.ways().into_iter().filter(|way| way.0 == leader || way.1 == leader);
                self.block_for(ways.collect(), SECOND);
            }
        }
    }

    fn step_aside(&mut self) {
        let id = self.leader_or_anybody();
        if self.host(id).post(Event::StepAside) {
            self.wake(id);
        }
    }

    fn change_mood(&mut self, fault: Fault) {
        match fault {
            Fault::Burst => {
                self.mood.bursting = true;
                (0..self.clients.len()).for_each(|client| self.rest(client));
            }
            Fault::LargeRequests => {
                let bytes = self.chance.magnitude(64, 4096);
                self.mood.padding = u32::try_from(bytes).expect("a few thousand bytes");
            }
            Fault::Impatience => self.mood.impatient = true,
            Fault::SlowWatchers => self.mood.slow_watchers = true,
            Fault::SlowHubs => self.mood.slow_hubs = true,
            _ => self.mood.silent = true,
        }
        let span = self.span();
        self.until(span, Fading::Mood);
    }
}
