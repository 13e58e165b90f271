//! A whole ensemble in one thread: real members, logs and states; simulated time, network, processes and clients.
//!
//! Everything that will happen stands in one queue, ordered by time and then by when it was put there. Taking the next
//! thing out, doing it and checking what came of it is one step. Nothing else moves time.
//!
//! Parts: [`host`] (machines and processes), [`turns`] (what a member's turn brings about), [`links`] (connections and
//! messages), [`snapshots`] (states as files), [`faults`] (what goes wrong), [`clients`] (who asks and remembers), [`settle`] (what must come true once
//! nothing goes wrong any more).

mod answers;
mod clients;
mod damage;
mod faults;
mod host;
mod links;
mod operators;
mod settle;
mod snapshots;
mod turns;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use node::{NodeId, PeerMessage, Protocol};
use raft::Lane;

use self::clients::Client;
use self::faults::{Fading, Strike};
use self::host::Host;
use self::watchers::Watcher;
use crate::chance::{Chance, mix};
use crate::check::History;
use crate::clock::{MILLISECOND, SECOND};
use crate::coverage::Coverage;
use crate::drill::Drill;
use crate::invariants::leases::LeaseBook;
use crate::invariants::{Invariant, Verdict, Violation, Witness, ensure, take_looks};
use crate::network::{Due, Network, Pair, Way};
use crate::plan::{Plan, Settings};
use crate::registers::Registers;

/// More than any world does in a second.
const STEPS_IN_A_SECOND: u64 = 1_000_000;

/// Something that will happen.
enum Action {
    /// A member's turn comes.
    Turn { id: NodeId, token: u64 },
    /// Messages on a lane have arrived.
    Deliver(Due),
    /// A message that goes its own way has arrived.
    Arrive { to: NodeId, from: NodeId, message: Box<PeerMessage> },
    /// Somebody tries to connect two members.
    Attempt(Pair),
    /// A process learns that a connection stands or broke.
    Learn { id: NodeId, life: u64, peer: NodeId, generation: u64, stands: bool },
    /// Nothing came this way for so long that the receiver gives the connection up.
    Silent { way: Way, since: u64 },
    /// A disk is done with a write.
    Synced { id: NodeId, life: u64 },
    /// A snapshot is written down.
    Saved { id: NodeId, life: u64 },
    /// A snapshot is through, or not.
    Carried { from: NodeId, to: NodeId, lives: (u64, u64) },
    /// A process is started.
    Start { id: NodeId, life: u64 },
    /// A process goes on after it stood still.
    Resume { id: NodeId, since: u64 },
    /// An orderly stop comes to its end.
    Stop { id: NodeId, life: u64 },
    /// A client does its next thing.
    Client { client: usize, token: u64 },
    /// A watcher looks what has come.
    Watcher(usize),
    /// A member's hub hands out what is new.
    Dispatch { id: NodeId, life: u64 },
    /// A lost member is to be replaced.
    Replace(NodeId),
    /// Something goes wrong.
    Fault,
    /// A part of a longer fault is due.
    Strike { epoch: u64, strike: Strike },
    /// A fault is over.
    Fade { epoch: u64, fading: Fading },
}

/// What a simulation came to when nothing was violated.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was covered.
    pub coverage: Coverage,
    /// Depends on everything that happened: two runs of one seed end with the same.
    pub digest: u64,
    /// How long it took, in simulated nanoseconds.
    pub simulated: u64,
}

/// Where the lines of a trace go.
pub type Trace = Box<dyn FnMut(&str)>;

/// A simulated ensemble.
pub struct World {
    plan: Plan,
    now: u64,
    queue: BTreeMap<(u64, u64), Action>,
    queued: u64,
    digest: u64,
    steps: u64,
    /// The present second, and the steps within it.
    second: (u64, u64),
    /// Turns of members, and messages by kind: counted apart, for there are so many.
    turns: u64,
    messages: [u64; turns::MESSAGES.len()],
    chance: Chance,
    protocols: Vec<Arc<dyn Protocol>>,
    hosts: BTreeMap<NodeId, Host>,
    network: Network,
    attempts: BTreeSet<Pair>,
    /// The next message on these ways arrives with other bits.
    corrupted_next: BTreeSet<Way>,
    clients: Vec<Client>,
    watchers: Vec<Watcher>,
    next_request: u64,
    next_stream: u64,
    next_lease: i64,
    /// When each lease was asked for.
    grants: BTreeMap<i64, u64>,
    /// The newest revision that any client was told of.
    acknowledged: u64,
    history: History,
    leases: LeaseBook,
    witness: Witness,
    /// Counts the times that everything was healed: what a fault of an earlier time left to be done is void.
    epoch: u64,
    mood: clients::Mood,
    coverage: Coverage,
    trace: Option<Trace>,
}

