//! The leader's turns: what waits is decided, as far as one turn should, and becomes entries. It may not know who asked.

use raft::{Input, Tag};

use super::Member;
use super::leading::{Desk, Leading, Want};
use crate::{Counters, Now};

/// Entries that a leader makes in one turn before it lets the others hear of it.
const ENTRIES_PER_TURN: usize = 4;

impl Member {
    /// Lets the protocols end what ran out, and the history stay within its bounds; once a drain, and bounded, so that
    /// a mass expiry delays no heartbeat.
    pub(super) fn expire_leases(&mut self, now: Now) {
        let before = self.counters.expired;
        self.with_desk(now, |leading, desk, counters| {
            counters.expired += leading.expire(desk);
            leading.checkpoint(desk);
            leading.bound_history(desk);
        });
        self.story.expired(self.counters.expired - before);
    }

    /// Decides what waits for this leader, as far as one turn should.
    pub(super) fn lead(&mut self, now: Now) {
        self.found_ensemble(now);
        self.go_on_changing_members(now);
        for round in 0.. {
            // What is decided while leadership is handed over would not be taken: it waits, in order.
            if self.raft.accepts_proposals() {
                if round == ENTRIES_PER_TURN {
                    break;
                }
                self.with_desk(now, |leading, desk, counters| {
                    counters.prepared += leading.decide(desk);
                    counters.over_quota += leading.take_refused();
                });
            }
            let Some(leading) = &mut self.leading else { return };
            let tag = Tag(self.next_tag);
            self.next_tag += 1;
            match leading.want(|| tag) {
                Some(Want::Propose(batch)) => {
                    let (bytes, last) = (batch.bytes().len(), self.raft.last().index);
                    self.raft.step(Input::Propose(tag, batch));
                    let index = self.raft.last().index;
                    assert!(index == last.next(), "a core that accepts proposals appends them");
                    self.counters.proposed += 1;
                    leading.proposed(index, bytes);
                }
                Some(Want::Barrier(tag)) => self.raft.step(Input::Read(tag)),
                None => break,
            }
        }
        let Some(leading) = &mut self.leading else { return };
        let declined = leading.take_declined();
        let more = leading.has_work(&self.options.limits, self.clock.awake());
        self.hurried = more && self.raft.accepts_proposals();
        self.tell_from(now, declined);
    }

    fn with_desk(&mut self, now: Now, work: impl FnOnce(&mut Leading, &mut Desk<'_>, &mut Counters)) {
        if !self.raft.accepts_proposals() {
            return;
        }
        let Some(leading) = &mut self.leading else { return };
        let random = &mut self.random;
        let mut desk = Desk {
            protocols: &self.protocols,
            limits: &self.options.limits,
            committed: &self.committed,
            now,
            awake: self.clock.awake(),
            random: &mut || random.next(),
        };
        work(leading, &mut desk, &mut self.counters);
    }
}
