//! A member's status as JSON: what `/status` and `/health` answer, and what `dev` reads back. Knows no transport.

use std::collections::BTreeMap;

use node::{NodeId, Status};
use serde::{Deserialize, Serialize};

/// The answer of `/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) ensemble: String,
    pub(crate) name: String,
    pub(crate) id: u64,
    /// The operating system's number of the process.
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) role: String,
    pub(crate) term: u64,
    /// The leader's name, if one is known.
    pub(crate) leader: Option<String>,
    pub(crate) can_read: bool,
    pub(crate) can_commit: bool,
    pub(crate) commit: u64,
    pub(crate) applied: u64,
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    /// The running hash over all rows, and the index at which it holds.
    pub(crate) hash: String,
    pub(crate) hash_at: u64,
    pub(crate) state_bytes: u64,
    /// Its rows were found not to be the leader's: it serves nobody until it has got others.
    #[serde(default)]
    pub(crate) diverged: bool,
    pub(crate) quota_soft_bytes: u64,
    pub(crate) quota_hard_bytes: u64,
    pub(crate) members: Vec<MemberReport>,
    /// Changes of role, term or leader; the newest last.
    pub(crate) changes: Vec<ChangeReport>,
}

/// One member as seen from the one that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberReport {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) client: BTreeMap<String, String>,
    pub(crate) voter: bool,
    #[serde(default)]
    pub(crate) priority: u8,
    pub(crate) connected: bool,
    /// The last entry it is known to hold; only a leader knows.
    pub(crate) matched: Option<u64>,
}

/// A change of role, term or leader, with its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeReport {
    pub(crate) unix_milliseconds: u64,
    pub(crate) role: String,
    pub(crate) term: u64,
    pub(crate) leader: Option<String>,
    pub(crate) cause: String,
}

impl Report {
    pub(crate) fn of(status: &Status) -> Report {
        let named = |id: Option<NodeId>| id.map(|id| name_of(status, id));
        Report {
            ensemble: status.ensemble.clone(),
            name: status.name.clone(),
            id: status.id.0,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: status.role.name().to_owned(),
            term: status.term,
            leader: named(status.leader),
            can_read: status.can_read,
            can_commit: status.can_commit,
            commit: status.commit,
            applied: status.applied,
            revision: status.revision,
            compacted: status.compacted,
            hash: format!("{:032x}", status.hash_at.1),
            hash_at: status.hash_at.0,
            state_bytes: status.state_bytes,
            diverged: status.diverged,
            quota_soft_bytes: status.quota_soft_bytes,
            quota_hard_bytes: status.quota_hard_bytes,
            members: status
                .members
                .iter()
                .map(|member| MemberReport {
                    id: member.id.0,
                    name: member.name.clone(),
                    peer: member.peer.clone(),
                    client: member.client.clone(),
                    voter: member.voter,
                    priority: member.priority,
                    connected: member.connected,
                    matched: member.matched,
                })
                .collect(),
            changes: status
                .changes
                .iter()
                .map(|change| ChangeReport {
                    unix_milliseconds: change.unix_milliseconds,
                    role: change.role.name().to_owned(),
                    term: change.term,
                    leader: named(change.leader),
                    cause: change.cause.clone(),
                })
                .collect(),
        }
    }
}

fn name_of(status: &Status, id: NodeId) -> String {
    status.member(id).map_or_else(|| format!("member {}", id.0), |member| member.name.clone())
}

/// The answer of `/health`: three different questions, three answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// The process answers. Restarting it helps only if this is false.
    pub(crate) alive: bool,
    /// Reads are answered here.
    pub(crate) can_read: bool,
    /// Writes through this member reach a majority.
    pub(crate) can_commit: bool,
    /// In words, what holds it up.
    pub(crate) reason: String,
}

impl Health {
    /// The health of a member with this status; without one it is still recovering its log.
    pub(crate) fn of(status: Option<&Status>) -> Health {
        let Some(status) = status else {
            return Health { alive: true, can_read: false, can_commit: false, reason: "recovering the log".to_owned() };
        };
        Health { alive: true, can_read: status.can_read, can_commit: status.can_commit, reason: reason(status) }
    }
}

fn reason(status: &Status) -> String {
    if status.diverged {
        return "the state of this member differs from the leader's, and is being replaced".to_owned();
    }
    let Some(leader) = status.leader else {
        let unreached: Vec<&str> =
            status.members.iter().filter(|member| !member.connected).map(|member| member.name.as_str()).collect();
        return if unreached.is_empty() {
            format!("no leader in term {}; an election is due", status.term)
        } else {
            format!("no leader in term {}; not connected: {}", status.term, unreached.join(", "))
        };
    };
    let leader = name_of(status, leader);
    if status.can_commit {
        format!("{leader} leads in term {}", status.term)
    } else {
        format!("{leader} leads in term {}, but this member does not know that it reaches a majority", status.term)
    }
}
