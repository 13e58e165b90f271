//! Time, turned into the few edges that the core knows. Outside of the core, and the only file
//! here that knows of time at all.
//!
//! A `u64` of nanoseconds since any fixed moment goes in, [`Edge`]s come out. No clock is read and no system
//! randomness is used: the same seed and the same calls give the same edges, in production as in simulation.
//! The model checker does without a pacer and fires any edge at any moment.
//!
//! What the timers mean:
//! - a follower's election timer runs `election_min` to `election_max` at random, from the last word of a
//!   leader; with evidence of the leader's death, 0 to `quick_max`;
//! - a leader's runs exactly `election_min`: it is its time to ask itself for a majority;
//! - the silence timer runs `election_min` from the last word of a leader;
//! - heartbeats come every `heartbeat` while leading;
//! - while the group sleeps, nothing runs.
//!
//! A member that slept must not blame the leader: if the pacer is asked later than `heartbeat` after an
//! election or silence edge was due, it was this process that stood still. Then the edge waits once more for
//! one `heartbeat`, so that what lies in the sockets is heard first.

use std::fmt::{self, Display, Formatter};

use crate::effects::{Effects, Rearm, Role};
use crate::input::Input;

/// How long things take, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat: u64,
    /// The shortest election timeout; also a leader's time to hear from a majority.
    pub election_min: u64,
    /// The longest election timeout.
    pub election_max: u64,
    /// The longest delay before an election on evidence. The shortest is 0.
    pub quick_max: u64,
}

/// A moment that matters to the core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Edge {
    /// See [`Input::LeaderSilent`].
    LeaderSilent,
    /// See [`Input::ElectionDue`].
    ElectionDue,
    /// See [`Input::HeartbeatDue`].
    HeartbeatDue,
}

/// A timing that will not work, or not well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FoolishTiming {
    /// A duration of zero.
    Zero,
    /// `election_max` is not above `election_min`: members would campaign at the same moment, again and again.
    NoSpread {
        /// `election_min`, nanoseconds.
        election_min: u64,
        /// `election_max`, nanoseconds.
        election_max: u64,
    },
    /// Fewer than three heartbeats fit into `election_min`: one lost message could cost the leader.
    FewHeartbeats {
        /// `heartbeat`, nanoseconds.
        heartbeat: u64,
        /// `election_min`, nanoseconds.
        election_min: u64,
    },
}

/// The timers of one member.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pacer {
    timing: Timing,
    random: u64,
    leading: bool,
    election: Deadline,
    silence: Option<Deadline>,
    heartbeat: Option<u64>,
}

/// When an edge is due, and whether it was put off once because the process stood still.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Deadline {
    at: u64,
    put_off: bool,
}

const MILLISECOND: u64 = 1_000_000;

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: 50 * MILLISECOND,
            election_min: 300 * MILLISECOND,
            election_max: 600 * MILLISECOND,
            quick_max: 10 * MILLISECOND,
        }
    }
}

impl Timing {
    /// Everything that is foolish about these values; a good timing gives an empty list.
    #[must_use]
    pub fn warnings(&self) -> Vec<FoolishTiming> {
        let Self { heartbeat, election_min, election_max, .. } = *self;
        let mut warnings = Vec::new();
        if heartbeat == 0 || election_min == 0 {
            warnings.push(FoolishTiming::Zero);
        }
        if election_max <= election_min {
            warnings.push(FoolishTiming::NoSpread { election_min, election_max });
        }
        if heartbeat.saturating_mul(3) > election_min {
            warnings.push(FoolishTiming::FewHeartbeats { heartbeat, election_min });
        }
        warnings
    }
}

impl Pacer {
    /// The timers of a member that starts at `now`. Different members need different seeds.
    #[must_use]
    pub fn new(timing: Timing, seed: u64, now: u64) -> Self {
        let election = Deadline { at: now, put_off: false };
        let mut pacer = Self { timing, random: seed, leading: false, election, silence: None, heartbeat: None };
        pacer.rearm(Rearm::Election, now);
        pacer
    }

