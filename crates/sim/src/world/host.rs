//! Machines, and the processes that run on them, die and are started again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use node::member::{Event, Member, Peers, Published, RequestTag};
use node::{Hub, NodeId, Options};
use state::LeaseId;

use super::clients::Waiter;
use super::operators::address;
use super::{Action, World, watchers};
use crate::chance::Chance;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND, VirtualClock};
use crate::disk::{Death, Disk, Written};
use crate::invariants::{Invariant, Verdict, must};
use crate::network::pair;
use crate::plan::Plan;

/// After so long without a sign of life a peer gives a connection up, in nanoseconds: a machine that vanished closes
/// nothing.
pub(super) const SILENCE_MAX: u64 = 4 * SECOND;

/// One machine.
pub(super) struct Host {
    pub(super) options: Options,
    pub(super) clock: VirtualClock,
    pub(super) disk: Disk,
    pub(super) chance: Chance,
    /// Counts its processes.
    pub(super) life: u64,
    pub(super) process: Option<Process>,
    /// Since when its process stands still.
    pub(super) paused: Option<u64>,
    /// How much later than usual its turns come at most, in nanoseconds.
    pub(super) sluggish: u64,
    /// How much longer than usual its syncs take at most, in nanoseconds.
    pub(super) slow_sync: u64,
    /// The next sync takes this much longer, in nanoseconds.
    pub(super) stuck_sync: u64,
    /// There is no room on the disk.
    pub(super) disk_full: bool,
    /// It is in use: a member, or about to be one, or not told yet that it is none any more.
    pub(super) present: bool,
    /// It was a member, and never will be again.
    pub(super) gone: bool,
    /// Since when a bit of its process's state is wrong.
    pub(super) damaged: Option<u64>,
    /// The next process is killed while it starts.
    pub(super) killed_in_start: bool,
}

/// One process.
pub(super) struct Process {
    pub(super) member: Member,
    pub(super) inbox: Vec<Event>,
    pub(super) touched: BTreeSet<LeaseId>,
    /// When its next turn is due, and the mark of that turn.
    pub(super) turn: Option<(u64, u64)>,
    pub(super) turns: u64,
    pub(super) published: Published,
    pub(super) hub: Arc<Hub>,
    /// Its hub is about to hear of what was published.
    pub(super) dispatching: bool,
    /// With whom it is to be connected; as its options say before it said so.
    pub(super) peers: Option<Peers>,
    /// The connections that it knows of.
    pub(super) links: BTreeMap<NodeId, u64>,
    pub(super) waiting: BTreeMap<RequestTag, Waiter>,
    pub(super) next_tag: u64,
    pub(super) log_failed: bool,
}

impl Host {
    pub(super) fn new(id: NodeId, plan: &Plan, chance: Chance) -> Host {
        let founds = id.0 <= plan.members;
        let options = Options {
            ensemble: "simulated".into(),
            id,
            members: (1..=plan.members).map(|id| address(NodeId(id))).collect(),
            join: !founds,
            listen_peer: None,
            data: PathBuf::new(),
            timing: plan.timing,
            limits: plan.limits,
        };
        Host {
            options,
            clock: VirtualClock::new(),
            disk: Disk::new(plan.limits.segment_bytes, plan.sabotage),
            chance,
            life: 0,
            process: None,
            paused: None,
            sluggish: 0,
            slow_sync: 0,
            stuck_sync: 0,
            disk_full: false,
            killed_in_start: false,
            present: founds,
            gone: false,
            damaged: None,
        }
    }

    /// Whether it waits to be a member.
    pub(super) fn is_spare(&self) -> bool {
        !self.present && !self.gone
    }

    /// Hands an event to the process, if there is one.
    pub(super) fn post(&mut self, event: Event) -> bool {
        let Some(process) = &mut self.process else { return false };
        process.inbox.push(event);
        true
    }
}

impl World {
    /// A process is started on what its machine's disk holds.
    pub(super) fn start(&mut self, id: NodeId, life: u64) -> Verdict {
        let now = self.now;
        let host = self.hosts.get_mut(&id).expect("every member has a host");
        if host.life != life || host.process.is_some() || !host.present {
            return Ok(());
        }
        host.clock.restart(now);
        let killed = std::mem::take(&mut host.killed_in_start);
        if killed {
            host.disk.interrupt_start_after(host.chance.below(12));
        }
        let salt = u32::try_from(host.chance.below(1 << 32)).expect("below 2^32");
        let recovered = host.disk.recover(&host.options, &self.protocols, salt);
        if killed {
            let death = if host.chance.percent(50) { Death::Killed } else { Death::PowerLost };
            host.disk.die(death, &mut host.chance);
            host.life += 1;
            let (life, wait) = (host.life, host.chance.below(SECOND));
            self.coverage.count("starts killed");
            self.note_of(id, || format!("killed while starting ({death:?})"));
            self.after(wait, Action::Start { id, life });
            return Ok(());
        }
        if recovered.is_err() && host.disk_full {
            self.coverage.count("starts on a full disk");
            self.after(SECOND, Action::Start { id, life });
            return Ok(());
        }
        let (found, state) = must(recovered, Invariant::MembersStartAgain, || id.to_string())?;
        let doubtful = host.disk.take_doubtful();
        let options = host.options.clone();
        let seed = host.chance.next();
        let member = Member::restore(options, self.protocols.clone(), found.clone(), state, host.clock.now(now), seed);
        let published = member.published();
        let told = format!("starts: {}, log {} to {}", found.ballot, found.base.last, found.last());
        self.coverage.count_if(found.loaded.is_some(), "starts from a snapshot");
        self.witness.started(id, found, &doubtful, &published)?;
        host.process = Some(Process {
            member,
            inbox: Vec::new(),
            touched: BTreeSet::new(),
            turn: None,
            turns: 0,
            hub: watchers::hub(published.state.revision(), host.options.limits.mailbox_changes),
            dispatching: false,
            published,
            peers: None,
            links: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_tag: 1,
            log_failed: false,
        });
        self.coverage.count("starts");
        self.note_of(id, || told);
        self.wake(id);
        for peer in self.ids().into_iter().filter(|&peer| peer != id) {
            self.expect_attempt(pair(id, peer));
        }
        Ok(())
    }

