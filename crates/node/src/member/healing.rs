//! What a member does when its rows are not the leader's: it stops serving, gets the state of its leader, puts its own log on
//! top of that, and serves again.
//!
//! Its log is sound: entries carry checksums of their own. So it goes on to vote and to acknowledge entries, and only what
//! it made of them is thrown away. It does not campaign: it could not lead.
//!
//! It may not know files or sockets. Which of two members is wrong nobody can tell from two hashes; the leader counts as
//! right, because it alone decides what the log will hold next.

use std::collections::BTreeSet;

use raft::{Body, Index, Input, NodeId, SnapshotMeta};
use state::State;

use super::digests::{Digests, Divergence};
use super::{Member, apply_batch};
use crate::clock::{MILLISECOND, Now};
use crate::message::PeerMessage;
use crate::{DiaryKind, Reason};

/// After how long the leader is asked again: sending a state takes a while, and none may have come of it.
const ASK_AGAIN: u64 = 5_000 * MILLISECOND;

/// How far a member is with getting another state.
#[derive(Clone, Debug, Default)]
pub(super) struct Healing {
    /// Since when it does not serve, in nanoseconds; none while all is well.
    since: Option<u64>,
    ask_at: u64,
    /// How often it was healed since it started.
    healed: u64,
    /// Who waits for a state of this leader.
    wanted_by: BTreeSet<NodeId>,
}

impl Healing {
    pub(super) fn is_under_way(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn healed(&self) -> u64 {
        self.healed
    }
}

impl Member {
    /// This member's rows are not the leader's: whatever it would answer from now on could be wrong.
    pub(super) fn diverged(&mut self, now: Now, divergence: Divergence) {
        let Divergence { index, own, leaders } = divergence;
        if self.healing.is_under_way() {
            return;
        }
        self.story.note(
            DiaryKind::Divergence,
            format!(
                "has another state than the leader after entry {index} (hash {own:032x}, the leader's is {leaders:032x}): \
                 serves nobody until it has got the leader's state"
            ),
        );
        self.healing.since = Some(now.nanoseconds);
        self.healing.ask_at = 0;
        self.asking.stop(&Reason::Diverged);
        self.snapshots.abandon();
        self.status_due = true;
    }

    /// Asks the leader for its state, as long as this member needs one.
    pub(super) fn ask_for_state(&mut self, now: Now) {
        let Some(leader) = self.standing.leader.filter(|leader| self.connected.contains(leader)) else { return };
        if !self.healing.is_under_way() || now.nanoseconds < self.healing.ask_at {
            return;
        }
        self.healing.ask_at = now.nanoseconds.saturating_add(ASK_AGAIN);
        let above = self.raft.entries_after(Index::ZERO).next().map_or(self.applied, |(first, _)| first.previous());
        self.effects.send.push((leader, PeerMessage::WantState { above: above.0 }));
    }

    /// A peer needs the state after entry `above` or a later one.
    pub(super) fn state_wanted(&mut self, peer: NodeId, above: Index) {
        if self.leading.is_none() {
            return;
        }
        if self.snapshots.newest_index().is_some_and(|newest| newest >= above) {
            self.effects.send_snapshot.push(peer);
        } else {
            self.healing.wanted_by.insert(peer);
            self.snapshots.order_now();
        }
    }

    /// A snapshot was written: those who waited for one get it.
    pub(super) fn send_wanted_states(&mut self) {
        let wanted_by = std::mem::take(&mut self.healing.wanted_by);
        if self.leading.is_some() {
            self.effects.send_snapshot.extend(wanted_by);
        }
    }

    /// Takes the place of this member's own state: a received one, and on top of it the entries that were applied already.
    pub(super) fn heal(&mut self, now: Now, meta: &SnapshotMeta, mut state: State) {
        let last: Index = meta.last.index;
        if last <= self.applied {
            let own = self.raft.entries_after(last).take_while(|(index, _)| *index <= self.applied);
            let mut expected = last;
            for (index, entry) in own {
                if index != expected.next() {
                    // The log begins behind the snapshot: a newer one is needed, and asked for in time.
                    return;
                }
                expected = index;
                if let Body::Command(batch) = &entry.body
                    && apply_batch(&mut state, batch).is_err()
                {
                    return;
                }
            }
            if expected != self.applied {
                return;
            }
        } else {
            self.raft.step(Input::Install(meta.clone()));
            if self.raft.applied() != last {
                return;
            }
            self.applied = last;
            self.membership_applied(now, &meta.membership);
            self.snapshots.replaced_by(meta.clone());
        }
        self.effects.discarded.push(std::mem::replace(&mut self.committed, state));
        let took = self.healing.since.take().map_or(0, |since| now.nanoseconds.saturating_sub(since) / MILLISECOND);
        self.healing.healed += 1;
        self.digests = Digests::continued(&self.digests);
        // What this member wrote down by itself before may be wrong as well.
        self.snapshots.order_now();
        self.published_index = Index::ZERO;
        self.asking.start_again();
        self.story.note(
            DiaryKind::Repaired,
            format!("has got the leader's state of entry {last} and serves again, after {took} ms"),
        );
        self.status_due = true;
    }
}
