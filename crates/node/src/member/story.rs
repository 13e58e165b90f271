//! What happens to this member and why, in plain words and numbers: the writer of its diary. The core gives the
//! facts, this file adds names, times, and what the disk and the peers were like. Nothing is ever decided by it.

mod telling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft::{Cause, NodeId, Standing, Ticket, Trigger};

use super::gauges::{Disk, RoundTrips};
use super::repeats::Repeats;
use super::words::{Names, transfer};
use crate::clock::{MILLISECOND, Now};
use crate::diary::{DiaryEntry, DiaryKind, Facts, PeerFacts};
use crate::{PeerMessage, Role, RoleChange};

/// Changes of role that are remembered.
const CHANGES_MAX: usize = 64;
/// A turn that comes so late means that the member itself was not running.
const PAUSE_MIN: u64 = 250 * MILLISECOND;
/// So many leases that run out within [`STORM_SPAN`] are worth an entry.
const STORM_MIN: u64 = 16;
const STORM_SPAN: u64 = 1_000 * MILLISECOND;

/// The member's memory of what it saw of the others, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Story {
    own: NodeId,
    names: Names,
    now: Now,
    term: u64,
    role: raft::Role,
    leader: Option<NodeId>,
    /// Where its log ended when it was started.
    log_end: raft::LogId,
    changes: VecDeque<RoleChange>,
    heard: BTreeMap<NodeId, u64>,
    lost: BTreeMap<NodeId, u64>,
    /// Broken connections that are not told yet.
    lost_untold: BTreeSet<NodeId>,
    connected: BTreeSet<NodeId>,
    /// When this member began to campaign, if it does.
    campaign: Option<u64>,
    /// What the voters said to it last.
    tally: Option<Facts>,
    leader_changes: u64,
    last_leader: Option<NodeId>,
    /// Leases that ran out since the time given.
    expired: (u64, u64),
    disk: Disk,
    round_trips: RoundTrips,
    repeats: Repeats,
    entries: Vec<DiaryEntry>,
}

impl Story {
    pub(super) fn new(own: NodeId, names: BTreeMap<NodeId, String>, log_end: raft::LogId, now: Now) -> Story {
        Story {
            own,
            names: Names::new(names),
            now,
            term: 0,
            role: raft::Role::Follower,
            leader: None,
            log_end,
            changes: VecDeque::new(),
            heard: BTreeMap::new(),
            lost: BTreeMap::new(),
            lost_untold: BTreeSet::new(),
            connected: BTreeSet::new(),
            campaign: None,
            tally: None,
            leader_changes: 0,
            last_leader: None,
            expired: (0, 0),
            disk: Disk::default(),
            round_trips: RoundTrips::default(),
            repeats: Repeats::default(),
            entries: Vec::new(),
        }
    }

    /// The members have these names by now.
    pub(super) fn rename(&mut self, names: BTreeMap<NodeId, String>) {
        self.names.learn(names);
    }

    /// A turn begins that was due at `deadline` (nanoseconds) at the latest.
    pub(super) fn turn(&mut self, now: Now, deadline: u64) {
        let before = std::mem::replace(&mut self.now, now).nanoseconds;
        if now.nanoseconds.saturating_sub(deadline.max(before)) < PAUSE_MIN {
            return;
        }
        let paused = milliseconds(now.nanoseconds.saturating_sub(before));
        let facts = Facts { took_milliseconds: Some(paused), ..Facts::default() };
        let why = "its process was stopped or starved, or the machine slept";
        self.write(DiaryKind::Paused, format!("did not run for {paused} ms: {why}"), facts);
    }

    /// A message of this peer arrived.
    pub(super) fn heard(&mut self, peer: NodeId) {
        self.heard.insert(peer, self.now.nanoseconds);
    }

