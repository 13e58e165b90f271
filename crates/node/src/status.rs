//! What a member says of itself, for people, metrics and probes. It may not know how it is printed.

use std::collections::BTreeMap;

use crate::NodeId;

/// A snapshot of the member's standing, replaced whole whenever something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// This member's name.
    pub name: String,
    /// The ensemble's name.
    pub ensemble: String,
    /// What it is at present.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows of in that term.
    pub leader: Option<NodeId>,
    /// Entries up to here are committed, as far as this member knows.
    pub commit: u64,
    /// Entries up to here are applied here.
    pub applied: u64,
    /// The state's revision after them.
    pub revision: u64,
    /// History up to here is compacted.
    pub compacted: u64,
    /// The running hash over all rows, and the index it belongs to.
    pub hash_at: (u64, u128),
    /// Bytes of live keys and rows.
    pub state_bytes: u64,
    /// `quota.soft_bytes`: above it people are warned.
    pub quota_soft_bytes: u64,
    /// `quota.hard_bytes`: above it what makes the state grow is refused.
    pub quota_hard_bytes: u64,
    /// All members, in the order of their ids.
    pub members: Vec<MemberStatus>,
    /// Changes of role, term or leader, the newest last; bounded.
    pub changes: Vec<RoleChange>,
    /// Its rows were found not to be the leader's: it serves nobody until it has got others.
    pub diverged: bool,
    /// A leader is known, so reads can be answered.
    pub can_read: bool,
    /// This member knows a leader that reaches a majority, so writes can be committed.
    pub can_commit: bool,
    /// Counters since the start.
    pub counters: Counters,
}

impl Status {
    /// The newest change of role, term or leader.
    #[must_use]
    pub fn last_change(&self) -> Option<&RoleChange> {
        self.changes.last()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&MemberStatus> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// What a member is in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Receives the log without a vote.
    Learner,
}

impl Role {
    /// The role's name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
            Role::Learner => "learner",
        }
    }
}

/// One member as seen from this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub peer: String,
    /// Where clients reach it, by protocol name.
    pub client: BTreeMap<String, String>,
    /// Whether it has a vote.
    pub voter: bool,
    /// How much it is wished for as leader.
    pub priority: u8,
    /// Whether a connection to it stands (always true for this member itself).
    pub connected: bool,
    /// The last entry it is known to hold; only a leader knows.
    pub matched: Option<u64>,
}

/// A change of role, term or leader, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// When, in wall-clock milliseconds since 1970.
    pub unix_milliseconds: u64,
    /// What this member was from then on.
    pub role: Role,
    /// In which term.
    pub term: u64,
    /// Under which leader.
    pub leader: Option<NodeId>,
    /// Why, in plain words and numbers.
    pub cause: String,
}

/// What this member did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests decided here as leader.
    pub prepared: u64,
    /// Entries proposed here as leader.
    pub proposed: u64,
    /// Requests sent on to the leader.
    pub forwarded: u64,
    /// Linearizable reads answered.
    pub barriers: u64,
    /// Leases that ran out here as leader.
    pub expired: u64,
    /// Comparisons of this member's state with the leader's.
    pub digests: u64,
    /// How often this member's state differed from the leader's and was replaced.
    pub healed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the quota stood against, refused here as leader.
    pub over_quota: u64,
    /// Changes of leader seen.
    pub leader_changes: u64,
}
