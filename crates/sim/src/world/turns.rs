//! A member's turn: everything that waits goes in, everything that is owed is carried out, in the order that the
//! member's own shell keeps.

use node::member::{Effects, Event};
use node::{NodeId, PeerMessage};

use super::World;
use super::faults::DOWNTIME;
use crate::clock::MILLISECOND;
use crate::disk::Death;
use crate::invariants::{Deed, Verdict, published};
use crate::sabotage::Sabotage;

/// The kinds of messages between members, as they are counted.
pub(super) const MESSAGES: [&str; 7] = [
    "consensus messages",
    "questions to leaders",
    "answers of leaders",
    "signs of life passed on",
    "pings and their answers",
    "hashes compared",
    "states asked for",
];
/// The whole log of a member is looked through in one of so many turns.
const TURNS_PER_LOOK: u64 = 128;

impl World {
    pub(super) fn turn(&mut self, id: NodeId, token: u64) -> Verdict {
        let at = self.now;
        let host = self.hosts.get_mut(&id).expect("every member has a host");
        let Some(process) = host.process.as_mut() else { return Ok(()) };
        if process.turn.is_none_or(|(_, expected)| expected != token) {
            return Ok(());
        }
        process.turn = None;
        if host.paused.is_some() {
            return Ok(());
        }
        let now = host.clock.now(at);
        let mut stops = false;
        for event in std::mem::take(&mut process.inbox) {
            stops |= matches!(event, Event::Stop);
            process.member.step(now, event);
        }
        if !process.touched.is_empty() {
            let leases = std::mem::take(&mut process.touched).into_iter().collect();
            process.member.step(now, Event::Touched { leases });
        }
        if now.nanoseconds >= process.member.deadline() {
            process.member.step(now, Event::Tick);
        }
        let effects = process.member.drain(now);
        if process.turns.is_multiple_of(TURNS_PER_LOOK) {
            process.member.raft().check();
        }
        let log_failed = process.log_failed;
        let deeds = self.witness.turned(at, id, &effects, process.member.raft(), host.damaged.is_some())?;
        self.turns += 1;
        self.note_deeds(deeds)?;
        if let Some(why) = &effects.fatal {
            let damaged = self.host(id).damaged.is_some();
            published::members_stop_only_with_a_reason(id, why, log_failed || damaged)?;
            self.noticed(id);
        }
        let fatal = effects.fatal.is_some();
        let retired = effects.retired.clone();
        self.carry_out(id, effects)?;
        if let Some(why) = retired {
            return self.retire(id, &why);
        }
        if stops || fatal || self.spare_others(id) {
            let death = if stops { Death::Stopped } else { Death::Killed };
            let away = self.chance.between(DOWNTIME.0, DOWNTIME.1);
            self.die(id, death, away);
            return Ok(());
        }
        self.next_turn(id);
        Ok(())
    }

    /// The turn that comes if nothing happens before.
    fn next_turn(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.host(id);
        let Some(process) = &host.process else { return };
        let patience = u64::try_from(host.options.timing.heartbeat.as_nanos()).unwrap_or(u64::MAX);
        let due = host.clock.when(process.member.deadline(), now).map_or(patience, |due| due - now);
        self.turn_in(id, due.clamp(1000, patience));
    }

    fn note_deeds(&mut self, deeds: Vec<(u64, Deed)>) -> Verdict {
        for (proposed, deed) in deeds {
            match deed {
                Deed::Request(_) => self.coverage.count("requests done"),
                Deed::Ended(lease) => self.leases.ended(lease),
                Deed::Expired(lease) => {
                    self.coverage.count("leases expired");
                    self.note("ledger", || format!("lease {lease} ran out"));
                    self.leases.expired(lease, proposed)?;
                }
                Deed::Granted { lease, ttl_milliseconds } => {
                    // The grant was asked for before it was proposed; its client's own time is noted when it is told.
                    self.leases.granted(lease, ttl_milliseconds, self.asked_for(lease));
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, id: NodeId, effects: Effects) -> Verdict {
        for entry in effects.diary {
            self.note_of(id, || entry.text);
        }
        let early = self.released_early(id, &effects.write);
        for (to, message) in effects.send {
            self.count_message(&message);
            self.send(id, to, message)?;
        }
        let host = self.host(id);
        for write in effects.write {
            host.disk.submit(write);
        }
        if let Some(published) = effects.publish
            && let Some(process) = &mut host.process
        {
            process.published = published;
            self.dispatch_soon(id);
            self.written_over(id);
        }
        if let Some(order) = effects.save_snapshot {
            self.save_snapshot(id, order);
        }
        if let Some(peers) = effects.peers {
            self.follow_peers(id, peers);
        }
        for to in effects.send_snapshot {
            self.send_snapshot(id, to);
        }
        self.begin_write(id);
        for (tag, answer) in early.into_iter().chain(effects.answers) {
            let again = (self.plan.sabotage == Some(Sabotage::AnswerTwice)).then(|| answer.clone());
            self.answered(id, tag, answer)?;
            if let Some(again) = again.filter(|_| self.chance.per_mille(10)) {
                self.answered(id, tag, again)?;
            }
        }
        Ok(())
    }

    fn count_message(&mut self, message: &PeerMessage) {
        let kind = match message {
            PeerMessage::Raft(_) => 0,
            PeerMessage::Ask { .. } => 1,
            PeerMessage::Tell { .. } => 2,
            PeerMessage::Touch { .. } => 3,
            PeerMessage::Ping { .. } | PeerMessage::Pong { .. } => 4,
            PeerMessage::Digest { .. } => 5,
            PeerMessage::WantState { .. } => 6,
        };
        self.messages[kind] += 1;
    }

    /// The members' heartbeat, in nanoseconds.
    pub(super) fn election_timeout(&self) -> u64 {
        let timeout = self.plan.timing.election_max;
        u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(MILLISECOND)
    }
}
