//! The processor time of this thread. Knows nothing of what is measured.

use rustix::time::{ClockId, clock_gettime};

/// Runs `work` and tells the nanoseconds of processor time that this thread spent in it.
pub(crate) fn measured(work: impl FnOnce()) -> f64 {
    let began = now();
    work();
    now() - began
}

/// Nanoseconds of processor time of this thread so far.
pub(crate) fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
