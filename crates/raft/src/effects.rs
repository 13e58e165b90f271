//! The one drain out: everything that a member owes the world since it was last asked.
//!
//! The driver's loop, in full:
//!
//! 1. `step` every input that waits, then `drain`.
//! 2. Hand `write` to the disk. Send each of `send` as soon as every write up to its `after` is durable.
//! 3. Serve everything else, in any order.
//! 4. When the disk is done, `step(Written(ticket))`.
//!
//! There is nothing else, and no order between these beyond what is said here.

use std::fmt::{self, Display, Formatter};

use crate::cause::{Cause, Event};
use crate::membership::InvalidMembership;
use crate::message::Envelope;
use crate::types::{Ballot, Body, Entry, Index, LogId, NodeId, SnapshotMeta, Tag, Term, Ticket};

/// All that is owed since the last drain.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Effects<P> {
    /// At most one write per drain. Writes must reach the disk in the order of their tickets.
    pub write: Option<Write<P>>,
    /// Messages, in order per peer.
    pub send: Vec<Outgoing<P>>,
    /// An installed snapshot is in force: the state is to be replaced by it before anything of `apply`.
    pub installed: Option<LogId>,
    /// Entries that became committed, in order, each exactly once since the start (but for those that
    /// an installed snapshot covers). They may run ahead of this member's own disk; a snapshot of the state
    /// may not.
    pub apply: Vec<Committed<P>>,
    /// Where proposals and changes of membership of this member were appended.
    pub proposed: Vec<(Tag, Index, Term)>,
    /// Reads that may be served once the state has applied this index.
    pub reads: Vec<(Tag, Index)>,
    /// Requests that come to nothing, and why.
    pub refused: Vec<(Tag, Refusal)>,
    /// Transfers that succeeded: the new leader asked for this member's vote, or was heard.
    pub handed_over: Vec<(Tag, NodeId)>,
    /// Peers that need a snapshot: send the newest one, out of band, and report by
    /// [`Input::SnapshotSent`](crate::Input::SnapshotSent).
    pub snapshots: Vec<NodeId>,
    /// The newest role, term and leader, if any of them changed.
    pub standing: Option<Standing>,
    /// Restart the election timer. For the [`Pacer`](crate::Pacer).
    pub timer: Option<Rearm>,
    /// What happened, for the diary. Decides nothing.
    pub events: Vec<Event>,
}

/// One record for the disk. Its parts take effect in the order of the fields, all or nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write<P> {
    /// Its number.
    pub ticket: Ticket,
    /// The new ballot.
    pub ballot: Option<Ballot>,
    /// Forget this entry and everything behind it.
    pub cut: Option<Index>,
    /// The log starts behind this entry from now on. What follows the very same entry stays; if the log
    /// does not hold that entry, all of it goes.
    pub base: Option<SnapshotMeta>,
    /// The entry that `append` follows: the end of the log once `cut` and `base` have taken effect.
    pub previous: LogId,
    /// Entries to add.
    pub append: Vec<Entry<P>>,
}

/// A message and the write that it waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outgoing<P> {
    /// It may leave once this write and all before it are durable; [`Ticket::NONE`] is at once.
    pub after: Ticket,
    /// The message.
    pub envelope: Envelope<P>,
}

/// An entry that is decided for ever.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Committed<P> {
    /// Its place.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// What it says.
    pub body: Body<P>,
    /// The tag under which this member proposed it, if it did and was not restarted since.
    pub tag: Option<Tag>,
}

/// What a member is, in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Receives everything, decides nothing.
    Learner,
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could be won, before it disturbs anybody.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// Where a member stands, and why.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Standing {
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<NodeId>,
    /// Why this is so.
    pub cause: Cause,
}

/// How the election timer is to be restarted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rearm {
    /// With the normal random timeout, and the leader's silence counted anew.
    Election,
    /// With the short random delay: there is evidence that no leader is left.
    Quick,
    /// Not at all, and no other timer either, until the next [`Election`](Rearm::Election): the group sleeps.
    Rest,
}

/// Why a request comes to nothing. Except for [`Covered`](Refusal::Covered), it definitely did not and
/// will not take effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// This member does not lead, or stopped leading before a read was confirmed.
    NotLeader {
        /// Who does, as far as known.
        hint: Option<NodeId>,
    },
    /// Another entry was committed in its place.
    Overwritten,
    /// A snapshot replaced its place in the log: nobody here knows whether it took effect.
    Covered,
    /// Too much waits already.
    Busy {
        /// What waits: bytes of uncommitted entries for proposals, a number for reads.
        waiting: usize,
        /// The limit: `max_uncommitted_weight` or `max_reads`.
        limit: usize,
    },
    /// Leadership is just being handed over.
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// A change of membership or a transfer before the leader committed an entry of its own term.
    NotReady,
    /// Another change of membership is under way.
    ChangeInFlight,
    /// The membership asked for cannot be one.
    Invalid(InvalidMembership),
    /// A new voter must come in as a learner and be caught up first.
    NotCaughtUp(NodeId),
    /// Too few of the voters asked for are alive and caught up: they could not commit anything.
    WouldLoseQuorum {
        /// How many are.
        healthy: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A transfer to this member, or to anybody if `None`, is not possible: no voter, or out of contact.
    NoSuccessor(Option<NodeId>),
    /// The successor did not take over within an election timeout.
    TransferTimedOut {
        /// Who was to take over.
        to: NodeId,
    },
}

impl<P> Default for Effects<P> {
    fn default() -> Self {
        Self {
            write: None,
            send: Vec::new(),
            installed: None,
            apply: Vec::new(),
            proposed: Vec::new(),
            reads: Vec::new(),
            refused: Vec::new(),
            handed_over: Vec::new(),
            snapshots: Vec::new(),
            standing: None,
            timer: None,
            events: Vec::new(),
        }
    }
}

impl<P: PartialEq> Effects<P> {
    /// Whether nothing at all is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { hint: Some(leader) } => write!(f, "not the leader; {leader} is"),
            Self::NotLeader { hint: None } => f.write_str("not the leader, and none is known"),
            Self::Overwritten => f.write_str("another entry was committed in its place"),
            Self::Covered => f.write_str("a snapshot took its place; the outcome is unknown"),
            Self::Busy { waiting, limit } => {
                write!(f, "{waiting} wait already, the limit is {limit}")
            }
            Self::Transferring { to } => write!(f, "leadership is being handed over to {to}"),
            Self::NotReady => f.write_str("the leader has not committed an entry of its term yet"),
            Self::ChangeInFlight => f.write_str("another change of membership is under way"),
            Self::Invalid(why) => write!(f, "no valid membership: {why}"),
            Self::NotCaughtUp(id) => write!(f, "{id} is not caught up; add it as a learner first"),
            Self::WouldLoseQuorum { healthy, needed } => {
                write!(f, "only {healthy} of the new voters are alive and caught up, {needed} are needed")
            }
            Self::NoSuccessor(Some(id)) => write!(f, "{id} is no voter in contact"),
            Self::NoSuccessor(None) => f.write_str("no other voter is in contact"),
            Self::TransferTimedOut { to } => {
                write!(f, "{to} did not take over within an election timeout")
            }
        }
    }
}

impl std::error::Error for Refusal {}
