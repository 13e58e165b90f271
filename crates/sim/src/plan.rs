//! What kind of world a seed makes: how many members, how fast everything is, and which faults there are. Each seed
//! enables a random subset of the faults (swarm testing): a bug that needs many crashes and no partition is found in
//! the worlds that have just that.

use std::time::Duration;

use node::{Limits, Timing};

use crate::chance::Chance;
use crate::clock::{MICROSECOND, MILLISECOND, MINUTE, SECOND};
use crate::drill::Drill;
use crate::fault::Fault;
use crate::network::Conditions;
use crate::sabotage::Sabotage;

/// What is asked of a simulation, beside its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// How long the faults last, in simulated nanoseconds; drawn from the seed if `None`.
    pub duration: Option<u64>,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// The one blow of a world in which all else goes well.
    pub drill: Option<Drill>,
}

/// How closely things follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A minute or two in which always something is wrong and somebody always asks.
    Dense,
    /// An hour or so as real ones are: clients that ask now and then, faults that are minutes apart.
    Sparse,
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How closely things follow each other.
    pub pace: Pace,
    /// How many members.
    pub members: u64,
    /// How many machines there are beside them, for members to come.
    pub spares: u64,
    /// The faults there are.
    pub faults: Vec<Fault>,
    /// The least and the longest time between two faults, in nanoseconds.
    pub fault_gap: (u64, u64),
    /// The longest that a fault lasts, in nanoseconds.
    pub fault_span: u64,
    /// How long there are faults, in nanoseconds.
    pub duration: u64,
    /// What every way is like when nothing is wrong with it.
    pub network: Conditions,
    /// How long a sync takes, in nanoseconds: least and most.
    pub sync: (u64, u64),
    /// How long after its events a member's turn comes, at most, in nanoseconds.
    pub turn: u64,
    /// What clients do.
    pub clients: ClientPlan,
    /// How many watchers there are.
    pub watchers: usize,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// The member's bounds.
    pub limits: Limits,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// The one blow of a world in which all else goes well.
    pub drill: Option<Drill>,
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// How many there are.
    pub count: u32,
    /// The longest pause between two things that a client does, in nanoseconds.
    pub pause: u64,
    /// How many requests a client has under way at most.
    pub window: usize,
    /// Registers that are touched by themselves only, registers that are exchanged, and registers on leases.
    pub registers: [u16; 3],
    /// How often each kind of thing is done.
    pub weights: Weights,
    /// Life spans of leases, in milliseconds: least and longest.
    pub ttl: (u64, u64),
    /// How long a client waits before it gives up, in nanoseconds.
    pub patience: u64,
}

/// How often a client does each kind of thing, compared with the others.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Put a register.
    pub put: u64,
    /// Have the leader read a register.
    pub get: u64,
    /// Read a register after a barrier.
    pub read: u64,
    /// Compare and set a register.
    pub compare: u64,
    /// Delete a register.
    pub delete: u64,
    /// Exchange several registers.
    pub exchange: u64,
    /// Put a register on a lease.
    pub attach: u64,
}

impl Plan {
    /// The world that belongs to a seed.
    pub fn draw(chance: &mut Chance, settings: Settings) -> Plan {
        // Who names a duration wants much to happen in it.
        let sparse = chance.percent(60) && settings.duration.is_none();
        let pace = if sparse { Pace::Sparse } else { Pace::Dense };
        let harsh = chance.percent(25);
        let density = chance.between(10, 60);
        let wanted = |fault: &&Fault| harsh || !fault.is_harsh();
        let candidates: Vec<Fault> = Fault::ALL.iter().filter(wanted).copied().collect();
        let mut faults: Vec<Fault> = candidates.iter().filter(|_| chance.percent(density)).copied().collect();
        if faults.is_empty() {
            faults.extend(chance.pick(&candidates));
        }
        let gap = match pace {
            Pace::Dense => chance.magnitude(300 * MILLISECOND, 10 * SECOND),
            Pace::Sparse => chance.magnitude(5 * SECOND, 300 * SECOND),
        };
        let drawn = match pace {
            Pace::Dense => chance.between(30, 120) * SECOND,
            Pace::Sparse => chance.between(20, 90) * MINUTE,
        };
        Plan {
            pace,
            members: if chance.percent(70) { 3 } else { 5 },
            spares: if faults.iter().any(|fault| fault.needs_spares()) { chance.between(1, 4) } else { 0 },
            faults,
            fault_gap: (gap / 4, gap),
            // In proportion to how often there is a fault, so that most worlds are neither always well nor always
            // broken.
            fault_span: (2 * gap).clamp(SECOND, 20 * SECOND),
            duration: settings.duration.unwrap_or(drawn),
            network: Conditions {
                delay: chance.magnitude(20 * MICROSECOND, 5 * MILLISECOND),
                jitter: chance.magnitude(10 * MICROSECOND, 2 * MILLISECOND),
                lane_delay: [0; 2],
                bandwidth: None,
                harsh: None,
            },
            sync: {
                let least = chance.magnitude(20 * MICROSECOND, 5 * MILLISECOND);
                (least, least * chance.between(1, 4))
            },
            turn: chance.magnitude(MICROSECOND, 500 * MICROSECOND),
            clients: match pace {
                Pace::Dense => ClientPlan::draw(chance),
                Pace::Sparse => ClientPlan::draw(chance).slowed(chance),
            },
            watchers: usize::try_from(chance.between(1, 4)).expect("a few"),
            timing: draw_timing(pace, chance),
            limits: draw_limits(pace, chance),
            sabotage: settings.sabotage,
            drill: settings.drill,
        }
        .drilled()
    }

