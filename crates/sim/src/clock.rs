//! A member's clock: it runs fast or slow, stands still and jumps, while the world's time goes on evenly.
//! It may not know what anybody uses it for.

use node::Now;

/// Nanoseconds in a microsecond.
pub const MICROSECOND: u64 = 1_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: u64 = 60 * SECOND;

/// Where the wall clocks stand when a simulation begins: milliseconds since 1970.
const EPOCH_MILLISECONDS: u64 = 1_700_000_000_000;
const MILLION: u64 = 1_000_000;

/// A machine's two clocks: the monotonic one, which begins at 0 with every start of the process, and the wall clock.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    /// True time and monotonic time at the last change of speed.
    anchor: (u64, u64),
    /// How many microseconds pass on this clock in a true second.
    speed: u64,
    frozen: bool,
    /// Added to the wall clock, in milliseconds.
    wall_shift: i64,
}

impl VirtualClock {
    /// The speed of a clock that is right.
    pub const TRUE_SPEED: u64 = MILLION;

    /// A clock that is right.
    #[must_use]
    pub fn new() -> VirtualClock {
        VirtualClock { anchor: (0, 0), speed: Self::TRUE_SPEED, frozen: false, wall_shift: 0 }
    }

    /// What the clocks show at the true time `at`.
    #[must_use]
    pub fn now(&self, at: u64) -> Now {
        let wall = EPOCH_MILLISECONDS + at / MILLISECOND;
        Now { nanoseconds: self.monotonic(at), unix_milliseconds: wall.saturating_add_signed(self.wall_shift) }
    }

    /// The true time, not before `at`, at which the monotonic clock will show `shown`. `None` while it stands still.
    #[must_use]
    pub fn when(&self, shown: u64, at: u64) -> Option<u64> {
        if self.frozen {
            return None;
        }
        let ahead = u128::from(shown.saturating_sub(self.anchor.1)) * u128::from(MILLION);
        let waited = u64::try_from(ahead.div_ceil(u128::from(self.speed))).unwrap_or(u64::MAX);
        Some(self.anchor.0.saturating_add(waited).max(at))
    }

    /// The process starts: its monotonic clock begins anew.
    pub fn restart(&mut self, at: u64) {
        self.anchor = (at, 0);
    }

    /// From now on so many microseconds pass here in a true second.
    pub fn set_speed(&mut self, at: u64, speed: u64) {
        assert!(speed > 0, "a clock that stands still is frozen, not slow");
        self.anchor = (at, self.monotonic(at));
        self.speed = speed;
    }

    /// The monotonic clock stands still.
    pub fn freeze(&mut self, at: u64) {
        self.anchor = (at, self.monotonic(at));
        self.frozen = true;
    }

    /// The monotonic clock goes on from where it stood.
    pub fn thaw(&mut self, at: u64) {
        self.anchor = (at, self.monotonic(at));
        self.frozen = false;
    }

    /// The monotonic clock jumps ahead, as it does when a virtual machine was moved.
    pub fn jump(&mut self, at: u64, nanoseconds: u64) {
        self.anchor = (at, self.monotonic(at).saturating_add(nanoseconds));
    }

    /// The wall clock is set.
    pub fn shift_wall(&mut self, milliseconds: i64) {
        self.wall_shift = self.wall_shift.saturating_add(milliseconds);
    }

    fn monotonic(&self, at: u64) -> u64 {
        if self.frozen {
            return self.anchor.1;
        }
        let passed = u128::from(at.saturating_sub(self.anchor.0)) * u128::from(self.speed) / u128::from(MILLION);
        self.anchor.1.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        VirtualClock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_reaches_its_deadlines_early_and_a_frozen_one_never() {
        let mut clock = VirtualClock::new();
        clock.set_speed(SECOND, 1_050_000);
        let due = clock.now(SECOND).nanoseconds + 21 * SECOND;
        assert_eq!(clock.when(due, SECOND), Some(21 * SECOND));
        assert!(clock.now(21 * SECOND).nanoseconds >= due);
        assert!(clock.now(21 * SECOND - 2).nanoseconds < due);
        clock.freeze(2 * SECOND);
        assert_eq!(clock.when(due, 2 * SECOND), None);
        assert_eq!(clock.now(9 * SECOND).nanoseconds, clock.now(2 * SECOND).nanoseconds);
        clock.thaw(9 * SECOND);
        assert_eq!(clock.when(due, 9 * SECOND), Some(28 * SECOND));
    }

    #[test]
    fn jumps_move_one_clock_each() {
        let mut clock = VirtualClock::new();
        clock.jump(SECOND, SECOND);
        clock.shift_wall(-5000);
        let now = clock.now(2 * SECOND);
        assert_eq!(now.nanoseconds, 3 * SECOND);
        assert_eq!(now.unix_milliseconds, EPOCH_MILLISECONDS + 2000 - 5000);
        clock.restart(3 * SECOND);
        assert_eq!(clock.now(4 * SECOND).nanoseconds, SECOND);
    }
}
