//! Connections between processes, and the messages on them.

use node::member::Event;
use node::{NodeId, PeerMessage};

use super::host::SILENCE_MAX;
use super::{Action, World};
use crate::clock::MILLISECOND;
use crate::disk::Death;
use crate::invariants::Verdict;
use crate::network::{Due, Pair, Sent, Way, pair};

impl World {
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, message: PeerMessage) -> Verdict {
        if self.is_traced() {
            self.note_of(from, || format!("to {to}: {message:?}").chars().take(200).collect());
        }
        if self.network.standing(pair(from, to)).is_some() && self.corrupted_next.remove(&(from, to)) {
            return self.corrupt((from, to), &message);
        }
        match self.network.send(self.now, (from, to), message) {
            Sent::Lost => {}
            Sent::OnLane(due) => self.at(due.at, Action::Deliver(due)),
            Sent::Loose(copies) => {
                for (at, message) in copies {
                    self.at(at, Action::Arrive { to, from, message: Box::new(message) });
                }
            }
        }
        if self.network.overflows((from, to)) {
            self.coverage.count("queues overflown");
            self.sever(pair(from, to), None);
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, due: Due) {
        let (from, to) = due.way;
        for message in self.network.arrived(self.now, due) {
            self.arrive(to, from, message);
        }
    }

    pub(super) fn arrive(&mut self, to: NodeId, from: NodeId, message: PeerMessage) {
        if self.host(to).post(Event::Peer { from, message }) {
            self.wake(to);
        }
    }

    /// Sees to it that somebody tries to connect the two.
    pub(super) fn expect_attempt(&mut self, pair: Pair) {
        if self.network.standing(pair).is_none() && self.attempts.insert(pair) {
            let at = self.network.next_attempt(self.now, pair);
            self.at(at, Action::Attempt(pair));
        }
    }

    pub(super) fn attempt(&mut self, pair: Pair) {
        self.attempts.remove(&pair);
        let alive = |id: NodeId| self.hosts[&id].process.is_some();
        // Somebody must want the connection; who begins to want it later tries then.
        let wanted = (self.knows(pair.0, pair.1), self.knows(pair.1, pair.0));
        if wanted == (false, false) {
            return;
        }
        if wanted != (true, true) && alive(pair.0) && alive(pair.1) {
            return self.turn_away(pair, wanted.0);
        }
        let reachable = [pair.0, pair.1].iter().all(|id| alive(*id) && self.hosts[id].paused.is_none());
        let connected = if reachable { self.network.connect(self.now, pair) } else { None };
        let Some(generation) = connected else { return self.expect_attempt(pair) };
        self.coverage.count("connections made");
        for (id, peer) in [(pair.0, pair.1), (pair.1, pair.0)] {
            let wait = self.chance.below(2 * MILLISECOND);
            self.tell_of_connection(id, peer, generation, true, wait);
        }
    }

    /// One of two members does not know the other: it was not added yet, or was removed, and is told so.
    fn turn_away(&mut self, pair: Pair, lower_dials: bool) {
        let (from, to) = if lower_dials { pair } else { (pair.1, pair.0) };
        let open = [(from, to), (to, from)].into_iter().all(|way| self.network.blocked_since(way).is_none());
        let awake = [from, to].iter().all(|id| self.hosts[id].paused.is_none());
        if open && awake && self.expels(to, from) {
            self.coverage.count("members told that they were removed");
            self.host(from).post(Event::Expelled { by: to });
            self.wake(from);
        }
        self.expect_attempt(pair);
    }

    fn tell_of_connection(&mut self, id: NodeId, peer: NodeId, generation: u64, stands: bool, wait: u64) {
        let life = self.hosts[&id].life;
        self.after(wait, Action::Learn { id, life, peer, generation, stands });
    }

    pub(super) fn learn(&mut self, id: NodeId, life: u64, peer: NodeId, generation: u64, stands: bool) {
        let standing = self.network.standing(pair(id, peer));
        let host = self.host(id);
        let Some(process) = host.process.as_mut().filter(|_| host.life == life) else { return };
        let known = process.links.get(&peer).copied();
        if stands && standing == Some(generation) {
            // The peer dialled anew before the old connection was seen to break.
            if known.is_some() {
                process.inbox.push(Event::ConnectionLost(peer));
            }
            process.links.insert(peer, generation);
            process.inbox.push(Event::Connected(peer));
            self.wake(id);
        } else if !stands && known == Some(generation) {
            process.links.remove(&peer);
            process.inbox.push(Event::ConnectionLost(peer));
            self.wake(id);
        }
    }

    /// The connection between two members breaks. Both ends notice soon, but for the one that notices `late`.
    pub(super) fn sever(&mut self, pair: Pair, late: Option<NodeId>) {
        let Some(generation) = self.network.standing(pair) else { return };
        self.network.break_connection(pair, None);
        self.coverage.count("connections broken");
        for (id, peer) in [(pair.0, pair.1), (pair.1, pair.0)] {
            let soon = self.chance.below(2 * MILLISECOND);
            let wait = if late == Some(id) { SILENCE_MAX + soon } else { soon };
            self.tell_of_connection(id, peer, generation, false, wait);
        }
        self.expect_attempt(pair);
    }

    /// A process is gone: its connections break, after what it said last.
    pub(super) fn part_from_all(&mut self, id: NodeId, death: Death) {
        for peer in self.ids().into_iter().filter(|&peer| peer != id) {
            let ends = pair(id, peer);
            let Some(generation) = self.network.standing(ends) else { continue };
            let cut_off = self.network.blocked_since((id, peer)).is_some();
            let mut noticed = self.now + self.network.normal().delay + self.chance.below(MILLISECOND);
            for (at, to, message) in self.network.break_connection(ends, Some(id)) {
                noticed = noticed.max(at);
                self.at(at, Action::Arrive { to, from: id, message: Box::new(message) });
            }
            if death == Death::PowerLost || cut_off {
                noticed = self.now + SILENCE_MAX + self.chance.below(MILLISECOND);
            }
            self.tell_of_connection(peer, id, generation, false, noticed - self.now);
            self.expect_attempt(ends);
        }
    }

    /// Blocks a direction.
    pub(super) fn block(&mut self, way: Way) {
        self.network.block(self.now, way);
        if let Some(since) = self.network.blocked_since(way) {
            self.after(SILENCE_MAX, Action::Silent { way, since });
        }
    }

    /// Takes one block off a direction.
    pub(super) fn unblock(&mut self, way: Way) {
        for due in self.network.unblock(self.now, way) {
            self.at(due.at, Action::Deliver(due));
        }
    }

    /// A receiver has heard nothing for too long: because the way is blocked, or the other end stands still.
    pub(super) fn silent(&mut self, way: Way, since: u64) {
        let blocked = self.network.blocked_since(way) == Some(since);
        let paused = self.hosts[&way.0].paused == Some(since);
        if blocked || paused {
            self.coverage.count("connections given up for silence");
            self.sever(pair(way.0, way.1), None);
        }
    }
}
