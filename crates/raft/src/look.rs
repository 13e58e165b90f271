//! What the driver may look at between steps, without a full [`Status`](crate::Status). Changes nothing.

use crate::membership::Membership;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{Ballot, Entry, Index, LogId, Payload, SnapshotMeta};

/// Where a member stands in its term and its log, for whoever looks after every step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Marks {
    /// Term and vote.
    pub ballot: Ballot,
    /// Whether it leads its term.
    pub leads: bool,
    /// The log starts behind this entry.
    pub base: LogId,
    /// How far entries were handed out to apply.
    pub applied: Index,
    /// How far it knows the log to be committed.
    pub commit: Index,
    /// The last entry.
    pub last: LogId,
}

impl<P: Payload> Raft<P> {
    /// Where this member stands.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks {
            ballot: self.ballot,
            leads: matches!(self.post, Post::Leader(_)),
            base: self.log.base(),
            applied: self.applied,
            commit: self.commit,
            last: self.log.last(),
        }
    }

    /// The last entry of the log, durable or not.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.log.last()
    }

    /// Whether a proposal made now would be appended.
    #[must_use]
    pub fn accepts_proposals(&self) -> bool {
        self.accepts().is_ok()
    }

    /// The membership in force: the newest in the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.log.membership()
    }

    /// How far entries were handed out to apply.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The entries behind `index`, with their places. Starts at the base if that is further.
    pub fn entries_after(&self, index: Index) -> impl Iterator<Item = (Index, &Entry<P>)> {
        let first = index.max(self.log.base().index).next();
        (first.0..=self.log.last().index.0).filter_map(|place| Some((Index(place), self.log.get(Index(place))?)))
    }

    /// What a snapshot of the state after entry `index` must carry; `None` if that place is not in the log, or
    /// was not handed out to apply.
    #[must_use]
    pub fn meta_at(&self, index: Index) -> Option<SnapshotMeta> {
        let last = self.log.id_at(index).filter(|_| index <= self.applied)?;
        Some(SnapshotMeta { last, membership: self.log.membership_at(index).clone() })
    }
}
