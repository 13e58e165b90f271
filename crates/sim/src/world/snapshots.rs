//! States as files: written down by the member's own code, carried from one member to another, kept if they are whole.

use node::NodeId;
use node::member::{Event, SnapshotOrder};
use raft::LogId;

use super::{Action, World};
use crate::clock::MILLISECOND;
use crate::network::pair;

impl World {
    pub(super) fn save_snapshot(&mut self, id: NodeId, order: SnapshotOrder) {
        let takes = self.chance.magnitude(MILLISECOND, 500 * MILLISECOND);
        let host = self.host(id);
        host.disk.begin_snapshot(order);
        let life = host.life;
        self.after(takes, Action::Saved { id, life });
    }

    pub(super) fn snapshot_saved(&mut self, id: NodeId, life: u64) {
        let host = self.host(id);
        if host.life != life || host.process.is_none() {
            return;
        }
        let saved = match host.damaged {
            None => host.disk.finish_snapshot(),
            // What is wrong in memory is not to become what is right on disk: the member is found out before that.
            Some(_) => host.disk.abandon_snapshot(),
        };
        let event = match saved {
            Ok(meta) => {
                self.coverage.count("snapshots written");
                self.witness.kept(id, meta.last);
                Event::SnapshotWritten { meta }
            }
            Err(why) => {
                self.coverage.count("snapshots not written");
                Event::SnapshotFailed { why }
            }
        };
        self.host(id).post(event);
        self.wake(id);
    }

    /// A member sends its newest snapshot to a peer.
    pub(super) fn send_snapshot(&mut self, from: NodeId, to: NodeId) {
        let takes = self.chance.magnitude(MILLISECOND, 1000 * MILLISECOND);
        let lives = (self.hosts[&from].life, self.hosts[&to].life);
        self.after(takes, Action::Carried { from, to, lives });
    }

    pub(super) fn snapshot_carried(&mut self, from: NodeId, to: NodeId, lives: (u64, u64)) {
        if self.hosts[&from].life != lives.0 || self.hosts[&from].process.is_none() {
            return;
        }
        let Ok(Some(bytes)) = self.host(from).disk.newest_snapshot() else {
            return self.snapshot_sent(from, to, None);
        };
        let receiver = &self.hosts[&to];
        let reachable = self.network.standing(pair(from, to)).is_some()
            && self.network.blocked_since((from, to)).is_none()
            && receiver.life == lives.1
            && receiver.paused.is_none();
        // A connection that breaks leaves a first part behind.
        let broken = !reachable || self.chance.percent(10);
        let length = if broken { self.chance.position(bytes.len()) } else { bytes.len() };
        match self.host(to).disk.receive_snapshot(&bytes, length) {
            Ok((meta, state)) => {
                self.coverage.count("snapshots received");
                let last = meta.last;
                self.note_of(to, || format!("received the snapshot of entry {last} from {from}"));
                self.witness.kept(to, last);
                self.host(to).post(Event::SnapshotReceived { meta, state: Box::new(state) });
                self.wake(to);
                self.snapshot_sent(from, to, Some(last));
            }
            Err(_) => self.snapshot_sent(from, to, None),
        }
    }

    /// The sender learns what became of a snapshot.
    fn snapshot_sent(&mut self, from: NodeId, to: NodeId, at: Option<LogId>) {
        self.coverage.count_if(at.is_none(), "snapshots not received");
        self.host(from).post(Event::SnapshotSent { to, at: at.unwrap_or_default(), delivered: at.is_some() });
        self.wake(from);
    }
}
