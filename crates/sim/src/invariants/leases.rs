//! Leases end when their time is over: not before, and not never.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, ensure};
use crate::clock::{MILLISECOND, VirtualClock};

/// The fastest clock that a member may have, in microseconds per true second.
pub const FASTEST_CLOCK: u64 = 1_050_000;
/// The slowest.
pub const SLOWEST_CLOCK: u64 = 950_000;
/// How much of a jump of the monotonic clock a member takes for time that passed, in nanoseconds.
const COUNTED_OF_A_JUMP: u64 = 250 * MILLISECOND;

/// What is known of one lease.
#[derive(Clone, Copy, Debug)]
struct Life {
    ttl: u64,
    /// When its owner last asked for something that was then confirmed: at that moment it was surely not heard yet.
    heard: u64,
    /// When the entry that ended it by expiry was proposed.
    ran_out: Option<u64>,
    /// Whether an entry that ends it is committed.
    ended: bool,
}

impl Life {
    /// The shortest time, in nanoseconds, for which the fastest clock lets it live.
    fn shortest(&self) -> u64 {
        self.ttl / FASTEST_CLOCK * VirtualClock::TRUE_SPEED
    }
}

/// All leases that were ever granted.
#[derive(Clone, Debug, Default)]
pub struct LeaseBook {
    lives: BTreeMap<i64, Life>,
    jumps: Vec<u64>,
}

impl LeaseBook {
    /// A clock jumped.
    pub fn jumped(&mut self, now: u64) {
        self.jumps.push(now);
    }

    /// A lease began; it was asked for at `asked`.
    pub fn granted(&mut self, lease: i64, ttl_milliseconds: u64, asked: u64) {
        let ttl = ttl_milliseconds * MILLISECOND;
        self.lives.insert(lease, Life { ttl, heard: asked, ran_out: None, ended: false });
    }

    /// An entry that ends it is committed.
    pub fn ended(&mut self, lease: i64) {
        if let Some(life) = self.lives.get_mut(&lease) {
            life.ended = true;
        }
    }

    /// Its owner asked at `asked` to keep it, and was told that it is kept.
    ///
    /// # Errors
    /// It had run out before that, or ran out too soon after.
    pub fn kept(&mut self, lease: i64, asked: u64) -> Verdict {
        let Some(life) = self.lives.get_mut(&lease) else { return Ok(()) };
        life.heard = life.heard.max(asked);
        life.ran_out.map_or(Ok(()), |proposed| self.expired(lease, proposed))
    }

    /// Its owner was told that it does not exist.
    ///
    /// # Errors
    /// Nothing that is committed ended it.
    pub fn missed(&self, lease: i64) -> Verdict {
        let lives = self.lives.get(&lease).is_some_and(|life| !life.ended);
        ensure(!lives, Invariant::LeasesAreMissedOnlyWhenEnded, || {
            format!("the owner of lease {lease} was told that there is none, and nothing committed has ended it")
        })
    }

    /// Leases never expire early: its owner was heard no later than its span before the entry that ends it.
    ///
    /// # Errors
    /// It was heard later.
    pub fn expired(&mut self, lease: i64, proposed: u64) -> Verdict {
        let Some(life) = self.lives.get_mut(&lease) else { return Ok(()) };
        life.ran_out = Some(proposed);
        let Life { ttl, heard, .. } = *life;
        let jumps = self.jumps.iter().filter(|&&at| at >= heard && at <= proposed).count() as u64;
        let due = (heard + life.shortest()).saturating_sub(jumps * COUNTED_OF_A_JUMP);
        ensure(proposed >= due, Invariant::LeasesNeverExpireEarly, || {
            let (ttl, heard) = (ttl / MILLISECOND, heard / MILLISECOND);
            let proposed = proposed / MILLISECOND;
            format!("lease {lease} of {ttl} ms, heard at {heard} ms, ended at {proposed} ms, after {jumps} clock jumps")
        })
    }

    /// The longest span that was ever granted, in nanoseconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.lives.values().map(|life| life.ttl).max().unwrap_or(0)
    }
}

/// Leases that nobody keeps are gone when their time is over.
///
/// # Errors
/// Some are left.
pub fn leases_end_within_their_bound(left: usize, waited_milliseconds: u64) -> Verdict {
    ensure(left == 0, Invariant::LeasesEnd, || {
        format!("{left} leases are left {waited_milliseconds} ms after anybody kept any")
    })
}
