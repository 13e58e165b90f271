//! What the driver may look at between steps, without a full [`Status`](crate::Status). Changes nothing.

use crate::membership::Membership;
use crate::raft::Raft;
use crate::types::{Entry, Index, LogId, Payload, SnapshotMeta};

impl<P: Payload> Raft<P> {
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
