//! What is left of long leases, written into the log from time to time, so that a lease of an hour does not begin anew
//! with every leader: else one whose owner is gone could live for ever. It may not know what a lease holds.
//!
//! Short leases simply get their full time again from a new leader; that costs nothing. Of a long one whose owner was not
//! heard for a while the log learns how much is left. When the owner is heard again, the log takes that back before he
//! is answered: a new leader never gives less than what was promised last.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use state::{LeaseId, State};

use super::leases::Deadlines;
use crate::clock::MILLISECOND;

/// Leases shorter than this are not written down, in milliseconds.
const LONG: u64 = 120_000;

/// How often all leases are looked through, in nanoseconds of the awake clock.
const ROUND: u64 = 30_000 * MILLISECOND;

/// Leases looked at in one turn, so that a round delays no heartbeat.
const LEASES_PER_TURN: usize = 256;

/// The leader's rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    /// When the next round begins.
    next_round: u64,
    /// Where the round under way goes on: behind this lease.
    cursor: Option<LeaseId>,
    in_round: bool,
    /// Leases whose owners were heard while the log says that less than their full time is left.
    restored: BTreeSet<LeaseId>,
}

impl Checkpoints {
    /// Rounds that begin a round's time after leadership did.
    pub(super) fn new(awake: u64) -> Checkpoints {
        Checkpoints { next_round: awake.saturating_add(ROUND), ..Checkpoints::default() }
    }

    /// The owner of a lease was heard.
    pub(super) fn heard(&mut self, state: &State, lease: LeaseId) {
        if state.lease(lease).is_some_and(|lease| lease.remaining_milliseconds < lease.ttl_milliseconds) {
            self.restored.insert(lease);
        }
    }

    /// Whether the log is to learn something now, or may be.
    pub(super) fn is_due(&self, awake: u64) -> bool {
        self.in_round || awake >= self.next_round || !self.restored.is_empty()
    }

    /// What the log is to learn: a delta on `working`, already applied to it.
    pub(super) fn write(
        &mut self,
        working: &mut State,
        deadlines: &Deadlines,
        awake: u64,
        unix_milliseconds: u64,
    ) -> Option<Bytes> {
        if !self.is_due(awake) {
            return None;
        }
        let mut due = self.passed(working, deadlines, awake);
        for lease in std::mem::take(&mut self.restored) {
            if let Some(lease_row) = working.lease(lease) {
                due.push((lease, lease_row.ttl_milliseconds));
            }
        }
        let mut transaction = working.begin(unix_milliseconds);
        for (lease, remaining_milliseconds) in due {
            transaction.checkpoint(lease, remaining_milliseconds);
        }
        transaction.finish()
    }

    /// The next leases of the round, if one is under way or due: those whose owners were not heard for a third of their
    /// time, and of which the log does not know it yet.
    fn passed(&mut self, state: &State, deadlines: &Deadlines, awake: u64) -> Vec<(LeaseId, u64)> {
        if !self.in_round && awake >= self.next_round {
            self.in_round = true;
            self.cursor = None;
            self.next_round = awake.saturating_add(ROUND);
        }
        let mut due = Vec::new();
        if !self.in_round {
            return due;
        }
        let from = self.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut looked = 0;
        for (id, left_milliseconds) in deadlines.left_from(from, awake) {
            looked += 1;
            self.cursor = Some(id);
            if let Some(lease) = state.lease(id) {
                let full = lease.ttl_milliseconds;
                let step = (full / 10).max(ROUND / MILLISECOND);
                let silent = left_milliseconds < full / 3 * 2;
                let news = left_milliseconds.saturating_add(step) <= lease.remaining_milliseconds;
                if full >= LONG && silent && news {
                    // A lease that is about to end keeps a little: 0 is no time to be found again in.
                    due.push((id, left_milliseconds.max(1)));
                }
            }
            if looked == LEASES_PER_TURN {
                return due;
            }
        }
        self.in_round = false;
        due
    }
}

#[cfg(test)]
mod tests {
    use state::{History, TableId, TableSpec};

    use super::*;

    const SECOND: u64 = 1000 * MILLISECOND;
    const SPECS: [TableSpec; 1] = [TableSpec { id: TableId(0x10), name: "test", history: History::Kept }];

    struct Bench {
        state: State,
        deadlines: Deadlines,
        checkpoints: Checkpoints,
    }

    impl Bench {
        fn with(leases: impl IntoIterator<Item = (i64, u64)>) -> Bench {
            let mut state = State::new(&SPECS);
            let mut deadlines = Deadlines::default();
            for (id, seconds) in leases {
                let mut transaction = state.begin(0);
                transaction.grant(LeaseId(id), seconds * 1000, 1);
                transaction.finish();
                deadlines.granted(LeaseId(id), seconds * 1000, 0);
            }
            Bench { state, deadlines, checkpoints: Checkpoints::new(0) }
        }

        /// Lets time come to `second`; what is left of a lease after it, for a leader to come.
        fn at(&mut self, second: u64) {
            while self.checkpoints.is_due(second * SECOND) {
                let awake = second * SECOND;
                self.checkpoints.write(&mut self.state, &self.deadlines, awake, 0);
            }
        }

        fn left(&self, lease: i64) -> u64 {
            self.state.lease(LeaseId(lease)).unwrap().remaining_milliseconds / 1000
        }
    }

    #[test]
    fn the_log_learns_what_is_left_of_a_long_lease_whose_owner_is_silent() {
        let mut bench = Bench::with([(1, 600), (2, 60)]);
        bench.at(60);
        assert_eq!((bench.left(1), bench.left(2)), (600, 60), "a third of its time has not passed");
        bench.at(300);
        assert_eq!((bench.left(1), bench.left(2)), (300, 60), "short leases are not written down");
        bench.at(330);
        assert_eq!(bench.left(1), 300, "not every small step is worth an entry");
        bench.at(400);
        assert_eq!(bench.left(1), 200);
        let next_leader = Deadlines::all_of(&bench.state, 0);
        assert_eq!(next_leader.remaining(LeaseId(1), 0).unwrap().ttl_milliseconds, 200_000);
        bench.state.check();
    }

    #[test]
    fn an_owner_who_is_heard_again_has_his_full_time_in_the_log() {
        let mut bench = Bench::with([(1, 600)]);
        bench.at(400);
        assert_eq!(bench.left(1), 200);
        bench.deadlines.renew(LeaseId(1), 401 * SECOND);
        bench.checkpoints.heard(&bench.state, LeaseId(1));
        assert!(bench.checkpoints.is_due(401 * SECOND));
        bench.at(401);
        assert_eq!(bench.left(1), 600);
        bench.checkpoints.heard(&bench.state, LeaseId(1));
        assert!(!bench.checkpoints.is_due(402 * SECOND), "there is nothing to take back");
    }

    #[test]
    fn a_round_of_many_leases_takes_many_turns_and_ends() {
        let mut bench = Bench::with((1..=1000).map(|id| (id, 600)));
        let mut turns = 0;
        while bench.checkpoints.is_due(400 * SECOND) {
            bench.checkpoints.write(&mut bench.state, &bench.deadlines, 400 * SECOND, 0);
            turns += 1;
        }
        assert_eq!(turns, 4);
        assert!((1..=1000).all(|id| bench.left(id) == 200));
    }
}
