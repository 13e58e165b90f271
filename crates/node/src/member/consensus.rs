//! What consensus decided: standing, committed entries, answers to what was asked of it, and the promises that wait
//! for this member's disk. It may not know where questions come from.

use std::collections::VecDeque;

use raft::{Body, Index, Input, Refusal, Standing, Tag};
use state::State;

use super::Member;
use super::leading::Leading;
use crate::message::PeerMessage;
use crate::mutants::mutated;
use crate::{Batch, DiaryKind, Now};

impl Member {
    pub(super) fn absorb(&mut self, now: Now, effects: raft::Effects<Batch>) {
        self.pacer.observe(&effects, now.nanoseconds);
        // Whoever is new is told of by name.
        self.follow_membership();
        effects.events.iter().for_each(|event| self.story.tell(event));
        if let Some(standing) = effects.standing {
            self.stand(now, standing);
        }
        for committed in effects.apply {
            self.apply(now, committed.index, &committed.body);
            self.committed_for(now, &committed);
        }
        self.start_leading();
        for (tag, index) in effects.reads {
            if let Some(leading) = &mut self.leading {
                let told = leading.proven(tag, index, self.clock.awake());
                self.tell_from(now, told);
            }
        }
        for (tag, refusal) in effects.refused {
            self.refused(now, tag, refusal);
        }
        for (tag, to) in effects.handed_over {
            self.handed_over(now, tag, to);
        }
        self.asking.applied(self.applied.0);
        self.gated.extend(effects.send.into_iter().map(|outgoing| (outgoing.after, outgoing.envelope)));
        if let Some(write) = effects.write {
            self.snapshots.logged(&write);
            self.last_ticket = write.ticket;
            self.story.began_to_write(write.ticket);
            self.effects.write.push(write);
        }
        self.effects.send_snapshot.extend(effects.snapshots);
    }

    /// The core refused what was asked of it under this tag.
    fn refused(&mut self, now: Now, tag: Tag, refusal: Refusal) {
        if self.change_refused(now, tag, refusal) {
            return;
        }
        if let Some(leading) = &mut self.leading {
            let told = leading.unproven(tag);
            self.tell_from(now, told);
        }
    }

    /// Role, term or leader changed. Comes before anything that was committed is applied: what a new leader
    /// committed in place of this one's entries must not meet the old working state.
    fn stand(&mut self, now: Now, standing: Standing) {
        self.status_due = true;
        let leader_changed = (standing.term, standing.leader) != (self.standing.term, self.standing.leader);
        let lost_reign =
            self.leading.take_if(|leading| standing.role != raft::Role::Leader || standing.term != leading.term);
        self.standing = standing;
        if let Some(leading) = lost_reign {
            self.belonging.reign_ended();
            let told = leading.resign();
            self.tell_from(now, told);
        }
        if leader_changed {
            self.asking.leader_lost();
            if let Some(leader) = self.standing.leader {
                self.asking.led_by(leader);
            }
        }
        self.ask_again_at = 0;
    }

    /// Begins to lead, once everything that is committed so far is applied.
    fn start_leading(&mut self) {
        if self.standing.role != raft::Role::Leader || self.leading.is_some() {
            return;
        }
        if self.healing.is_under_way() {
            // Elected at another's wish: it hands leadership on, and decides nothing meanwhile.
            let tag = self.new_tag();
            self.raft.step(Input::Transfer(tag, None));
            return;
        }
        let tail = self.raft.entries_after(self.applied).map(|(index, entry)| match &entry.body {
            Body::Command(batch) => (index, Some(batch.clone())),
            Body::Noop | Body::Membership(_) => (index, None),
        });
        let tail = tail.collect();
        match Leading::new(self.standing.term, &self.committed, tail, self.clock.awake()) {
            Ok(leading) => self.leading = Some(leading),
            Err(why) => self.fail(DiaryKind::Fatal, why),
        }
    }

    fn apply(&mut self, now: Now, index: Index, body: &Body<Batch>) {
        assert!(index == self.applied.next(), "entries are applied in order, without leaving one out");
        self.applied = index;
        // What heals gets another state, and this entry is applied to that.
        if !self.healing.is_under_way() {
            self.apply_to_state(now, index, body);
        }
        if let Body::Membership(membership) = body {
            self.membership_applied(now, membership);
        }
    }

    fn apply_to_state(&mut self, now: Now, index: Index, body: &Body<Batch>) {
        if let Some(leading) = &mut self.leading {
            if let Some((state, told)) = leading.committed(index) {
                self.committed = state;
                self.tell_from(now, told);
            }
        } else if let Body::Command(batch) = body
            && let Err(why) = apply_batch(&mut self.committed, batch)
        {
            self.fail(DiaryKind::Fatal, format!("entry {} cannot be applied: {why}", index.0));
        }
        if let Err(divergence) = self.digests.applied(index.0, self.committed.hash()) {
            self.diverged(now, divergence);
        }
    }

    /// Lets messages go whose promise is durable by now.
    pub(super) fn open_gate(&mut self) {
        let mut waiting = VecDeque::with_capacity(self.gated.len());
        for (after, envelope) in self.gated.drain(..) {
            if after <= self.written {
                self.effects.send.push((envelope.to, PeerMessage::Raft(envelope)));
            } else {
                waiting.push_back((after, envelope));
            }
        }
        self.gated = waiting;
    }
}

/// Puts the rows of one entry into the tables.
pub(crate) fn apply_batch(state: &mut State, batch: &Batch) -> Result<(), String> {
    let mut deltas = batch.deltas();
    if mutated("follower-skips-a-change") && deltas.len() > 1 {
        deltas.pop();
    }
    for delta in deltas {
        state.apply(&delta).map_err(|malformed| malformed.to_string())?;
    }
    Ok(())
}
