//! How a member is told who it is and what its limits are. It may not know how the settings are spelt in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::NodeId;
use crate::roster::Roster;

/// Everything [`crate::start`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ensemble's name. Members of different ensembles refuse each other.
    pub ensemble: String,
    /// This member; one of `members`.
    pub id: NodeId,
    /// The members the ensemble starts with, this one included; the same list on all of them. Once there is an
    /// ensemble, its log says who belongs; then this is only where to look for the others, and what this member says
    /// of itself.
    pub members: Vec<MemberAddress>,
    /// This member is not one of those that found the ensemble: with an empty disk it waits until it is added.
    pub join: bool,
    /// Where this member listens for its peers, if that differs from its address in `members`.
    pub listen_peer: Option<String>,
    /// The folder that holds the log, the snapshots and the member's identity.
    pub data: PathBuf,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// Bounds of every queue, buffer and history.
    pub limits: Limits,
}

impl Options {
    /// Everybody votes at the start, if this member is there at the start.
    #[must_use]
    pub fn initial_membership(&self) -> raft::Membership {
        if self.join { raft::Membership::default() } else { Roster::founding(&self.members) }
    }

    /// What this member is told of itself.
    pub(crate) fn own(&self) -> Option<&MemberAddress> {
        self.members.iter().find(|member| member.id == self.id)
    }

    /// The timing as the pacer wants it.
    pub(crate) fn pacing(&self) -> raft::Timing {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        raft::Timing {
            heartbeat: nanoseconds(self.timing.heartbeat),
            election_min: nanoseconds(self.timing.election_min),
            election_max: nanoseconds(self.timing.election_max),
            ..raft::Timing::default()
        }
    }
}

/// One member's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddress {
    /// Its number, unique in the ensemble and never used again for another member.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Where its peers reach it: `host:port`.
    pub peer: String,
    /// Where clients reach it, by protocol name: `host:port`.
    pub client: BTreeMap<String, String>,
    /// How much it is wished for as leader: higher is better, 0 is what everybody has without.
    pub priority: u8,
}

/// Heartbeats and elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader lets its followers hear of it.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower asks for an election.
    pub election_min: Duration,
    /// The longest such silence; each wait is drawn between the two.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

/// Bounds. Each has a defined behaviour when it is reached, named beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request; a larger one is refused (`Reason::TooLarge`).
    pub request_bytes: usize,
    /// How long a request may wait for a leader and its answer; then it fails (`Reason::TimedOut`).
    pub request_timeout: Duration,
    /// Requests of this member's clients that are not answered yet; more are refused (`Reason::Overloaded`).
    pub queue_items: usize,
    /// Bytes of those requests; more are refused (`Reason::Overloaded`).
    pub queue_bytes: usize,
    /// Bytes of entries the leader prepared that are not committed yet; at the bound requests wait in the queue.
    pub uncommitted_bytes: usize,
    /// Bytes of one entry of the log: a turn's requests beyond it go into further entries.
    pub entry_bytes: usize,
    /// Bytes of the row changes that one request may make; one that would make more is refused
    /// (`Reason::TooLarge`). It is far above what a request of `request_bytes` can put; deleting a great many rows
    /// at once can reach it.
    pub change_bytes: usize,
    /// Bytes that wait for one peer on one lane; beyond it the connection is dropped and made anew.
    pub peer_queue_bytes: usize,
    /// Bytes of history (old rows and changes) beyond which the leader compacts the older half.
    pub history_bytes: u64,
    /// Revisions of history beyond which the leader compacts the older half.
    pub history_revisions: usize,
    /// The age beyond which the leader compacts history, however little it is. Zero: no such bound.
    pub history_age: Duration,
    /// Bytes of live keys and rows above which people are warned: in the diary, the status and the metrics.
    pub quota_soft_bytes: u64,
    /// Bytes of live keys and rows above which what makes them more is refused (`Reason::OverQuota`).
    pub quota_hard_bytes: u64,
    /// Changes waiting in one mailbox; beyond it the watcher is told that its place is lost and reads history.
    pub mailbox_changes: usize,
    /// Members without a vote; a further one is refused (`Refused::TooManyLearners`).
    pub learners: usize,
    /// Bytes of one segment of the log.
    pub segment_bytes: u64,
    /// Bytes of log after which the member writes a snapshot and releases the log below it.
    pub snapshot_log_bytes: u64,
}

impl Limits {
    /// What `segment_bytes` must be at least: a segment holds several of the largest entries.
    #[must_use]
    pub fn segment_bytes_min(&self) -> u64 {
        8 * (self.entry_bytes as u64 + self.change_bytes as u64)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes: 2 * 1024 * 1024,
            request_timeout: Duration::from_secs(7),
            queue_items: 64 * 1024,
            queue_bytes: 128 * 1024 * 1024,
            uncommitted_bytes: 64 * 1024 * 1024,
            entry_bytes: 1024 * 1024,
            change_bytes: 7 * 1024 * 1024,
            peer_queue_bytes: 64 * 1024 * 1024,
            history_bytes: 512 * 1024 * 1024,
            history_revisions: 1_000_000,
            history_age: Duration::ZERO,
            quota_soft_bytes: 6 * 1024 * 1024 * 1024,
            quota_hard_bytes: 8 * 1024 * 1024 * 1024,
            mailbox_changes: 16 * 1024,
            learners: 8,
            segment_bytes: 64 * 1024 * 1024,
            snapshot_log_bytes: 256 * 1024 * 1024,
        }
    }
}
