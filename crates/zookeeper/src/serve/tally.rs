//! Counts of one connection, or of all of them together. Latencies in milliseconds.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    answered: AtomicU64,
    latency_sum: AtomicU64,
    latency_min: AtomicU64,
    latency_max: AtomicU64,
    latency_last: AtomicU64,
    /// The size of the smallest, the largest and the last answer, 0 before the first.
    answer_min: AtomicU64,
    answer_max: AtomicU64,
    answer_last: AtomicU64,
    /// The transaction of the last answer.
    pub(super) last_zxid: AtomicI64,
}

/// What the latencies came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) min: u64,
    pub(super) average: f64,
    pub(super) max: u64,
    pub(super) last: u64,
}

/// What the sizes of answers came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) last: u64,
}

impl Tally {
    /// Counts an answer that came so long after its request.
    pub(super) fn answered(&self, latency: Duration) {
        let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        if self.answered.fetch_add(1, Ordering::Relaxed) == 0 {
            self.latency_min.store(milliseconds, Ordering::Relaxed);
        }
        self.latency_min.fetch_min(milliseconds, Ordering::Relaxed);
        self.latency_max.fetch_max(milliseconds, Ordering::Relaxed);
        self.latency_sum.fetch_add(milliseconds, Ordering::Relaxed);
        self.latency_last.store(milliseconds, Ordering::Relaxed);
    }

    /// Counts what leaves.
    pub(super) fn sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
            self.answer_min.store(bytes, Ordering::Relaxed);
        }
        self.answer_min.fetch_min(bytes, Ordering::Relaxed);
        self.answer_max.fetch_max(bytes, Ordering::Relaxed);
        self.answer_last.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn latency(&self) -> Latency {
        let answered = self.answered.load(Ordering::Relaxed);
        let sum = self.latency_sum.load(Ordering::Relaxed);
        // Four decimals, as the real server rounds.
        let average = if answered == 0 { 0.0 } else { (sum as f64 / answered as f64 * 10_000.0).round() / 10_000.0 };
        Latency {
            min: self.latency_min.load(Ordering::Relaxed),
            average,
            max: self.latency_max.load(Ordering::Relaxed),
            last: self.latency_last.load(Ordering::Relaxed),
        }
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            min: self.answer_min.load(Ordering::Relaxed),
            max: self.answer_max.load(Ordering::Relaxed),
            last: self.answer_last.load(Ordering::Relaxed),
        }
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        let counts = [
            &self.received,
            &self.sent,
            &self.answered,
            &self.latency_sum,
            &self.latency_min,
            &self.latency_max,
            &self.latency_last,
            &self.answer_min,
            &self.answer_max,
            &self.answer_last,
        ];
        for count in counts {
            count.store(0, Ordering::Relaxed);
        }
    }
}
