//! What the disk and the ways to the other members were like lately, for the diary. Nothing is ever decided by it.

use std::collections::{BTreeMap, VecDeque};

use raft::{NodeId, Ticket};

use crate::Now;
use crate::clock::MILLISECOND;
use crate::diary::DiskFacts;

/// The longest sync is that of the present span and the one before.
const WORST_SPAN: u64 = 30_000 * MILLISECOND;
/// How often the peers are asked.
const PING_EVERY: u64 = 1_000 * MILLISECOND;
/// A round trip older than this tells nothing of the present.
const ROUND_TRIP_AGE_MAX: u64 = 10_000 * MILLISECOND;

/// How long writes of the log take.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    newest: Option<u64>,
    worst: u64,
    worst_before: u64,
    span_began: u64,
    /// Writes that are not known to be durable, and when they were handed out; bounded by what is in flight.
    waiting: VecDeque<(Ticket, u64)>,
}

impl Disk {
    /// The log thread took so long, in nanoseconds: for its newest write, and at the most since it last told.
    pub(super) fn synced(&mut self, newest: u64, worst: u64, now: Now) {
        let elapsed = now.nanoseconds.saturating_sub(self.span_began);
        if elapsed >= WORST_SPAN {
            self.worst_before = if elapsed < 2 * WORST_SPAN { self.worst } else { 0 };
            self.worst = 0;
            self.span_began = now.nanoseconds;
        }
        self.newest = Some(newest);
        self.worst = self.worst.max(worst).max(newest);
    }

    /// A write was handed out.
    pub(super) fn began(&mut self, ticket: Ticket, now: Now) {
        self.waiting.push_back((ticket, now.nanoseconds));
    }

    /// This write and all before it are durable.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        while self.waiting.front().is_some_and(|&(waiting, _)| waiting <= ticket) {
            self.waiting.pop_front();
        }
    }

    pub(super) fn facts(&self, now: Now) -> Option<DiskFacts> {
        let waiting = self.waiting.front().map(|&(_, since)| microseconds(now.nanoseconds.saturating_sub(since)));
        if self.newest.is_none() && waiting.is_none() {
            return None;
        }
        let recent = now.nanoseconds.saturating_sub(self.span_began) < 2 * WORST_SPAN;
        let worst = if recent { self.worst.max(self.worst_before) } else { 0 };
        let newest = self.newest.unwrap_or(0);
        Some(DiskFacts {
            newest_microseconds: microseconds(newest),
            worst_microseconds: microseconds(worst.max(newest)),
            waiting_microseconds: waiting,
        })
    }
}

/// How long the other members take to answer a ping, the time that it waits in both members included.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrips {
    due: u64,
    last_number: u64,
    /// The newest ping that was not answered yet, and when it left.
    asked: BTreeMap<NodeId, (u64, u64)>,
    /// The newest round trip, and when it ended.
    newest: BTreeMap<NodeId, (u64, u64)>,
}

impl RoundTrips {
    /// Whether it is time to ask, and under which number. Whom an earlier ping still waits for is not asked again.
    pub(super) fn due(&mut self, now: Now) -> Option<u64> {
        if now.nanoseconds < self.due {
            return None;
        }
        self.due = now.nanoseconds + PING_EVERY;
        self.last_number += 1;
        Some(self.last_number)
    }

    /// Somebody is there who was not asked yet.
    pub(super) fn ask_soon(&mut self) {
        self.due = 0;
    }

    /// Whether a ping is to be sent to this peer, which is connected.
    pub(super) fn ask(&mut self, peer: NodeId, number: u64, now: Now) -> bool {
        let waits = self.asked.contains_key(&peer);
        self.asked.entry(peer).or_insert((number, now.nanoseconds));
        !waits
    }

    /// A peer answered the ping of this number.
    pub(super) fn answered(&mut self, peer: NodeId, number: u64, now: Now) {
        let Some(&(awaited, asked)) = self.asked.get(&peer) else { return };
        if awaited == number {
            self.asked.remove(&peer);
            self.newest.insert(peer, (now.nanoseconds.saturating_sub(asked), now.nanoseconds));
        }
    }

    /// What is under way to this peer will not be answered.
    pub(super) fn lost(&mut self, peer: NodeId) {
        self.asked.remove(&peer);
    }

    /// The newest round trip to this peer, in microseconds.
    pub(super) fn newest(&self, peer: NodeId, now: Now) -> Option<u64> {
        let &(took, at) = self.newest.get(&peer)?;
        (now.nanoseconds.saturating_sub(at) <= ROUND_TRIP_AGE_MAX).then(|| microseconds(took))
    }

    /// How long the ping that this peer has not answered yet is under way, in microseconds.
    pub(super) fn unanswered(&self, peer: NodeId, now: Now) -> Option<u64> {
        self.asked.get(&peer).map(|&(_, asked)| microseconds(now.nanoseconds.saturating_sub(asked)))
    }
}

fn microseconds(nanoseconds: u64) -> u64 {
    (nanoseconds + 500) / 1000
}