    /// The connection to this peer stands.
    pub(super) fn connected(&mut self, peer: NodeId) {
        self.connected.insert(peer);
        self.round_trips.ask_soon();
        let facts = Facts { peer: Some(self.name(peer)), ..Facts::default() };
        self.write(DiaryKind::Connected, format!("is connected to {}", self.name(peer)), facts);
    }

    /// The connection to this peer broke.
    pub(super) fn lost(&mut self, peer: NodeId) {
        self.lost.insert(peer, self.now.nanoseconds);
        self.connected.remove(&peer);
        self.round_trips.lost(peer);
        // The core may have more to say of it.
        self.lost_untold.insert(peer);
    }

    /// A write was handed out.
    pub(super) fn began_to_write(&mut self, ticket: Ticket) {
        self.disk.began(ticket, self.now);
    }

    /// This write and all before it are durable.
    pub(super) fn written(&mut self, ticket: Ticket) {
        self.disk.ended(ticket);
    }

    /// The log thread took so long, in nanoseconds: for its newest write, and at the most since it last told.
    pub(super) fn synced(&mut self, newest: u64, worst: u64) {
        self.disk.synced(newest, worst, self.now);
    }

    /// Questions for a sign of life that are due now, so that round trips are known when they matter.
    pub(super) fn pings(&mut self) -> Vec<(NodeId, PeerMessage)> {
        let Some(number) = self.round_trips.due(self.now) else { return Vec::new() };
        let connected = self.connected.iter().copied();
        let asked = connected.filter(|&peer| self.round_trips.ask(peer, number, self.now));
        asked.map(|peer| (peer, PeerMessage::Ping { number })).collect()
    }

    /// A peer answered a ping.
    pub(super) fn answered(&mut self, peer: NodeId, number: u64) {
        self.round_trips.answered(peer, number, self.now);
    }

    /// Leases ran out.
    pub(super) fn expired(&mut self, count: u64) {
        if count > 0 {
            if self.expired.0 == 0 {
                self.expired.1 = self.now.nanoseconds;
            }
            self.expired.0 += count;
        }
        let (count, since) = self.expired;
        if count > 0 && self.now.nanoseconds.saturating_sub(since) >= STORM_SPAN {
            self.expired.0 = 0;
            if count >= STORM_MIN {
                let facts = Facts { count: Some(count), ..Facts::default() };
                self.write(DiaryKind::ExpiryStorm, format!("saw {count} leases run out within a second"), facts);
            }
        }
    }

    /// Writes down what needs no more than a sentence.
    pub(super) fn note(&mut self, kind: DiaryKind, text: String) {
        self.write(kind, text, Facts::default());
    }

    /// What was written since this was last called.
    pub(super) fn take(&mut self) -> Vec<DiaryEntry> {
        for peer in std::mem::take(&mut self.lost_untold) {
            self.connection_lost(peer, format!("lost the connection to {}", self.name(peer)));
        }
        // What came before the first turn is told after the start itself.
        if let Some(start) = self.entries.iter().position(|entry| entry.kind == DiaryKind::Started) {
            self.entries[..=start].rotate_right(1);
        }
        std::mem::take(&mut self.entries)
    }

    pub(super) fn changes(&self) -> Vec<RoleChange> {
        self.changes.iter().cloned().collect()
    }

    pub(super) fn leader_changes(&self) -> u64 {
        self.leader_changes
    }

    pub(super) fn name(&self, id: NodeId) -> String {
        self.names.of(id)
    }

    fn connection_lost(&mut self, peer: NodeId, text: String) {
        let facts =
            Facts { peer: Some(self.name(peer)), silent_milliseconds: self.silence_of(peer), ..Facts::default() };
        self.write(DiaryKind::ConnectionLost, text, facts);
    }

