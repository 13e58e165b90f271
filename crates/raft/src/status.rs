//! What a member shows of itself: for people, metrics and golden files. Nothing decides by it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::cause::Cause;
use crate::effects::Role;
use crate::membership::Membership;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{Ballot, Index, LogId, NodeId, Payload};

/// A member's state at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// Term and vote.
    pub ballot: Ballot,
    /// Its role.
    pub role: Role,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// Why it stands so.
    pub cause: Cause,
    /// The log starts behind this entry.
    pub base: LogId,
    /// The last entry.
    pub last: LogId,
    /// How far its disk is known to hold this very log.
    pub durable: Index,
    /// How far it knows the log to be committed.
    pub commit: Index,
    /// How far entries were handed out to apply.
    pub applied: Index,
    /// Writes handed out and not reported durable.
    pub writes_pending: usize,
    /// Entries lost by its disk and not yet fetched back.
    pub missing: Option<LogId>,
    /// The membership in force.
    pub membership: Membership,
    /// Where that membership stands in the log.
    pub membership_index: Index,
    /// Its timers stand still until something happens.
    pub asleep: bool,
    /// What is only known while leading.
    pub leading: Option<Leading>,
}

/// What a leader knows beyond that.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Leading {
    /// Every other member.
    pub peers: BTreeMap<NodeId, PeerStatus>,
    /// Reads not yet answered.
    pub reads_waiting: usize,
    /// Bytes of entries not yet committed.
    pub uncommitted_weight: usize,
    /// To whom leadership is being handed over.
    pub transfer: Option<NodeId>,
}

/// How a peer is doing, as its leader sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerStatus {
    /// Its log equals the leader's up to here, durably.
    pub matched: Index,
    /// How entries flow to it.
    pub flow: FlowStatus,
    /// Whether it answered anything since the leader last asked itself for a majority, or in the round before.
    pub heard: bool,
    /// For how many rounds in a row it was heard and kept up with the log.
    pub healthy_rounds: u32,
}

/// How entries flow to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlowStatus {
    /// Its log is being compared; the next entry to try is named.
    Probe {
        /// The entry to be sent next.
        next: Index,
        /// Whether an answer is awaited.
        waiting: bool,
    },
    /// Entries stream ahead of the answers.
    Stream {
        /// The entry to be sent next.
        next: Index,
        /// Appends under way.
        messages: usize,
        /// Bytes under way.
        weight: usize,
    },
    /// It is being sent a snapshot.
    Snapshot,
}

impl<P: Payload> Raft<P> {
    /// What this member shows of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            ballot: self.ballot,
            role: self.role(),
            leader: self.leader(),
            cause: self.standing.cause,
            base: self.log.base(),
            last: self.log.last(),
            durable: self.durable.to(),
            commit: self.commit,
            applied: self.applied,
            writes_pending: self.durable.pending(),
            missing: self.missing,
            membership: self.log.membership().clone(),
            membership_index: self.log.membership_index(),
            asleep: self.is_asleep(),
            leading: match &self.post {
                Post::Leader(leader) => Some(Leading {
                    peers: leader.peers.iter().map(|(&id, peer)| (id, Peer::status(peer))).collect(),
                    reads_waiting: leader.reads.count(),
                    uncommitted_weight: leader.uncommitted_weight,
                    transfer: leader.transfer.as_ref().map(|transfer| transfer.to),
                }),
                _ => None,
            },
        }
    }
}

impl Display for FlowStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe { next, waiting: false } => write!(f, "probe at {next}"),
            Self::Probe { next, waiting: true } => write!(f, "probe at {next}, waiting"),
            Self::Stream { next, messages, .. } => {
                write!(f, "stream at {next}, {messages} under way")
            }
            Self::Snapshot => f.write_str("snapshot"),
        }
    }
}
