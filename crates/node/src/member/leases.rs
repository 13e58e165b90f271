//! When leases run out: the leader's memory of who was heard when. It may not know what a lease holds.
//!
//! Keeping a lease alive is one write into a map: no log entry, no scan. The queue of deadlines is lazy: an entry
//! that comes up for a lease that was heard since is queued again at its true deadline.

use std::collections::BTreeMap;
use std::ops::Bound;

use state::{LeaseId, State};

use crate::clock::MILLISECOND;
use crate::handle::Remaining;

/// Deadlines in nanoseconds of the awake clock, so that a member that stood still expires nobody.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    leases: BTreeMap<LeaseId, Deadline>,
    /// Slots of time, each with the leases that may run out in it. A lease counts only in the slot it names.
    slots: BTreeMap<u64, Vec<LeaseId>>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: u64,
    time_to_live: u64,
    slot: u64,
}

/// Leases expire within one slot after their deadline, never before it.
const SLOT: u64 = 32 * MILLISECOND;

impl Deadlines {
    /// A new leader gives every lease its full time, or what a checkpoint in the log says is left of it.
    pub(super) fn all_of(state: &State, awake: u64) -> Deadlines {
        let mut deadlines = Deadlines::default();
        for (id, lease) in state.leases() {
            let full = lease.ttl_milliseconds.saturating_mul(MILLISECOND);
            let left = lease.remaining_milliseconds.saturating_mul(MILLISECOND).min(full);
            deadlines.insert(id, full, awake.saturating_add(left));
        }
        deadlines
    }

    /// A lease was granted just now.
    pub(super) fn granted(&mut self, lease: LeaseId, ttl_milliseconds: u64, awake: u64) {
        let time_to_live = ttl_milliseconds.saturating_mul(MILLISECOND);
        // Granted anew, perhaps with another time: whatever was queued for it before no longer counts.
        self.insert(lease, time_to_live, awake.saturating_add(time_to_live));
    }

    /// Its owner was heard: its time begins anew. False if there is no such lease.
    pub(super) fn renew(&mut self, lease: LeaseId, awake: u64) -> bool {
        let Some(deadline) = self.leases.get_mut(&lease) else { return false };
        deadline.at = awake.saturating_add(deadline.time_to_live);
        true
    }

    /// What is left of a lease.
    pub(super) fn remaining(&self, lease: LeaseId, awake: u64) -> Option<Remaining> {
        self.leases.get(&lease).map(|deadline| Remaining {
            ttl_milliseconds: deadline.at.saturating_sub(awake) / MILLISECOND,
            granted_milliseconds: deadline.time_to_live / MILLISECOND,
        })
    }

    /// Leases in order of their ids, each with the milliseconds that are left of it.
    pub(super) fn left_from(&self, from: Bound<LeaseId>, awake: u64) -> impl Iterator<Item = (LeaseId, u64)> {
        let leases = self.leases.range((from, Bound::Unbounded));
        leases.map(move |(id, deadline)| (*id, deadline.at.saturating_sub(awake) / MILLISECOND))
    }

    /// Takes out up to `most` leases whose time has run out.
    pub(super) fn take_expired(&mut self, awake: u64, most: usize) -> Vec<LeaseId> {
        let mut expired = Vec::new();
        while let Some(slot) = self.slots.first_entry() {
            if slot.key().saturating_mul(SLOT) > awake || expired.len() >= most {
                break;
            }
            let (number, mut waiting) = slot.remove_entry();
            while let Some(lease) = waiting.pop() {
                if expired.len() >= most {
                    waiting.push(lease);
                    break;
                }
                // A lease that was revoked, and perhaps granted anew, leaves its old place in the queue behind.
                let Some(deadline) = self.leases.get(&lease).filter(|deadline| deadline.slot == number) else {
                    continue;
                };
                if deadline.at > awake {
                    self.queue(lease);
                } else {
                    self.leases.remove(&lease);
                    expired.push(lease);
                }
            }
            if !waiting.is_empty() {
                // The rest of the slot is due as well: it is found first the next time.
                self.slots.entry(number).or_default().append(&mut waiting);
            }
        }
        expired.sort_unstable();
        expired
    }