impl World {
    /// The world of a seed, before anything happened.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, trace: Option<Trace>) -> World {
        // What an earlier world on this thread looked at is not this one's.
        let _ = take_looks();
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance, settings);
        let members: Vec<NodeId> = (1..=plan.members + plan.spares).map(NodeId).collect();
        let protocols: Vec<Arc<dyn Protocol>> = vec![Arc::new(Registers)];
        let hosts: BTreeMap<NodeId, Host> =
            members.iter().map(|&id| (id, Host::new(id, &plan, chance.branch()))).collect();
        let initial: Vec<_> = hosts.iter().map(|(&id, host)| (id, host.options.initial_membership())).collect();
        let network = Network::new(&members, plan.network, plan.limits.peer_queue_bytes as u64, chance.branch());
        let clients = (0..plan.clients.count).map(|number| Client::new(number, chance.branch())).collect();
        let counts = plan.clients.registers;
        let watchers =
            (0..plan.watchers).map(|number| Watcher::new(number, clients::GROUPS, counts, chance.branch())).collect();
        let mut world = World {
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            digest: mix(seed),
            steps: 0,
            second: (0, 0),
            turns: 0,
            messages: [0; turns::MESSAGES.len()],
            chance,
            hosts,
            network,
            attempts: BTreeSet::new(),
            corrupted_next: BTreeSet::new(),
            clients,
            watchers,
            next_request: 1,
            next_stream: 1,
            next_lease: 1,
            grants: BTreeMap::new(),
            acknowledged: 0,
            history: History::default(),
            leases: LeaseBook::default(),
            witness: Witness::new(initial, Registers.tables()),
            epoch: 0,
            mood: clients::Mood::default(),
            coverage: Coverage::default(),
            trace,
            protocols,
            plan,
        };
        world.begin();
        world
    }

    /// Lets everything happen: faults and load, then the time in which all must become well, then the judgement over
    /// all that clients remember.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(&mut self) -> Result<Report, Violation> {
        self.run_until(self.plan.duration)?;
        self.settle()?;
        self.judge()?;
        self.finish_counting();
        Ok(Report { coverage: self.coverage.clone(), digest: self.digest, simulated: self.now })
    }

    /// Lets everything happen up to a moment, and tells how many steps that were.
    pub(crate) fn steps_until(&mut self, end: u64) -> Result<u64, Violation> {
        self.run_until(end)?;
        Ok(self.steps)
    }

    /// The present, in true nanoseconds since the beginning.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    fn begin(&mut self) {
        if self.plan.sabotage == Some(crate::sabotage::Sabotage::LossyLanes) {
            self.network.sabotage_lanes();
        }
        for id in self.ids() {
            let at = self.chance.below(20 * MILLISECOND);
            self.at(at, Action::Start { id, life: 0 });
        }
        for client in 0..self.clients.len() {
            self.wake_client(client, SECOND / 2);
        }
        for watcher in 0..self.watchers.len() {
            self.wake_watcher(watcher);
        }
        let first = SECOND + self.chance.below(2 * SECOND);
        self.at(first, Action::Fault);
        let plan = format!("{:?}", self.plan);
        self.note("world", || plan);
    }

    fn run_until(&mut self, end: u64) -> Verdict {
        while let Some(next) = self.queue.first_entry() {
            if next.key().0 > end {
                break;
            }
            let ((at, number), action) = next.remove_entry();
            assert!(at >= self.now, "time never goes back");
            self.now = at;
            self.count_step()?;
            self.digest = mix(self.digest ^ at ^ number.rotate_left(32) ^ action.kind());
            self.act(action)?;
            if let Some(Drill { blow, .. }) = self.plan.drill.filter(|drill| drill.step == self.steps) {
                self.strike_leader(blow);
            }
        }
        self.now = end;
        Ok(())
    }

    /// A world that goes in circles would never end.
    fn count_step(&mut self) -> Verdict {
        self.steps += 1;
        if self.now / SECOND != self.second.0 {
            self.second = (self.now / SECOND, 0);
        }
        self.second.1 += 1;
        ensure(self.second.1 <= STEPS_IN_A_SECOND, Invariant::TimeGoesOn, || {
            format!("{} steps within one simulated second", self.second.1)
        })
    }

    fn act(&mut self, action: Action) -> Verdict {
        match action {
            Action::Turn { id, token } => self.turn(id, token)?,
            Action::Deliver(due) => self.deliver(due),
            Action::Arrive { to, from, message } => self.arrive(to, from, *message),
            Action::Attempt(pair) => self.attempt(pair),
            Action::Learn { id, life, peer, generation, stands } => self.learn(id, life, peer, generation, stands),
            Action::Silent { way, since } => self.silent(way, since),
            Action::Synced { id, life } => self.synced(id, life)?,
            Action::Saved { id, life } => self.snapshot_saved(id, life),
            Action::Carried { from, to, lives } => self.snapshot_carried(from, to, lives),
            Action::Start { id, life } => self.start(id, life)?,
            Action::Resume { id, since } => self.resume(id, since),
            Action::Stop { id, life } => self.finish_stop(id, life),
            Action::Client { client, token } => self.client(client, token)?,
            Action::Watcher(watcher) => self.watcher(watcher)?,
            Action::Dispatch { id, life } => self.dispatch(id, life),
            Action::Replace(id) => self.replace(id),
            Action::Fault => self.fault(),
            Action::Strike { epoch, strike } if epoch == self.epoch => self.strike(strike),
            Action::Fade { epoch, fading } if epoch == self.epoch => self.fade(fading),
            Action::Strike { .. } | Action::Fade { .. } => {}
        }
        Ok(())
    }

    fn at(&mut self, at: u64, action: Action) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), action);
    }

    fn after(&mut self, wait: u64, action: Action) {
        self.at(self.now.saturating_add(wait), action);
    }

    /// All machines that are in use.
    fn ids(&self) -> Vec<NodeId> {
        self.hosts.iter().filter(|(_, host)| host.present).map(|(&id, _)| id).collect()
    }

    fn host(&mut self, id: NodeId) -> &mut Host {
        self.hosts.get_mut(&id).expect("every member has a host")
    }

    /// Writes a line of the trace, if anybody reads it.
    fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (seconds, rest) = (self.now / SECOND, self.now % SECOND / 1000);
            trace(&format!("[{seconds:>5}.{rest:06}] {who:<8} {}", what()));
        }
    }

    fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    fn note_of(&mut self, id: NodeId, what: impl FnOnce() -> String) {
        if self.is_traced() {
            self.note(&id.to_string(), what);
        }
    }
}

