//! The words of the core: numbers with names, entries, ballots, and the settings of one member.
//!
//! Nothing here decides anything. This file may not know roles, messages or time.

use std::fmt::{self, Debug, Display, Formatter};
use std::hash::Hash;

use crate::membership::Membership;

/// A member of an ensemble. Never reused: a member that lost its disk comes back under a new number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u64);

/// A reign. At most one leader is ever elected in a term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Term(pub u64);

/// A place in the log. The first entry stands at 1; 0 is the place before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Index(pub u64);

/// The number of a [`Write`](crate::Write). Counts from 1 after each start; 0 means "nothing to wait for".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// The driver's own mark on a request. The core hands it back and never looks into it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(pub u64);

/// An entry's identity. Two logs that hold the same id hold the same entries up to it.
///
/// The order (term first) is Raft's "at least as up to date".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogId {
    /// The term in which a leader appended the entry.
    pub term: Term,
    /// The entry's place.
    pub index: Index,
}

/// What a member has promised: the newest term it saw, and whom it voted for in that term.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ballot {
    /// The newest term seen. Never goes back.
    pub term: Term,
    /// The vote in that term, if one was given. Never changes within a term.
    pub vote: Option<NodeId>,
}

/// What a command is to the core: something to copy, compare and weigh.
///
/// Cloning must be cheap (a counted reference): an entry is lent to the disk, to every peer and to apply.
pub trait Payload: Clone + Eq + Hash + Debug {
    /// Bytes that sending it costs. Message sizes and windows are counted in it.
    fn weight(&self) -> usize;
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body<P> {
    /// Nothing. A new leader's first entry, whose commit commits everything before it.
    Noop,
    /// One proposed payload.
    Command(P),
    /// The membership from here on; in force as soon as it is appended, committed or not.
    /// (In a box: memberships are large and rare, and entries are moved around a lot.)
    Membership(Box<Membership>),
}

/// One entry of the log. Its place is given by where it stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry<P> {
    /// The term of the leader that appended it.
    pub term: Term,
    /// What it says.
    pub body: Body<P>,
}

/// Where a snapshot stands: all that consensus must know of the part of the log that it replaces.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotMeta {
    /// The last entry that the snapshot covers.
    pub last: LogId,
    /// The membership in force at that entry.
    pub membership: Membership,
}

/// The settings of one member. Weights are in bytes as told by [`Payload::weight`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// The membership at index 0: the same on every founding member. For a member that joins later:
    /// [`Membership::default`], with nobody in it, so that it stays quiet until a leader tells it more.
    pub initial: Membership,
    /// The most that one append carries. One entry is always sent, however heavy. At least 1.
    pub max_append_weight: usize,
    /// The most that is under way to one peer without an answer. At least 1.
    pub window_weight: usize,
    /// The most appends that are under way to one peer without an answer. At least 1.
    pub window_messages: usize,
    /// Above this weight of uncommitted entries, proposals are refused as [`Refusal::Busy`](crate::Refusal::Busy).
    pub max_uncommitted_weight: usize,
    /// Above this number of unanswered reads, reads are refused as [`Refusal::Busy`](crate::Refusal::Busy).
    pub max_reads: usize,
    /// How many rounds (of one election timeout) in a row a member of higher priority must have been
    /// healthy and caught up before the leader hands over to it. At least 1.
    pub preference_rounds: u32,
    /// After how many rounds (of one election timeout) without anything to do the group stops its timers until
    /// something happens; 0 is never. For nodes with very many groups: a leader's death is then noticed only by the
    /// loss of the connection to it.
    pub hibernate_rounds: u32,
}

impl Config {
    /// The settings for `id` with defaults for everything that is not identity.
    #[must_use]
    pub fn new(id: NodeId, initial: Membership) -> Self {
        Self {
            id,
            initial,
            max_append_weight: 1 << 20,
            window_weight: 8 << 20,
            window_messages: 256,
            max_uncommitted_weight: 64 << 20,
            max_reads: 1 << 16,
            preference_rounds: 10,
            hibernate_rounds: 0,
        }
    }
}

impl Term {
    /// The following term, or `None` at the end of numbers (which only a broken peer can bring about).
    #[must_use]
    pub fn next(self) -> Option<Term> {
        self.0.checked_add(1).map(Term)
    }
}

impl Index {
    /// The place before the first entry.
    pub const ZERO: Index = Index(0);

    /// The following place; stays at the end of numbers.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }

    /// The preceding place; stays at zero.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }

    /// How many places `self` is ahead of `other`; 0 if it is not.
    #[must_use]
    pub fn ahead_of(self, other: Index) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl Ticket {
    /// Nothing to wait for.
    pub const NONE: Ticket = Ticket(0);
}

impl LogId {
    /// The id of the entry at `index` of `term`.
    #[must_use]
    pub fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

/// What an entry costs beyond its payload when it is sent: term, kind and length.
const ENTRY_OVERHEAD: usize = 24;
/// What one member costs in a membership entry.
const MEMBER_WEIGHT: usize = 24;

impl<P> Body<P> {
    /// The membership, if it is one.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        match self {
            Self::Membership(membership) => Some(membership),
            Self::Noop | Self::Command(_) => None,
        }
    }
}

impl<P: Payload> Entry<P> {
    /// Bytes that sending the entry costs, roughly; never zero, so that windows are bounded in entries too.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = match &self.body {
            Body::Noop => 0,
            Body::Command(payload) => payload.weight(),
            Body::Membership(membership) => membership.members().len() * MEMBER_WEIGHT + membership.notes.len(),
        };
        body.saturating_add(ENTRY_OVERHEAD)
    }
}

impl Display for NodeId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Display for LogId {
    /// `index@term`, as everywhere in Conclave's outputs.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl Display for Ballot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.vote {
            Some(vote) => write!(f, "term {} vote {vote}", self.term),
            None => write!(f, "term {}", self.term),
        }
    }
}