    /// Whether a lease may have run out by now.
    pub(super) fn is_due(&self, awake: u64) -> bool {
        self.slots.first_key_value().is_some_and(|(slot, _)| slot.saturating_mul(SLOT) <= awake)
    }

    /// The lease is gone.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
    }

    fn insert(&mut self, lease: LeaseId, time_to_live: u64, at: u64) {
        self.leases.insert(lease, Deadline { at, time_to_live, slot: 0 });
        self.queue(lease);
    }

    fn queue(&mut self, lease: LeaseId) {
        let deadline = self.leases.get_mut(&lease).expect("only known leases are queued");
        deadline.slot = deadline.at.div_ceil(SLOT);
        self.slots.entry(deadline.slot).or_default().push(lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000 * MILLISECOND;

    #[test]
    fn a_lease_expires_within_a_slot_after_its_deadline_and_never_before() {
        let mut deadlines = Deadlines::default();
        deadlines.granted(LeaseId(7), 1000, 0);
        assert_eq!(deadlines.take_expired(SECOND - 1, 10), []);
        assert_eq!(deadlines.take_expired(SECOND + SLOT, 10), [LeaseId(7)]);
        assert_eq!(deadlines.take_expired(10 * SECOND, 10), []);
    }

    #[test]
    fn a_renewed_lease_gets_its_full_time_again() {
        let mut deadlines = Deadlines::default();
        deadlines.granted(LeaseId(7), 1000, 0);
        assert!(deadlines.renew(LeaseId(7), SECOND / 2));
        assert_eq!(deadlines.take_expired(SECOND + SLOT, 10), []);
        assert_eq!(deadlines.remaining(LeaseId(7), SECOND).map(|left| left.ttl_milliseconds), Some(500));
        assert_eq!(deadlines.take_expired(3 * SECOND / 2 + SLOT, 10), [LeaseId(7)]);
    }

    #[test]
    fn more_leases_than_a_turn_may_expire_are_expired_in_the_next() {
        let mut deadlines = Deadlines::default();
        for id in 0..100 {
            deadlines.granted(LeaseId(id), 1000, 0);
        }
        let mut expired = Vec::new();
        for _ in 0..4 {
            expired.extend(deadlines.take_expired(2 * SECOND, 30));
        }
        expired.sort_unstable();
        assert_eq!(expired, (0..100).map(LeaseId).collect::<Vec<_>>());
    }

    #[test]
    fn a_lease_granted_anew_with_another_time_lives_for_that() {
        let mut deadlines = Deadlines::default();
        deadlines.granted(LeaseId(7), 1000, 0);
        deadlines.granted(LeaseId(7), 3000, 0);
        assert_eq!(deadlines.take_expired(2 * SECOND, 10), []);
        deadlines.renew(LeaseId(7), 2 * SECOND);
        assert_eq!(deadlines.take_expired(4 * SECOND, 10), []);
        deadlines.granted(LeaseId(7), 500, 4 * SECOND);
        assert_eq!(deadlines.take_expired(5 * SECOND, 10), [LeaseId(7)]);
    }

    #[test]
    fn a_revoked_lease_that_is_granted_anew_expires_once_at_its_new_time() {
        let mut deadlines = Deadlines::default();
        deadlines.granted(LeaseId(7), 1000, 0);
        deadlines.forget(LeaseId(7));
        deadlines.granted(LeaseId(7), 3000, 0);
        assert_eq!(deadlines.take_expired(2 * SECOND, 10), []);
        assert_eq!(deadlines.take_expired(4 * SECOND, 10), [LeaseId(7)]);
    }
}
