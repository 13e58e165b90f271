//! What members say to each other beside Raft: questions of clients to the leader, and its answers.
//! It may not know how messages travel (see `codec` for their bytes and `shell::links` for their way).

use bytes::Bytes;
use raft::{Entry, Envelope, Lane, Message};
use state::LeaseId;

use crate::handle::Remaining;
use crate::{Batch, Change, NodeId, ProtocolId, Refused};

/// One message between two members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// Consensus.
    Raft(Envelope<Batch>),
    /// A question of a member to the leader.
    Ask {
        /// The asking member's number for it, unique over its restarts.
        number: u64,
        /// The term of the leader that is asked: another one has not seen the questions before this.
        term: u64,
        /// The question.
        question: Question,
    },
    /// The leader's answer.
    Tell {
        /// The number the question came with.
        number: u64,
        /// The answer.
        outcome: Outcome,
    },
    /// What the leader's state hashes to after an entry: followers compare.
    Digest {
        /// The entry.
        index: u64,
        /// The running hash over all rows after it.
        hash: u128,
    },
    /// A member needs another state than its own: the leader's, after this entry or a later one.
    WantState {
        /// The entry behind which the member's own log begins.
        above: u64,
    },
    /// "Are you there?" Answered at once by a [`Pong`](PeerMessage::Pong): how long that takes goes into the diary.
    Ping {
        /// The asking member's number for it.
        number: u64,
    },
    /// "I am here."
    Pong {
        /// The number of the ping.
        number: u64,
    },
    /// Signs of life of lease owners that a member heard.
    Touch {
        /// The leases.
        leases: Vec<LeaseId>,
    },
}

/// What a member asks the leader for, on behalf of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Decide a protocol's request.
    Decide {
        /// Whose request.
        protocol: ProtocolId,
        /// As the protocol encoded it.
        request: Bytes,
    },
    /// A point in the log not older than the question.
    Barrier,
    /// The state of a lease.
    Lease {
        /// Which.
        lease: LeaseId,
        /// Whether its time begins anew.
        renew: bool,
    },
    /// Change who belongs to the ensemble.
    Change(Change),
    /// Hand leadership over.
    Lead {
        /// To whom; `None`: to whoever is best placed.
        to: Option<NodeId>,
    },
}

impl Question {
    /// Whether deciding it twice could matter.
    pub(crate) fn is_decision(&self) -> bool {
        matches!(self, Question::Decide { .. } | Question::Change(_))
    }
}

/// The leader's answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request was decided and is committed; it is applied with the entry at `index`.
    Decided {
        /// The last entry that the decision saw or made.
        index: u64,
        /// The protocol's reply.
        reply: Bytes,
    },
    /// The request was decided: it would have made the state grow beyond the quota, and changed nothing.
    OverQuota {
        /// The last entry that the decision saw.
        index: u64,
        /// Bytes that the state would have grown to.
        bytes: u64,
        /// The leader's `quota.hard_bytes`.
        limit: u64,
    },
    /// A read may be served by whoever has applied this entry.
    Barrier {
        /// The entry.
        index: u64,
    },
    /// A lease, if it exists.
    Lease {
        /// What is left of it.
        found: Option<Remaining>,
    },
    /// The membership was changed, for certain; the change is applied with the entry at `index`.
    Changed {
        /// The entry that changed it.
        index: u64,
        /// The member that the change is about.
        member: NodeId,
    },
    /// Leadership is where it was wished to be.
    Led {
        /// Who leads.
        by: NodeId,
    },
    /// A change of the membership or of leadership is refused: nothing was changed.
    Refused(Refused),
    /// The question was not taken: definitely nothing was applied.
    Declined(Decline),
}

/// Why a question was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decline {
    /// The member asked is not the leader, or not any more: ask again when another is known.
    NotLeader,
    /// The leader does not have this protocol.
    UnknownProtocol(ProtocolId),
    /// The request would change more bytes of rows than one entry may hold.
    TooLarge {
        /// Bytes of the changes.
        bytes: u64,
        /// The leader's `limits.change_bytes`.
        limit: u64,
    },
}

impl PeerMessage {
    /// About how many bytes it holds, for bounds.
    pub(crate) fn weight(&self) -> usize {
        const FIELDS: usize = 64;
        FIELDS
            + match self {
                PeerMessage::Raft(Envelope { message: Message::Append { entries, .. }, .. }) => {
                    entries.iter().map(Entry::weight).sum()
                }
                PeerMessage::Ask { question: Question::Decide { request, .. }, .. } => request.len(),
                PeerMessage::Tell { outcome: Outcome::Decided { reply, .. }, .. } => reply.len(),
                PeerMessage::Touch { leases } => leases.len() * size_of::<LeaseId>(),
                _ => 0,
            }
    }

    /// The way this message takes.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            PeerMessage::Raft(envelope) => envelope.message.lane(),
            PeerMessage::Touch { .. }
            | PeerMessage::Digest { .. }
            | PeerMessage::WantState { .. }
            | PeerMessage::Ping { .. }
            | PeerMessage::Pong { .. } => Lane::Control,
            PeerMessage::Ask { question: Question::Decide { .. }, .. } => Lane::Bulk,
            PeerMessage::Ask { .. } => Lane::Control,
            PeerMessage::Tell {
                outcome: Outcome::Decided { .. } | Outcome::OverQuota { .. } | Outcome::Declined(_),
                ..
            } => Lane::Bulk,
            PeerMessage::Tell { .. } => Lane::Control,
        }
    }
}