    fn write(&mut self, kind: DiaryKind, mut text: String, mut facts: Facts) {
        if comes_in_series(kind) {
            match self.repeats.count(kind, &text, self.now) {
                None => return,
                Some(1) => {}
                Some(times) => {
                    facts.times = Some(times);
                    text += &format!("; {times} times by now");
                }
            }
        }
        if asks_for_conditions(kind) {
            facts.disk = self.disk.facts(self.now);
            facts.peers = self.peers();
        }
        self.entries.push(DiaryEntry {
            unix_milliseconds: self.now.unix_milliseconds,
            member: self.name(self.own),
            term: self.term,
            kind,
            text,
            facts,
        });
    }

    fn peers(&self) -> BTreeMap<String, PeerFacts> {
        let others = self.names.ids().filter(|&id| id != self.own);
        let facts = others.map(|id| {
            let facts = PeerFacts {
                connected: self.connected.contains(&id),
                heard_milliseconds_ago: self.silence_of(id),
                round_trip_microseconds: self.round_trips.newest(id, self.now),
                unanswered_microseconds: self.round_trips.unanswered(id, self.now),
            };
            (self.name(id), facts)
        });
        facts.collect()
    }

    fn silence_of(&self, peer: NodeId) -> Option<u64> {
        self.heard.get(&peer).map(|&heard| milliseconds(self.now.nanoseconds.saturating_sub(heard)))
    }

    fn lost_ago(&self, peer: NodeId) -> Option<u64> {
        self.lost.get(&peer).map(|&lost| milliseconds(self.now.nanoseconds.saturating_sub(lost)))
    }

    /// How long this member has been campaigning.
    fn campaigning(&self) -> Option<u64> {
        self.campaign.map(|since| milliseconds(self.now.nanoseconds.saturating_sub(since)))
    }

    fn cause(&self, cause: &Cause) -> String {
        match cause {
            Cause::Started => "just started".into(),
            Cause::Campaigns(trigger) => self.trigger(*trigger),
            Cause::Elected { trigger, votes, voters } => {
                let trigger = self.trigger(*trigger);
                match self.campaigning() {
                    Some(took) => format!("{trigger}; elected in {took} ms by {votes} of {voters}"),
                    None => format!("{trigger}; elected by {votes} of {voters}"),
                }
            }
            Cause::HeardLeader(leader) => format!("heard from the leader {}", self.name(*leader)),
            Cause::HigherTerm { from, term } => format!("{} spoke of the later term {}", self.name(*from), term.0),
            Cause::SnapshotOfLaterTerm(term) => format!("a snapshot ends in the later term {}", term.0),
            Cause::LostMajority { heard, voters } => {
                format!("lost contact with the majority: heard {heard} of {voters} within an election timeout")
            }
            Cause::HandedOver { to, why } => format!("handed over to {}: {}", self.name(*to), transfer(*why)),
            Cause::Removed => "removed from the ensemble".into(),
            Cause::PreVoteFailed => "too many refused the pre-vote".into(),
            Cause::ElectionLost => "too many refused the vote".into(),
            Cause::MembershipChanged => "the membership changed".into(),
        }
    }

    fn trigger(&self, trigger: Trigger) -> String {
        match trigger {
            Trigger::TimedOut { leader: Some(leader) } => match self.silence_of(leader) {
                Some(silent) => format!("{} was silent for {silent} ms", self.name(leader)),
                None => format!("{} was never heard", self.name(leader)),
            },
            Trigger::TimedOut { leader: None } => "no leader was heard".into(),
            Trigger::ConnectionLost { leader } => match self.lost_ago(leader) {
                Some(ago) => format!("{}'s connection was lost {ago} ms ago", self.name(leader)),
                None => format!("{}'s connection was lost", self.name(leader)),
            },
            Trigger::Transfer { from } => format!("{} handed over", self.name(from)),
            Trigger::Deposed => "it had to give up the term it led".into(),
            Trigger::Alone => "it is the only voter".into(),
        }
    }