    /// Takes note of what one drain said about role and timer. Call it with every drain, at its time.
    pub fn observe<P>(&mut self, effects: &Effects<P>, now: u64) {
        if let Some(standing) = &effects.standing {
            let leads = standing.role == Role::Leader;
            if leads != self.leading {
                self.leading = leads;
                self.heartbeat = leads.then(|| now.saturating_add(self.timing.heartbeat));
                self.rearm(Rearm::Election, now);
            }
        }
        if let Some(timer) = effects.timer {
            self.rearm(timer, now);
        }
    }

    /// When [`due`](Pacer::due) wants to be asked next.
    #[must_use]
    pub fn next(&self) -> u64 {
        let silence = self.silence.map_or(u64::MAX, |deadline| deadline.at);
        self.election.at.min(silence).min(self.heartbeat.unwrap_or(u64::MAX))
    }

    /// The next edge that is due at `now`, if any. Ask again until there is none.
    pub fn due(&mut self, now: u64) -> Option<Edge> {
        let heartbeat = self.timing.heartbeat;
        if let Some(silence) = &mut self.silence
            && silence.fires(now, heartbeat)
        {
            self.silence = None;
            return Some(Edge::LeaderSilent);
        }
        if self.election.fires(now, heartbeat) {
            self.election = Deadline { at: now.saturating_add(self.election_timeout()), put_off: false };
            return Some(Edge::ElectionDue);
        }
        if self.heartbeat.is_some_and(|at| at <= now) {
            self.heartbeat = Some(now.saturating_add(heartbeat.max(1)));
            return Some(Edge::HeartbeatDue);
        }
        None
    }

    fn rearm(&mut self, timer: Rearm, now: u64) {
        let wait = match timer {
            Rearm::Election => {
                let at = now.saturating_add(self.timing.election_min);
                self.silence = (!self.leading).then_some(Deadline { at, put_off: false });
                if self.leading && self.heartbeat.is_none() {
                    self.heartbeat = Some(now.saturating_add(self.timing.heartbeat));
                }
                self.election_timeout()
            }
            Rearm::Quick => self.draw(self.timing.quick_max),
            Rearm::Rest => {
                (self.election, self.silence, self.heartbeat) = (Deadline::NEVER, None, None);
                return;
            }
        };
        self.election = Deadline { at: now.saturating_add(wait), put_off: false };
    }

    fn election_timeout(&mut self) -> u64 {
        let shortest = self.timing.election_min.max(1);
        if self.leading {
            return shortest;
        }
        shortest.saturating_add(self.draw(self.timing.election_max.saturating_sub(shortest)))
    }

    /// A random number up to and including `most` (SplitMix64).
    fn draw(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        most.checked_add(1).map_or(mixed, |bound| mixed % bound)
    }
}

impl Deadline {
    /// A timer that stands still.
    const NEVER: Deadline = Deadline { at: u64::MAX, put_off: false };

    /// Whether the edge is due; if this process stood still meanwhile, it is put off once.
    fn fires(&mut self, now: u64, grace: u64) -> bool {
        if self.at > now {
            return false;
        }
        if !self.put_off && now - self.at > grace {
            *self = Deadline { at: now.saturating_add(grace), put_off: true };
            return false;
        }
        true
    }
}

impl<P> From<Edge> for Input<P> {
    fn from(edge: Edge) -> Self {
        match edge {
            Edge::LeaderSilent => Input::LeaderSilent,
            Edge::ElectionDue => Input::ElectionDue,
            Edge::HeartbeatDue => Input::HeartbeatDue,
        }
    }
}

impl Display for FoolishTiming {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let milliseconds = |nanoseconds: &u64| nanoseconds / MILLISECOND;
        match self {
            Self::Zero => f.write_str("heartbeat and election timeout must be above zero"),
            Self::NoSpread { election_min, election_max } => write!(
                f,
                "the longest election timeout ({} ms) must be above the shortest ({} ms), or votes split again and again",
                milliseconds(election_max),
                milliseconds(election_min)
            ),
            Self::FewHeartbeats { heartbeat, election_min } => write!(
                f,
                "at least three heartbeats ({} ms) should fit into the shortest election timeout ({} ms)",
                milliseconds(heartbeat),
                milliseconds(election_min)
            ),
        }
    }
}

impl std::error::Error for FoolishTiming {}

#[cfg(test)]
mod tests;
