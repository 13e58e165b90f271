//! Conclave's core, driven as `effects.rs` of it says: step whatever waits, drain once, hand the write to the disk (which
//! finishes at once), pass messages on. Every member compacts its log now and then.

use bytes::Bytes;
use conclave_raft::{Config, Effects, Envelope, Index, Input, Membership, NodeId, Payload, Raft, Recovered, Tag};

use crate::{Load, clock};

/// Entries applied between two compactions, and entries kept behind them.
const COMPACT_EVERY: u64 = 10_000;
const KEPT: u64 = 1_000;

/// A proposal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Command(Bytes);

impl Payload for Command {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

struct Ensemble {
    members: Vec<Raft<Command>>,
    inboxes: Vec<Vec<Envelope<Command>>>,
    /// How far each has applied, and where its log begins.
    applied: Vec<(u64, u64)>,
    /// Proposals that the leader reported applied.
    done: u64,
}

/// Nanoseconds per proposal.
pub(crate) fn round(load: Load) -> f64 {
    let mut ensemble = Ensemble::led();
    ensemble.propose(load, load.count / 10);
    clock::measured(|| ensemble.propose(load, load.count)) / load.count as f64
}

impl Ensemble {
    /// Three members, the first of which leads.
    fn led() -> Self {
        let initial = Membership::of_voters((1..=3).map(NodeId));
        let member = |id| Raft::restore(Config::new(NodeId(id), initial.clone()), Recovered::empty(initial.clone()));
        let mut ensemble = Self {
            members: (1..=3).map(member).collect(),
            inboxes: vec![Vec::new(); 3],
            applied: vec![(0, 0); 3],
            done: 0,
        };
        for member in &mut ensemble.members[1..] {
            member.step(Input::LeaderSilent);
        }
        ensemble.members[0].step(Input::ElectionDue);
        while !ensemble.members[0].accepts_proposals() {
            ensemble.turn();
        }
        ensemble
    }

    /// Proposes so many payloads, never more under way than the load says, until all are applied.
    fn propose(&mut self, load: Load, count: u64) {
        let (mut proposed, begin) = (0, self.done);
        while self.done - begin < count {
            while proposed < count && proposed - (self.done - begin) < load.in_flight as u64 {
                proposed += 1;
                let payload = Command(Bytes::from(vec![7; load.payload]));
                self.members[0].step(Input::Propose(Tag(proposed), payload));
            }
            self.turn();
        }
    }

    /// Every member hears what waits for it, and is drained once.
    fn turn(&mut self) {
        for position in 0..self.members.len() {
            for envelope in std::mem::take(&mut self.inboxes[position]) {
                self.members[position].step(Input::Received(envelope));
            }
            let effects = self.members[position].drain();
            self.serve(position, effects);
        }
    }

    fn serve(&mut self, position: usize, effects: Effects<Command>) {
        if let Some(write) = effects.write {
            self.members[position].step(Input::Written(write.ticket));
        }
        for outgoing in effects.send {
            let NodeId(to) = outgoing.envelope.to;
            self.inboxes[to as usize - 1].push(outgoing.envelope);
        }
        let (applied, base) = &mut self.applied[position];
        for committed in effects.apply {
            *applied = committed.index.0;
            if position == 0 && committed.tag.is_some() {
                self.done += 1;
            }
        }
        if *applied - *base > COMPACT_EVERY {
            *base = *applied - KEPT;
            self.members[position].step(Input::Compact(Index(*base)));
        }
    }
}
