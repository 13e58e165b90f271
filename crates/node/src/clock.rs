//! Time as the member sees it: handed in with every event, never read.

use crate::mutants::mutated;

/// The present, read once per turn by the shell (or made up by the simulator).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start. Judges silence, deadlines and leases.
    pub nanoseconds: u64,
    /// Wall-clock milliseconds since 1970. Only written into rows and shown to people; nothing is decided by it.
    pub unix_milliseconds: u64,
}

/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// A clock that stands still while this member does.
///
/// Leases are judged by it: if the process was stopped or starved for ten seconds, the keepalives of those ten
/// seconds lie unread in its sockets, and nobody may be expired for them. So one step of the clock never
/// counts more than [`AwakeClock::STEP`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AwakeClock {
    awake: u64,
    last: u64,
}

impl AwakeClock {
    /// The longest silence between two turns that still counts as being awake. Turns come at least as often as
    /// the heartbeat is due, so a longer one means that the member itself was not running.
    const STEP: u64 = 250 * MILLISECOND;

    /// Moves on to `now` and returns the nanoseconds this member has been awake so far.
    pub(crate) fn advance(&mut self, now: Now) -> u64 {
        let elapsed = now.nanoseconds.saturating_sub(self.last);
        self.last = self.last.max(now.nanoseconds);
        self.awake += if mutated("sleepers-expire-leases") { elapsed } else { elapsed.min(Self::STEP) };
        self.awake
    }

    /// The nanoseconds this member had been awake at the last [`advance`](Self::advance).
    pub(crate) fn awake(&self) -> u64 {
        self.awake
    }
}
