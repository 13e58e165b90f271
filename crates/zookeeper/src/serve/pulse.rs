//! How often the member hears that a client lives. It knows moments, but reads no clock.
//!
//! Every byte from a client is a sign of life, and passing each one on would be wasteful. The first sign is passed
//! on at once; of those that follow within a pause, one is passed on when the pause is over. So the member always
//! hears of the last sign, a little late, and a session is never held for dead earlier than it should be.

use std::time::Duration;

use tokio::time::Instant;

/// A pause is this part of the session timeout, within the bounds below.
const PAUSES_PER_TIMEOUT: u32 = 20;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(1000);

/// The signs of life of one session's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    pause: Duration,
    /// When the last sign was passed on.
    passed: Instant,
    /// Whether there was one since.
    is_owed: bool,
}

impl Pulse {
    /// A sign was passed on just now.
    pub(super) fn new(timeout: Duration, now: Instant) -> Pulse {
        Pulse { pause: (timeout / PAUSES_PER_TIMEOUT).clamp(PAUSE_MIN, PAUSE_MAX), passed: now, is_owed: false }
    }

    /// Notes a sign of life. Says whether it is to be passed on now.
    pub(super) fn beat(&mut self, now: Instant) -> bool {
        self.is_owed = true;
        self.pass_if_due(now)
    }

    /// When a sign is to be passed on that was held back.
    pub(super) fn due(&self) -> Option<Instant> {
        self.is_owed.then_some(self.passed + self.pause)
    }

    /// Whether one is to be passed on now.
    pub(super) fn pass_if_due(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            self.passed = now;
            self.is_owed = false;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sign_is_always_passed_on_within_a_pause() {
        let start = Instant::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let mut pulse = Pulse::new(Duration::from_secs(4), start);
        assert_eq!(pulse.due(), None);
        assert!(!pulse.beat(at(50)) && !pulse.beat(at(100)));
        assert_eq!(pulse.due(), Some(at(200)));
        assert!(!pulse.pass_if_due(at(199)) && pulse.pass_if_due(at(200)));
        assert_eq!(pulse.due(), None);
        assert!(!pulse.beat(at(399)) && pulse.beat(at(400)), "the first sign after a pause goes at once");
    }
}