    /// The busy world that a drill is held in: much is under way at any moment, and nothing goes wrong by chance.
    fn drilled(self) -> Plan {
        if self.drill.is_none() {
            return self;
        }
        let clients = ClientPlan {
            count: 4,
            pause: 25 * MILLISECOND,
            window: 6,
            patience: 2 * SECOND,
            ttl: (1000, 2000),
            ..self.clients
        };
        Plan {
            pace: Pace::Dense,
            members: 3,
            spares: 0,
            faults: Vec::new(),
            duration: crate::drill::DURATION,
            limits: Limits { request_timeout: Duration::from_secs(1), ..self.limits },
            timing: Timing::default(),
            clients,
            ..self
        }
    }
}

impl ClientPlan {
    /// How many requests a second all clients together ask at most, about. More would make the seed no better, only
    /// longer to run.
    const REQUESTS_PER_SECOND: u64 = 400;

    fn draw(chance: &mut Chance) -> ClientPlan {
        let count = chance.between(2, 8);
        let window = chance.magnitude(1, 12);
        // A client that wakes asks half of its window on average, and wakes twice in its longest pause.
        let pause_min = (count * window * SECOND / Self::REQUESTS_PER_SECOND).min(400 * MILLISECOND);
        ClientPlan {
            count: u32::try_from(count).expect("a few"),
            pause: chance.magnitude(pause_min.max(20 * MILLISECOND), 500 * MILLISECOND),
            window: usize::try_from(window).expect("a few"),
            registers: [1, 2, 3].map(|_| u16::try_from(chance.between(2, 12)).expect("a few")),
            weights: Weights {
                put: chance.between(1, 30),
                get: chance.between(0, 20),
                read: chance.between(1, 30),
                compare: chance.between(0, 20),
                delete: chance.between(0, 10),
                exchange: chance.between(0, 20),
                attach: chance.between(0, 10),
            },
            ttl: {
                let least = chance.between(500, 3000);
                (least, least * chance.between(1, 4))
            },
            patience: chance.between(2, 12) * SECOND,
        }
    }

    /// The same clients with much more time between what they do, and leases that last longer.
    fn slowed(self, chance: &mut Chance) -> ClientPlan {
        let least = chance.magnitude(1000, 20_000);
        ClientPlan {
            count: self.count.min(4),
            pause: chance.magnitude(2 * SECOND, 60 * SECOND),
            ttl: (least, least * chance.between(1, 4)),
            ..self
        }
    }
}

fn draw_timing(pace: Pace, chance: &mut Chance) -> Timing {
    let default = Timing::default();
    let slower = |factor| Timing {
        heartbeat: default.heartbeat * factor,
        election_min: default.election_min * factor,
        election_max: default.election_max * factor,
    };
    match (pace, chance.below(4)) {
        (Pace::Dense, 0) => {
            Timing { heartbeat: default.heartbeat / 2, election_min: default.election_min / 2, ..default }
        }
        (Pace::Dense, 1) => slower(2),
        // As between data centres. It also makes an hour cheap, for what happens between events is mostly heartbeats.
        (Pace::Sparse, 0) => slower(4),
        (Pace::Sparse, 1) => slower(10),
        _ => default,
    }
}

/// Bounds so small that they are reached.
fn draw_limits(pace: Pace, chance: &mut Chance) -> Limits {
    let change_bytes = 16 << 10;
    let mut limits = Limits { change_bytes, entry_bytes: 16 << 10, snapshot_log_bytes: 1 << 40, ..Limits::default() };
    limits.request_timeout = Duration::from_secs(chance.between(1, 7));
    // An hour's history would be read again at every start.
    if chance.percent(50) || pace == Pace::Sparse {
        limits.history_revisions = usize::try_from(chance.magnitude(16, 4096)).expect("small");
    }
    if chance.percent(30) {
        limits.history_bytes = chance.magnitude(4 << 10, 1 << 20);
    }
    if chance.percent(30) {
        limits.entry_bytes = usize::try_from(chance.magnitude(64, 4096)).expect("small");
    }
    if chance.percent(30) {
        limits.uncommitted_bytes = usize::try_from(chance.magnitude(512, 64 << 10)).expect("small");
    }
    if chance.percent(60) {
        limits.snapshot_log_bytes = chance.magnitude(8 << 10, 512 << 10);
    }
    if chance.percent(50) {
        limits.mailbox_changes = usize::try_from(chance.magnitude(2, 64)).expect("small");
    }
    limits.segment_bytes = limits.segment_bytes_min().next_multiple_of(4096) << chance.below(3);
    limits
}
