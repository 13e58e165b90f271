//! What a leader knows of one peer, and how entries flow to it.
//!
//! ```text
//!            match found                    answers
//!   Probe ───────────────────▶ Stream ─────────────────▶ Stream
//!     ▲  ◀───────────────────    │
//!     │   refusal, lost contact  │ what it needs is compacted
//!     │                          ▼
//!     └───────────────────── Snapshot
//!        delivered, or not
//! ```
//!
//! - *Probe* compares logs, one append at a time, waiting for each answer.
//! - *Stream* sends ahead of the answers, within a window of bytes and messages.
//! - *Snapshot* waits for the driver to deliver a snapshot.
//!
//! `matched` is what the peer's disk is known to share with the leader's log in this term. Nothing that is tried or
//! guessed ever raises it: only `next` is a guess. It goes back in one case only: the peer says that it does not hold
//! that very place any more, which is what a member says whose disk was damaged.

use std::collections::VecDeque;

use crate::mutants::mutated;
use crate::status::{FlowStatus, PeerStatus};
use crate::types::Index;

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Peer {
    /// Its log equals the leader's up to here, durably. Goes back only when the peer itself says so.
    matched: Index,
    /// How entries flow to it.
    pub(crate) flow: Flow,
    /// The newest round of reads that it confirmed.
    pub(crate) round: u64,
    /// How far it was told to commit.
    pub(crate) commit_told: Index,
    /// For how many majority checks it was not heard: 0 since the last one, 1 in the round before, 2 longer.
    silent_rounds: u8,
    /// The end of the log when this round began; reaching it within the round is keeping up.
    goal: Index,
    /// The end of the log when the round before began; being behind that is not being caught up.
    goal_before: Index,
    /// For how many rounds in a row it was heard and reached the goal.
    healthy_rounds: u32,
}

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Flow {
    /// Logs are compared.
    Probe {
        /// The entry to be sent next: a guess.
        next: Index,
        /// An answer is awaited; nothing more is sent before it or a sign of life.
        waiting: bool,
        /// Something sent to it was lost, or may have been: try without entries, in case they were too much,
        /// and do not conclude that it lacks what it may only have failed to acknowledge.
        again: bool,
    },
    /// Entries stream.
    Stream {
        /// The entry to be sent next.
        next: Index,
        /// What was sent and not answered.
        inflight: Inflight,
        /// Nothing was answered since the last heartbeat.
        stuck: bool,
    },
    /// The driver delivers a snapshot.
    Snapshot,
}

/// Appends sent and not answered: the last place of each, and its weight.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Inflight {
    sent: VecDeque<(Index, usize)>,
    weight: usize,
}

impl Peer {
    /// A peer of which nothing is known but that its log may equal one that ends at `last`.
    pub(crate) fn new(last: Index) -> Self {
        Self {
            matched: Index::ZERO,
            flow: Flow::Probe { next: last.next(), waiting: false, again: false },
            round: 0,
            commit_told: Index::ZERO,
            silent_rounds: 1,
            goal: last,
            goal_before: last,
            healthy_rounds: 0,
        }
    }

    /// Its log equals the leader's up to here, durably.
    pub(crate) fn matched(&self) -> Index {
        self.matched
    }

    /// It said something in this term.
    pub(crate) fn heard(&mut self) {
        self.silent_rounds = 0;
    }

    /// A round begins after a sleep, in which nobody was to be heard.
    pub(crate) fn begin_round(&mut self) {
        self.silent_rounds = 1;
    }

    /// Whether it was heard in the round that has just ended, holds the log up to `last`, and nothing is under way to it.
    pub(crate) fn has_everything(&self, last: Index) -> bool {
        let settled = matches!(&self.flow, Flow::Stream { inflight, .. } if inflight.sent.is_empty());
        settled && self.matched == last && self.is_in_contact()
    }

    /// Whether it said anything since the last majority check.
    pub(crate) fn is_heard(&self) -> bool {
        self.silent_rounds == 0
    }

    /// Whether it said anything since the majority check before the last one.
    pub(crate) fn is_in_contact(&self) -> bool {
        self.silent_rounds <= 1
    }

