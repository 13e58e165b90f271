//! The one door in: everything that can happen to a member.

use crate::membership::Membership;
use crate::message::Envelope;
use crate::types::{Index, LogId, NodeId, SnapshotMeta, Tag, Ticket};

/// One thing that happened. Each can come at any moment and in any role.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input<P> {
    /// The election timer ran out. A follower campaigns; a leader asks itself whether a majority still
    /// answers, and does its other slow duties.
    ElectionDue,
    /// For the shortest election timeout no leader was heard: others may be helped to campaign.
    LeaderSilent,
    /// The heartbeat timer ran out.
    HeartbeatDue,
    /// The driver knows of something for which this group should not be asleep; see
    /// [`Config::hibernate_rounds`](crate::Config::hibernate_rounds). Everything else here that is work wakes by itself.
    Wake,
    /// A peer says something. Any content is survived.
    Received(Envelope<P>),
    /// The connection to this peer broke: evidence that it may have died, and the end of whatever was under
    /// way to it.
    ConnectionLost(NodeId),
    /// There is a connection to this peer again.
    Connected(NodeId),
    /// This write and all before it are durable.
    Written(Ticket),
    /// Append this payload as one entry. Answered in [`Effects::proposed`](crate::Effects::proposed) or
    /// [`Effects::refused`](crate::Effects::refused).
    Propose(Tag, P),
    /// Change to this membership. Answered like a proposal. Once the entry with the tag is committed the
    /// change is certain; if that entry is joint, the settled one that completes it follows by itself.
    Reconfigure(Tag, Membership),
    /// A linearizable read barrier. Answered in [`Effects::reads`](crate::Effects::reads).
    Read(Tag),
    /// Hand leadership over: to this voter, or to whoever is best placed. Answered in
    /// [`Effects::handed_over`](crate::Effects::handed_over).
    Transfer(Tag, Option<NodeId>),
    /// A durable snapshot of the state covers everything up to here; forget those entries.
    /// Ignored beyond what was handed out to apply.
    Compact(Index),
    /// A snapshot from the leader is received, verified and durable; continue from it. Ignored if this much
    /// is committed here already.
    Install(SnapshotMeta),
    /// What became of a snapshot that [`Effects::snapshots`](crate::Effects::snapshots) asked for.
    /// The driver reports each exactly once.
    SnapshotSent {
        /// To whom it went.
        to: NodeId,
        /// Where it stood.
        at: LogId,
        /// Whether the peer confirmed that it is installed.
        delivered: bool,
    },
}
