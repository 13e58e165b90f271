//! Why this member stands where it stands, in plain words and numbers. The core gives the facts, this file adds
//! names and times. Nothing is ever decided by it.

use std::collections::{BTreeMap, VecDeque};

use raft::{Cause, NodeId, Standing, TransferCause, Trigger};

use crate::clock::{MILLISECOND, Now};
use crate::{Role, RoleChange};

/// Changes of role that are remembered.
const CHANGES_MAX: usize = 64;

/// The member's memory of what it saw of the others, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Story {
    names: BTreeMap<NodeId, String>,
    changes: VecDeque<RoleChange>,
    heard: BTreeMap<NodeId, u64>,
    lost: BTreeMap<NodeId, u64>,
    /// When this member began to campaign, if it does.
    campaign: Option<u64>,
    leader_changes: u64,
    last_leader: Option<NodeId>,
}

impl Story {
    pub(super) fn new(names: BTreeMap<NodeId, String>) -> Story {
        Story {
            names,
            changes: VecDeque::new(),
            heard: BTreeMap::new(),
            lost: BTreeMap::new(),
            campaign: None,
            leader_changes: 0,
            last_leader: None,
        }
    }

    /// A message of this peer arrived.
    pub(super) fn heard(&mut self, peer: NodeId, now: Now) {
        self.heard.insert(peer, now.nanoseconds);
    }

    /// The connection to this peer broke.
    pub(super) fn lost(&mut self, peer: NodeId, now: Now) {
        self.lost.insert(peer, now.nanoseconds);
    }

    /// Writes down a change of role, term or leader.
    pub(super) fn stands(&mut self, standing: &Standing, now: Now) -> &RoleChange {
        let role = role_of(standing.role);
        if matches!(role, Role::PreCandidate | Role::Candidate) {
            self.campaign.get_or_insert(now.nanoseconds);
        }
        let cause = self.words(&standing.cause, now);
        if !matches!(role, Role::PreCandidate | Role::Candidate) {
            self.campaign = None;
        }
        if standing.leader.is_some() && standing.leader != self.last_leader {
            self.leader_changes += 1;
            self.last_leader = standing.leader;
        }
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(RoleChange {
            unix_milliseconds: now.unix_milliseconds,
            role,
            term: standing.term.0,
            leader: standing.leader,
            cause,
        });
        self.changes.back().expect("just written")
    }

    pub(super) fn changes(&self) -> Vec<RoleChange> {
        self.changes.iter().cloned().collect()
    }

    pub(super) fn leader_changes(&self) -> u64 {
        self.leader_changes
    }

    pub(super) fn name(&self, id: NodeId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn words(&self, cause: &Cause, now: Now) -> String {
        match cause {
            Cause::Started => "just started".into(),
            Cause::Campaigns(trigger) => self.trigger(*trigger, now),
            Cause::Elected { trigger, votes, voters } => {
                let trigger = self.trigger(*trigger, now);
                match self.campaign {
                    Some(since) => {
                        let took = milliseconds(now.nanoseconds.saturating_sub(since));
                        format!("{trigger}; elected in {took} ms by {votes} of {voters}")
                    }
                    None => format!("{trigger}; elected by {votes} of {voters}"),
                }
            }
            Cause::HeardLeader(leader) => format!("heard from the leader {}", self.name(*leader)),
            Cause::HigherTerm { from, term } => format!("{} spoke of the later term {}", self.name(*from), term.0),
            Cause::LostMajority { heard, voters } => {
                format!("lost contact with the majority: heard {heard} of {voters} within an election timeout")
            }
            Cause::HandedOver { to, why } => format!("handed over to {}: {}", self.name(*to), transfer_words(*why)),
            Cause::Removed
            | Cause::PreVoteFailed
            | Cause::ElectionLost
            | Cause::MembershipChanged
            | Cause::SnapshotOfLaterTerm(_) => cause.to_string(),
        }
    }

    fn trigger(&self, trigger: Trigger, now: Now) -> String {
        match trigger {
            Trigger::TimedOut { leader: Some(leader) } => match self.heard.get(&leader) {
                Some(&heard) => {
                    let silent = milliseconds(now.nanoseconds.saturating_sub(heard));
                    format!("{} was silent for {silent} ms", self.name(leader))
                }
                None => format!("{} was never heard", self.name(leader)),
            },
            Trigger::TimedOut { leader: None } => "no leader was heard".into(),
            Trigger::ConnectionLost { leader } => match self.lost.get(&leader) {
                Some(&lost) => {
                    let ago = milliseconds(now.nanoseconds.saturating_sub(lost));
                    format!("{}'s connection was lost {ago} ms ago", self.name(leader))
                }
                None => format!("{}'s connection was lost", self.name(leader)),
            },
            Trigger::Transfer { from } => format!("{} handed over", self.name(from)),
            Trigger::Deposed => "it had to give up the term it led".into(),
            Trigger::Alone => "it is the only voter".into(),
        }
    }
}

fn transfer_words(why: TransferCause) -> String {
    match why {
        TransferCause::Asked => "it was asked to".into(),
        other => other.to_string(),
    }
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
