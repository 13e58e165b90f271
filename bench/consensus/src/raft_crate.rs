//! TiKV's `raft` crate: `RawNode` over its own `MemStorage`, with the loop that its documentation gives (ready, storage,
//! persisted messages, advance, light ready, advance apply). Appends are batched as in TiKV (`batch_append`), pre-vote and
//! check-quorum are on. Whoever has nothing ready is not asked. Every member compacts its log now and then.

use std::collections::HashMap;

use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use crate::{Load, clock};

const COMPACT_EVERY: u64 = 10_000;
const KEPT: u64 = 1_000;

struct Member {
    node: RawNode<MemStorage>,
    store: MemStorage,
    inbox: Vec<Message>,
    applied: u64,
    base: u64,
}

struct Ensemble {
    members: Vec<Member>,
    positions: HashMap<u64, usize>,
    done: u64,
}

/// Nanoseconds per proposal.
pub(crate) fn round(load: Load) -> f64 {
    let mut ensemble = Ensemble::led();
    ensemble.propose(load, load.count / 10);
    clock::measured(|| ensemble.propose(load, load.count)) / load.count as f64
}

impl Ensemble {
    fn led() -> Self {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let member = |id| {
            let config = Config {
                id,
                election_tick: 10,
                heartbeat_tick: 2,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                check_quorum: true,
                pre_vote: true,
                batch_append: true,
                ..Config::default()
            };
            let store = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            let node = RawNode::new(&config, store.clone(), &logger).expect("the configuration is valid");
            Member { node, store, inbox: Vec::new(), applied: 0, base: 0 }
        };
        let positions = (1..=3).zip(0..).collect();
        let mut ensemble = Self { members: (1..=3).map(member).collect(), positions, done: 0 };
        ensemble.members[0].node.campaign().expect("a follower may campaign");
        while ensemble.members[0].node.raft.state != StateRole::Leader
            || ensemble.members[0].applied < ensemble.members[0].node.raft.raft_log.last_index()
        {
            ensemble.turn();
        }
        ensemble
    }

    fn propose(&mut self, load: Load, count: u64) {
        let (mut proposed, begin) = (0, self.done);
        while self.done - begin < count {
            while proposed < count && proposed - (self.done - begin) < load.in_flight as u64 {
                proposed += 1;
                self.members[0].node.propose(Vec::new(), vec![7; load.payload]).expect("it leads");
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        for position in 0..self.members.len() {
            let member = &mut self.members[position];
            for message in std::mem::take(&mut member.inbox) {
                // What it does not want, it refuses with an error; the documentation says to go on.
                let _ = member.node.step(message);
            }
            if member.node.has_ready() {
                self.serve(position);
            }
        }
    }

    fn serve(&mut self, position: usize) {
        let member = &mut self.members[position];
        let mut ready = member.node.ready();
        let mut sent = ready.take_messages();
        let mut applied = ready.take_committed_entries();
        let mut store = member.store.wl();
        if !ready.entries().is_empty() {
            store.append(ready.entries()).expect("entries follow each other");
        }
        if let Some(state) = ready.hs() {
            store.set_hardstate(state.clone());
        }
        drop(store);
        sent.extend(ready.take_persisted_messages());
        let mut light = member.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            member.store.wl().mut_hard_state().commit = commit;
        }
        sent.extend(light.take_messages());
        applied.extend(light.take_committed_entries());
        self.apply(position, applied);
        self.members[position].node.advance_apply();
        for message in sent {
            let to = self.positions[&message.to];
            self.members[to].inbox.push(message);
        }
    }

    fn apply(&mut self, position: usize, entries: Vec<Entry>) {
        let member = &mut self.members[position];
        for entry in entries {
            member.applied = entry.index;
            if position == 0 && !entry.data.is_empty() {
                self.done += 1;
            }
        }
        if member.applied - member.base > COMPACT_EVERY {
            member.base = member.applied - KEPT;
            member.store.wl().compact(member.base).expect("it was applied");
        }
    }
}