    /// A process ends, and is started again after `away` nanoseconds.
    pub(super) fn die(&mut self, id: NodeId, death: Death, away: u64) {
        let host = self.hosts.get_mut(&id).expect("every member has a host");
        let Some(process) = host.process.take() else { return };
        let busy = host.disk.is_busy();
        host.disk.die(death, &mut host.chance);
        host.life += 1;
        host.paused = None;
        host.damaged = None;
        let life = host.life;
        self.witness.ended(id);
        self.coverage.count(match death {
            Death::Stopped => "orderly stops",
            Death::Killed => "kills",
            Death::PowerLost => "power losses",
        });
        self.coverage.count_if(busy && death != Death::Stopped, "deaths during a write");
        self.note_of(id, || {
            format!("ends ({death:?}{}), back in {} ms", if busy { ", while writing" } else { "" }, away / MILLISECOND)
        });
        for (_, waiter) in process.waiting {
            self.abandoned(&waiter);
        }
        self.part_from_all(id, death);
        self.after(away, Action::Start { id, life });
    }

    /// A process stands still for so long.
    pub(super) fn pause(&mut self, id: NodeId, nanoseconds: u64) {
        let now = self.now;
        let host = self.host(id);
        if host.process.is_none() || host.paused.is_some() {
            return;
        }
        host.paused = Some(now);
        self.note_of(id, || format!("stands still for {} ms", nanoseconds / MILLISECOND));
        self.after(nanoseconds, Action::Resume { id, since: now });
        for peer in self.ids().into_iter().filter(|&peer| peer != id) {
            self.after(SILENCE_MAX, Action::Silent { way: (id, peer), since: now });
        }
    }

    pub(super) fn resume(&mut self, id: NodeId, since: u64) {
        let host = self.host(id);
        if host.paused != Some(since) {
            return;
        }
        host.paused = None;
        self.note_of(id, || "goes on".into());
        self.wake(id);
        self.begin_write(id);
    }

    /// An orderly stop: hand over first, then answer everybody, then end.
    pub(super) fn stop(&mut self, id: NodeId) {
        let host = self.host(id);
        let life = host.life;
        host.post(Event::StepAside);
        let patience = host.chance.between(10 * MILLISECOND, SECOND);
        self.wake(id);
        self.after(patience, Action::Stop { id, life });
    }

    pub(super) fn finish_stop(&mut self, id: NodeId, life: u64) {
        let host = self.host(id);
        if host.life == life && host.paused.is_none() && host.post(Event::Stop) {
            self.wake(id);
        }
    }

    /// Lets the log thread begin with what waits.
    pub(super) fn begin_write(&mut self, id: NodeId) {
        let sync = self.plan.sync;
        let host = self.host(id);
        if host.paused.is_some() {
            return;
        }
        let (began, lie) = host.disk.begin();
        if !began {
            return;
        }
        let slow = host.chance.below(host.slow_sync + 1) + std::mem::take(&mut host.stuck_sync);
        let takes = host.chance.between(sync.0, sync.1) + slow;
        let life = host.life;
        if let Some(ticket) = lie {
            host.post(Event::Written(ticket));
            self.wake(id);
        }
        self.after(takes, Action::Synced { id, life });
    }

    pub(super) fn synced(&mut self, id: NodeId, life: u64) -> Verdict {
        let host = self.hosts.get_mut(&id).expect("every member has a host");
        let Some(process) = host.process.as_mut().filter(|_| host.life == life) else { return Ok(()) };
        match host.disk.finish() {
            Written::Durable(ticket, writes, unreleased) => {
                self.coverage.count("syncs");
                self.witness.durable(id, writes)?;
                process.inbox.push(Event::Written(ticket));
                if let Some(why) = unreleased {
                    process.log_failed = true;
                    process.inbox.push(Event::LogFailed { why });
                }
            }
            Written::Failed(why) => {
                self.coverage.count("log failures");
                process.log_failed = true;
                process.inbox.push(Event::LogFailed { why });
            }
        }
        self.wake(id);
        self.begin_write(id);
        Ok(())
    }

    /// Sees to it that a process has a turn soon.
    pub(super) fn wake(&mut self, id: NodeId) {
        let usual = self.plan.turn;
        let host = self.host(id);
        let wait = MICROSECOND + host.chance.below(usual + 1) + host.chance.below(host.sluggish + 1);
        self.turn_in(id, wait);
    }

    /// Sees to it that a process has a turn in so many nanoseconds at the latest.
    pub(super) fn turn_in(&mut self, id: NodeId, wait: u64) {
        let due = self.now.saturating_add(wait);
        let host = self.host(id);
        let Some(process) = host.process.as_mut().filter(|_| host.paused.is_none()) else { return };
        if process.turn.is_some_and(|(at, _)| at <= due) {
            return;
        }
        process.turns += 1;
        // Marks of different lives differ, so that a turn of a dead process is nobody's.
        let token = host.life << 32 | process.turns;
        process.turn = Some((due, token));
        self.at(due, Action::Turn { id, token });
    }
}