    /// Whether it is in contact and holds what the log held when the round before this one began.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.is_in_contact() && self.matched >= self.goal_before && self.matched > Index::ZERO
    }

    /// For how many rounds in a row it was healthy.
    pub(crate) fn healthy_rounds(&self) -> u32 {
        self.healthy_rounds
    }

    /// Starts counting healthy rounds anew.
    pub(crate) fn forget_health(&mut self) {
        self.healthy_rounds = 0;
    }

    /// A round between two majority checks ends; the log ends at `last` now.
    pub(crate) fn end_round(&mut self, last: Index) {
        let healthy = self.is_heard() && self.matched >= self.goal;
        self.healthy_rounds = if healthy { self.healthy_rounds.saturating_add(1) } else { 0 };
        self.silent_rounds = (self.silent_rounds + 1).min(2);
        self.goal_before = self.goal;
        self.goal = last;
    }

    /// It holds the log up to `matched`; the leader's log starts behind `base`.
    pub(crate) fn appended(&mut self, matched: Index, base: Index) {
        self.matched = self.matched.max(matched);
        match &mut self.flow {
            Flow::Stream { next, inflight, stuck } => {
                inflight.answered(matched);
                *next = (*next).max(self.matched.next());
                *stuck = false;
            }
            // It came by what it needs in some other way, or the news of the delivery was slower than this.
            Flow::Snapshot if self.matched < base => {}
            Flow::Probe { .. } | Flow::Snapshot => self.stream(),
        }
    }

    /// It does not hold the entry at `previous`; the two logs may agree up to `agree`.
    pub(crate) fn rejected(&mut self, previous: Index, agree: Index) {
        let concerns_now = match &self.flow {
            Flow::Probe { next, .. } => previous == next.previous(),
            Flow::Stream { next, .. } => previous > self.matched && previous < *next,
            Flow::Snapshot => false,
        };
        if concerns_now {
            // What it acknowledged is gone from its disk. It says so honestly, and to count on less is always safe.
            self.matched = if previous <= self.matched { self.matched.min(agree) } else { self.matched };
            self.matched = if mutated("R2") { agree } else { self.matched };
            let next = agree.next().min(previous).max(self.matched.next());
            self.flow = Flow::Probe { next, waiting: false, again: false };
        }
    }

    /// It lives: a probe that waits for an answer may be repeated.
    pub(crate) fn resume(&mut self) {
        if let Flow::Probe { waiting, again, .. } = &mut self.flow
            && *waiting
        {
            *waiting = false;
            *again = true;
        }
    }

    /// Whatever was under way to it is lost, and nothing should be sent before a sign of life.
    pub(crate) fn interrupt(&mut self) {
        self.flow = Flow::Probe { next: self.matched.next(), waiting: true, again: true };
    }

    /// A snapshot up to `at` was delivered to it, or none was.
    pub(crate) fn snapshot_sent(&mut self, at: Option<Index>) {
        if matches!(self.flow, Flow::Snapshot) {
            let next = at.unwrap_or(self.matched).max(self.matched).next();
            self.flow = Flow::Probe { next, waiting: at.is_none(), again: false };
        }
    }

    /// At a heartbeat: whether the stream has not moved since the last one although answers are due.
    /// Then the peer is asked for the place before `next`: if something was lost, it will say so.
    pub(crate) fn needs_nudge(&mut self) -> bool {
        match &mut self.flow {
            Flow::Stream { inflight, stuck, .. } => {
                let nudge = *stuck && !inflight.sent.is_empty();
                *stuck = !inflight.sent.is_empty();
                nudge
            }
            _ => false,
        }
    }

    /// The place behind which nothing was sent, if its log is being filled at all.
    pub(crate) fn sent_to(&self) -> Option<Index> {
        match &self.flow {
            Flow::Probe { .. } | Flow::Snapshot => None,
            Flow::Stream { next, .. } => Some(next.previous()),
        }
    }

    /// What is shown of it.
    pub(crate) fn status(&self) -> PeerStatus {
        let flow = match &self.flow {
            Flow::Probe { next, waiting, .. } => FlowStatus::Probe { next: *next, waiting: *waiting },
            Flow::Stream { next, inflight, .. } => {
                FlowStatus::Stream { next: *next, messages: inflight.sent.len(), weight: inflight.weight }
            }
            Flow::Snapshot => FlowStatus::Snapshot,
        };
        let heard = self.is_in_contact();
        PeerStatus { matched: self.matched, flow, heard, healthy_rounds: self.healthy_rounds }
    }

    /// Asserts what must hold, given where the leader's log ends.
    pub(crate) fn check(&self, last: Index) {
        assert!(self.matched <= last, "a peer matches {} of a log that ends at {last}", self.matched);
        if let Flow::Probe { next, .. } | Flow::Stream { next, .. } = &self.flow {
            assert!(*next > self.matched && *next <= last.next(), "next {next} after matched {}", self.matched);
        }
        if let Flow::Stream { inflight, .. } = &self.flow {
            let weight: usize = inflight.sent.iter().map(|(_, weight)| weight).sum();
            assert!(weight == inflight.weight, "the window counts {} for {weight}", inflight.weight);
        }
    }

    fn stream(&mut self) {
        self.flow = Flow::Stream { next: self.matched.next(), inflight: Inflight::default(), stuck: false };
    }
}

impl Inflight {
    /// Whether another append may be sent.
    pub(crate) fn has_room(&self, weight: usize, messages: usize) -> bool {
        self.weight < weight && self.sent.len() < messages
    }

    /// An append through `last` was sent.
    pub(crate) fn sent(&mut self, last: Index, weight: usize) {
        self.sent.push_back((last, weight));
        self.weight += weight;
    }

    /// Everything up to `matched` was answered.
    fn answered(&mut self, matched: Index) {
        while let Some(&(last, weight)) = self.sent.front()
            && last <= matched
        {
            self.sent.pop_front();
            self.weight -= weight;
        }
    }
}

#[cfg(test)]
mod tests;
