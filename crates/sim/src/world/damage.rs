//! Bytes that change under way or in memory: what must be noticed, and by whom.

use node::{NodeId, PeerMessage, decode_frame, encode_frame};

use super::World;
use crate::clock::SECOND;
use crate::invariants::{Invariant, Verdict, ensure};
use crate::network::{Way, pair};

/// The longest frame that is taken from a peer, in bytes: more than any here.
const FRAME_MAX: usize = 16 << 20;

impl World {
    /// A bit of a message changes on the wire. The frame's checksum must show it, and the connection is given up.
    pub(super) fn corrupt(&mut self, way: Way, message: &PeerMessage) -> Verdict {
        let mut bytes = encode_frame(message).concat();
        for _ in 0..self.chance.between(1, 3) {
            let at = self.chance.position(bytes.len());
            bytes[at] ^= 1 << self.chance.below(8);
        }
        let mut received = bytes[..].into();
        let taken = decode_frame(&mut received, FRAME_MAX);
        // Bits may be flipped back, and then nothing has changed. A length that grew waits for what follows, which is
        // then no frame.
        let refused = match &taken {
            Ok(Some(taken)) => taken == message,
            Ok(None) | Err(_) => true,
        };
        ensure(refused, Invariant::CorruptedBytesAreRefused, || {
            format!("{message:?} was taken for {taken:?} after bits of it had changed")
        })?;
        self.coverage.count("corrupted frames refused");
        self.sever(pair(way.0, way.1), None);
        Ok(())
    }

    /// One bit of a follower's state changes: all it knows else is right.
    pub(super) fn flip_a_bit(&mut self) {
        let Some(leader) = self.leader() else { return };
        let sound = self.hosts.values().all(|host| host.damaged.is_none());
        let runs = |id: &NodeId| *id != leader && self.hosts[id].process.is_some() && self.hosts[id].paused.is_none();
        let followers: Vec<NodeId> = self.members().into_iter().filter(|id| runs(id)).collect();
        let Some(id) = self.chance.pick(&followers).filter(|_| sound) else { return };
        self.damage(id);
    }

    /// One bit of this member's receipts changes, which no client reads. False if there is none yet.
    pub(super) fn damage(&mut self, id: NodeId) -> bool {
        let now = self.now;
        let bit = self.chance.position(64);
        let host = self.host(id);
        let Some(process) = &mut host.process else { return false };
        let flipped = flip(&mut process.member, bit);
        if flipped {
            host.damaged = Some(now);
            self.coverage.count("bits flipped in memory");
            self.note_of(id, || "one bit of its state changes".into());
        }
        flipped
    }

    /// A member stops because its state is not the leader's: what was done to it was noticed.
    pub(super) fn noticed(&mut self, id: NodeId) {
        let now = self.now;
        if let Some(since) = self.host(id).damaged.take() {
            self.coverage.count("flipped bits noticed");
            self.coverage.greatest("most milliseconds until a flipped bit was noticed", (now - since) / 1_000_000);
        }
    }

    /// What was wrong was written over before anybody could compare: the state is as it should be again.
    pub(super) fn written_over(&mut self, id: NodeId) {
        let host = &self.hosts[&id];
        let (Some(_), Some(process)) = (host.damaged, &host.process) else { return };
        let decided = self.witness.ledger().at(raft::Index(process.published.index));
        if decided.is_some_and(|decided| decided.hash == process.published.state.hash()) {
            self.coverage.count("flipped bits written over");
            self.host(id).damaged = None;
        }
    }

    /// A damaged member that comes to lead would tell all others that they are wrong. That a follower's bit changes
    /// is what is tried here; so it ends before that.
    pub(super) fn spare_others(&mut self, id: NodeId) -> bool {
        self.hosts[&id].damaged.is_some() && self.witness.view(id).leads.is_some()
    }

    /// After the faults: whoever is damaged is noticed as soon as anything is decided.
    pub(super) fn damage_is_noticed(&mut self) -> Verdict {
        for _ in 0..30 {
            if self.hosts.values().all(|host| host.damaged.is_none()) {
                break;
            }
            if let Some(id) = self.leader() {
                self.ask_freshly(id, false)?;
            }
            self.run_until(self.now + SECOND)?;
        }
        let damaged: Vec<NodeId> =
            self.hosts.iter().filter(|(_, host)| host.damaged.is_some()).map(|(id, _)| *id).collect();
        ensure(damaged.is_empty(), Invariant::DamageIsNoticed, || {
            format!("the state of {damaged:?} differs from all others, and nobody has noticed")
        })
    }
}

#[cfg(debug_assertions)]
fn flip(member: &mut node::member::Member, bit: usize) -> bool {
    use crate::registers::RECEIPTS;
    let state = member.published().state;
    let Some(client) = (0..64_u32).rev().find(|client| state.get(RECEIPTS, &client.to_be_bytes()).is_some()) else {
        return false;
    };
    member.damage(RECEIPTS, &client.to_be_bytes(), bit)
}

#[cfg(not(debug_assertions))]
fn flip(_: &mut node::member::Member, _: usize) -> bool {
    false
}