    /// What a cause says in numbers.
    fn facts_of(&self, cause: &Cause) -> Facts {
        let of_trigger = |trigger: &Trigger| match *trigger {
            Trigger::TimedOut { leader: Some(leader) } => Facts {
                peer: Some(self.name(leader)),
                silent_milliseconds: self.silence_of(leader),
                ..Facts::default()
            },
            Trigger::ConnectionLost { leader } => Facts {
                peer: Some(self.name(leader)),
                silent_milliseconds: self.silence_of(leader),
                lost_milliseconds_ago: self.lost_ago(leader),
                ..Facts::default()
            },
            Trigger::Transfer { from } => Facts { peer: Some(self.name(from)), ..Facts::default() },
            Trigger::TimedOut { leader: None } | Trigger::Deposed | Trigger::Alone => Facts::default(),
        };
        match cause {
            Cause::Campaigns(trigger) => of_trigger(trigger),
            Cause::Elected { trigger, .. } => {
                let tally = self.tally.clone().unwrap_or_default();
                let Facts { peer, silent_milliseconds, lost_milliseconds_ago, .. } = of_trigger(trigger);
                let took_milliseconds = self.campaigning();
                Facts { peer, silent_milliseconds, lost_milliseconds_ago, took_milliseconds, ..tally }
            }
            Cause::HeardLeader(peer) | Cause::HigherTerm { from: peer, .. } | Cause::HandedOver { to: peer, .. } => {
                Facts { peer: Some(self.name(*peer)), ..Facts::default() }
            }
            Cause::Started
            | Cause::SnapshotOfLaterTerm(_)
            | Cause::LostMajority { .. }
            | Cause::Removed
            | Cause::PreVoteFailed
            | Cause::ElectionLost
            | Cause::MembershipChanged => Facts::default(),
        }
    }

    /// Remembers a change of role, term or leader for the member's status.
    fn remember(&mut self, standing: &Standing, cause: String) {
        if standing.leader.is_some() && standing.leader != self.last_leader {
            self.leader_changes += 1;
            self.last_leader = standing.leader;
        }
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(RoleChange {
            unix_milliseconds: self.now.unix_milliseconds,
            role: role_of(standing.role),
            term: standing.term.0,
            leader: standing.leader,
            cause,
        });
    }
}

/// Kinds of which one after another may come for hours: see [`Repeats`].
fn comes_in_series(kind: DiaryKind) -> bool {
    use DiaryKind as Kind;
    is_of_elections(kind)
        || matches!(kind, Kind::Connected | Kind::ConnectionLost | Kind::Disk | Kind::Snapshot | Kind::Unsound)
        || matches!(kind, Kind::ExpiryStorm | Kind::Transfer)
}

/// Kinds whose series end with a new leader.
fn is_of_elections(kind: DiaryKind) -> bool {
    use DiaryKind as Kind;
    matches!(kind, Kind::Campaign | Kind::Tally | Kind::PreVoteFailed | Kind::ElectionFailed | Kind::Follower)
        || matches!(kind, Kind::Vote | Kind::Refusal)
}

/// Kinds of which people will ask: and what were the disk and the network like?
fn asks_for_conditions(kind: DiaryKind) -> bool {
    use DiaryKind as Kind;
    matches!(kind, Kind::Campaign | Kind::PreVoteFailed | Kind::ElectionFailed | Kind::Leader | Kind::StepDown)
        || matches!(kind, Kind::Transfer | Kind::Disk | Kind::Paused)
}

/// Rounded to the nearest: a third of a millisecond is "0 ms", which is true enough for people.
fn milliseconds(nanoseconds: u64) -> u64 {
    (nanoseconds + MILLISECOND / 2) / MILLISECOND
}

pub(super) fn role_of(role: raft::Role) -> Role {
    match role {
        raft::Role::Learner => Role::Learner,
        raft::Role::Follower => Role::Follower,
        raft::Role::PreCandidate => Role::PreCandidate,
        raft::Role::Candidate => Role::Candidate,
        raft::Role::Leader => Role::Leader,
    }
}