impl Action {
    /// A number for each kind, for the digest.
    fn kind(&self) -> u64 {
        match self {
            Action::Turn { id, .. } => 1 << 8 | id.0,
            Action::Deliver(due) => 2 << 8 | due.way.1.0 << 1 | u64::from(due.lane == Lane::Bulk),
            Action::Arrive { to, .. } => 3 << 8 | to.0,
            Action::Attempt(pair) => 4 << 8 | pair.1.0,
            Action::Learn { id, .. } => 5 << 8 | id.0,
            Action::Silent { way, .. } => 6 << 8 | way.1.0,
            Action::Synced { id, .. } => 7 << 8 | id.0,
            Action::Start { id, .. } => 8 << 8 | id.0,
            Action::Resume { id, .. } => 9 << 8 | id.0,
            Action::Stop { id, .. } => 10 << 8 | id.0,
            Action::Client { client, .. } => 11 << 8 | *client as u64,
            Action::Watcher(watcher) => 17 << 8 | *watcher as u64,
            Action::Dispatch { id, .. } => 18 << 8 | id.0,
            Action::Replace(id) => 19 << 8 | id.0,
            Action::Fault => 12 << 8,
            Action::Strike { .. } => 13 << 8,
            Action::Fade { .. } => 14 << 8,
            Action::Saved { id, .. } => 15 << 8 | id.0,
            Action::Carried { to, .. } => 16 << 8 | to.0,
        }
    }
}
