//! What goes into a member and what comes out. Plain data; nothing here decides.

use std::sync::Arc;

use bytes::Bytes;
use raft::{LogId, NodeId, SnapshotMeta, Ticket, Write};
use state::{LeaseId, State};

use crate::handle::Remaining;
use crate::message::PeerMessage;
use crate::{Batch, Change, DiaryEntry, Failure, MemberAddress, Members, ProtocolId, Refused, Status, StreamId};

/// The shell's mark on a client's request. The member hands it back and never looks into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTag(pub u64);

/// Everything that can happen to a member.
#[derive(Clone)]
pub enum Event {
    /// Time went on. To come no later than [`Member::deadline`].
    Tick,
    /// A peer's message arrived.
    Peer {
        /// Whose.
        from: NodeId,
        /// What it says.
        message: PeerMessage,
    },
    /// Connections to this peer stand, in both directions. Whatever is sent from now on travels on them, or is lost
    /// with them.
    Connected(NodeId),
    /// The connection to this peer broke, in either direction.
    ConnectionLost(NodeId),
    /// The write with this ticket and all before it are durable.
    Written(Ticket),
    /// How long the log took to make writes durable; known to nobody but the disk, told to nobody but the diary.
    Synced {
        /// The newest write, in nanoseconds.
        newest: u64,
        /// The longest one since this event was last posted, in nanoseconds.
        worst: u64,
    },
    /// A client's request.
    Submit {
        /// For the answer.
        tag: RequestTag,
        /// Whose request.
        protocol: ProtocolId,
        /// What it must stay in order with.
        stream: StreamId,
        /// As the protocol encoded it.
        request: Bytes,
    },
    /// A client's wish for a linearizable read point.
    Barrier {
        /// For the answer.
        tag: RequestTag,
    },
    /// A client keeps a lease alive and wants to hear of it.
    Renew {
        /// For the answer.
        tag: RequestTag,
        /// Which lease.
        lease: LeaseId,
    },
    /// A client asks what is left of a lease.
    Remaining {
        /// For the answer.
        tag: RequestTag,
        /// Which lease.
        lease: LeaseId,
    },
    /// Signs of life of lease owners.
    Touched {
        /// Their leases.
        leases: Vec<LeaseId>,
    },
    /// A request of a stream was refused at the door.
    Break {
        /// Which.
        stream: StreamId,
    },
    /// A stream is over.
    Forget {
        /// Which.
        stream: StreamId,
    },
    /// The snapshot that [`Effects::save_snapshot`] ordered is durable.
    SnapshotWritten {
        /// Where it stands.
        meta: SnapshotMeta,
    },
    /// The snapshot that [`Effects::save_snapshot`] ordered could not be written.
    SnapshotFailed {
        /// Why.
        why: String,
    },
    /// A snapshot of a peer is received, checked and durable.
    SnapshotReceived {
        /// Where it stands.
        meta: SnapshotMeta,
        /// The state it holds.
        state: Box<State>,
    },
    /// What became of a snapshot that [`Effects::send_snapshot`] ordered.
    SnapshotSent {
        /// To whom.
        to: NodeId,
        /// Where it stands.
        at: LogId,
        /// Whether the peer has kept it.
        delivered: bool,
    },
    /// The log cannot be written any more: what the disk holds is unknown from here on.
    LogFailed {
        /// What the log said.
        why: String,
    },
    /// Somebody wants another membership.
    Change {
        /// For the answer.
        tag: RequestTag,
        /// What is to be changed.
        change: Change,
    },
    /// Somebody wants another leader.
    Lead {
        /// For the answer.
        tag: RequestTag,
        /// Whom; `None`: whoever is best placed.
        to: Option<NodeId>,
    },
    /// A peer says that this member was removed from the ensemble.
    Expelled {
        /// Who says so.
        by: NodeId,
    },
    /// Something is wrong with what this member's disk holds; what was done about it is part of the text.
    DamageFound {
        /// What, where, and what follows from it.
        what: String,
    },
    /// Hand leadership over, if this member has it.
    StepAside,
    /// Answer everybody who waits; nothing will come after this.
    Stop,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The protocol's reply.
    Decided(Bytes),
    /// The published state is fresh enough.
    Barrier,
    /// What is left of the lease, if it exists.
    Lease(Option<Remaining>),
    /// The membership was changed; the published one shows it.
    Changed {
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
}

/// Everything a member owes the world since it was last asked, to be carried out in this order.
#[derive(Default)]
pub struct Effects {
    /// Messages that may leave at once, in order for each peer and lane.
    pub send: Vec<(NodeId, PeerMessage)>,
    /// Records for the log, in order. Report each with [`Event::Written`].
    pub write: Vec<Write<Batch>>,
    /// Write this state into a snapshot, and report with [`Event::SnapshotWritten`] or [`Event::SnapshotFailed`].
    pub save_snapshot: Option<SnapshotOrder>,
    /// Send these peers the newest snapshot, each on a connection of its own, and report with
    /// [`Event::SnapshotSent`].
    pub send_snapshot: Vec<NodeId>,
    /// Who the others are by now, if that changed: connections are to be kept with these and nobody else.
    pub peers: Option<Peers>,
    /// States that others took the place of as a whole. Letting go of the last reference to one takes long, so that is to
    /// be done away from the core thread, and only after `publish`.
    pub discarded: Vec<State>,
    /// The committed state, if it moved on. To be published before `answers` are given.
    pub publish: Option<Published>,
    /// Answers to clients.
    pub answers: Vec<(RequestTag, Result<Answer, Failure>)>,
    /// The member's standing, if it changed in a way that somebody may wait for.
    pub status: Option<Status>,
    /// What happened and why, for people; nothing may depend on whether it is kept.
    pub diary: Vec<DiaryEntry>,
    /// The member must stop: it cannot go on without risking a wrong answer.
    pub fatal: Option<String>,
    /// The member is to stop, once all else is carried out: it was removed from the ensemble.
    pub retired: Option<String>,
}

/// With whom this member is to be connected, and what it says to those who are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// The ensemble's number; 0 while this member does not know it.
    pub ensemble_id: u64,
    /// All members, this one included if it is one.
    pub list: Vec<MemberAddress>,
    /// Whoever has a number up to this one and is not in the list was removed.
    pub last_id: u64,
}

/// A state to be written down, and where it stands.
#[derive(Clone)]
pub struct SnapshotOrder {
    /// Where it stands.
    pub meta: SnapshotMeta,
    /// The tables.
    pub state: State,
}

/// A committed state.
#[derive(Clone)]
pub struct Published {
    /// The tables.
    pub state: State,
    /// The last entry applied to them.
    pub index: u64,
    /// The member's term.
    pub term: u64,
    /// Who belongs to the ensemble after that entry.
    pub members: Arc<Members>,
}
