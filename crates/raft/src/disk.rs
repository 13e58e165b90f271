//! What the disk holds, and the one fold by which writes change it.
//!
//! Recovery folds the records it finds, the simulated disk folds what became durable, and the tests compare
//! the result with what the core believes. Everything here came from a file: nothing panics.

use std::fmt::{self, Display, Formatter};

use crate::effects::Write;
use crate::membership::Membership;
use crate::types::{Ballot, Body, Entry, Index, LogId, Payload, SnapshotMeta, Term};

/// The durable part of a member.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recovered<P> {
    /// The newest ballot.
    pub ballot: Ballot,
    /// Where the log starts.
    pub base: SnapshotMeta,
    /// The entries behind the base.
    pub entries: Vec<Entry<P>>,
    /// The snapshot that the driver loaded its state from, if any; the core hands out what comes behind it.
    /// It may be ahead of the base, even of the whole log, but not behind the base.
    /// Not part of the fold: the driver sets it before it restores.
    pub loaded: Option<SnapshotMeta>,
    /// The newest entry that this member is known to have acknowledged but no longer holds, if its disk was
    /// damaged. Until a leader has brought it back, the member neither votes nor campaigns: it may not pose
    /// as one whose log is shorter. Not part of the fold: recovery sets it.
    pub missing: Option<LogId>,
}

/// A record that does not fit behind the ones before it: records are missing or in the wrong order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Inconsistent {
    /// The entries of the record do not follow the end of the log.
    Gap {
        /// The end of the log.
        end: LogId,
        /// What the record expected there.
        expected: LogId,
    },
    /// The entry at this place is of an earlier term than the one before it, or its membership cannot be one.
    UnsoundEntry(Index),
    /// The ballot goes back, or changes its vote within a term.
    BallotWentBack {
        /// What was durable.
        from: Ballot,
        /// What the record says.
        to: Ballot,
    },
    /// The base goes back.
    BaseWentBack {
        /// What was durable.
        from: LogId,
        /// What the record says.
        to: LogId,
    },
    /// The record cuts below the base, where everything is committed.
    CutBelowBase {
        /// The base.
        base: LogId,
        /// The first entry to go.
        cut: Index,
    },
}

impl<P> Recovered<P> {
    /// What an empty disk holds on a member that was founded with `initial`.
    #[must_use]
    pub fn empty(initial: Membership) -> Self {
        Self {
            ballot: Ballot::default(),
            base: SnapshotMeta { last: LogId::default(), membership: initial },
            entries: Vec::new(),
            loaded: None,
            missing: None,
        }
    }
}

impl<P: Payload> Recovered<P> {
    /// The last entry.
    #[must_use]
    pub fn last(&self) -> LogId {
        let index = Index(self.base.last.index.0 + self.entries.len() as u64);
        LogId::new(self.entries.last().map_or(self.base.last.term, |entry| entry.term), index)
    }

    /// The membership in force at the end of the log.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        let of_entry = |entry: &'_ Entry<P>| matches!(entry.body, Body::Membership(_));
        match self.entries.iter().rev().find(|entry| of_entry(entry)).map(|entry| &entry.body) {
            Some(Body::Membership(membership)) => membership,
            _ => &self.base.membership,
        }
    }

    /// Lets one write take effect.
    ///
    /// # Errors
    /// The write does not fit; nothing was changed.
    pub fn absorb(&mut self, write: Write<P>) -> Result<(), Inconsistent> {
        self.fits(&write)?;
        if let Some(ballot) = write.ballot {
            self.ballot = ballot;
        }
        let mut kept = self.kept_after(write.cut);
        if let Some(base) = write.base {
            let skipped = self.skipped_by(base.last, kept).unwrap_or(kept);
            self.entries.truncate(kept);
            self.entries.drain(..skipped);
            kept -= skipped;
            self.base = base;
        }
        self.entries.truncate(kept);
        self.entries.extend(write.append);
        Ok(())
    }

    fn fits(&self, write: &Write<P>) -> Result<(), Inconsistent> {
        if let Some(to) = write.ballot {
            let from = self.ballot;
            let changed_vote = to.term == from.term && from.vote.is_some() && to.vote != from.vote;
            if to.term < from.term || changed_vote {
                return Err(Inconsistent::BallotWentBack { from, to });
            }
        }
        if let Some(cut) = write.cut.filter(|&cut| cut <= self.base.last.index) {
            return Err(Inconsistent::CutBelowBase { base: self.base.last, cut });
        }
        let kept = self.kept_after(write.cut);
        let mut end = self.id_behind(kept);
        if let Some(base) = &write.base {
            if base.last.index < self.base.last.index {
                return Err(Inconsistent::BaseWentBack { from: self.base.last, to: base.last });
            }
            if self.skipped_by(base.last, kept).is_none() {
                end = base.last;
            }
        }
        if end != write.previous {
            return Err(Inconsistent::Gap { end, expected: write.previous });
        }
        let mut last = end;
        for entry in &write.append {
            let sound = !matches!(&entry.body, Body::Membership(membership) if membership.validate().is_err());
            let id = LogId::new(entry.term, last.index.next());
            if !sound || id.term < last.term {
                return Err(Inconsistent::UnsoundEntry(id.index));
            }
            last = id;
        }
        Ok(())
    }

    /// How many entries a cut leaves.
    fn kept_after(&self, cut: Option<Index>) -> usize {
        let Some(cut) = cut else {
            return self.entries.len();
        };
        let kept = usize::try_from(cut.previous().ahead_of(self.base.last.index)).unwrap_or(usize::MAX);
        kept.min(self.entries.len())
    }

    /// How many of the first `kept` entries a new base makes superfluous; `None` if it is not among them.
    fn skipped_by(&self, base: LogId, kept: usize) -> Option<usize> {
        let skipped = usize::try_from(base.index.0.checked_sub(self.base.last.index.0)?).ok()?;
        (skipped <= kept && self.id_behind(skipped) == base).then_some(skipped)
    }

    /// The id of the last of the first `count` entries.
    fn id_behind(&self, count: usize) -> LogId {
        let term = count.checked_sub(1).map_or(self.base.last.term, |last| self.entries[last].term);
        LogId::new(term, Index(self.base.last.index.0 + count as u64))
    }
}

impl<P> Default for Recovered<P> {
    fn default() -> Self {
        Self::empty(Membership::default())
    }
}

impl Display for Inconsistent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { end, expected } => {
                write!(f, "the log ends at {end}, the record follows {expected}")
            }
            Self::UnsoundEntry(index) => {
                write!(f, "no correct leader appended the entry at {index}")
            }
            Self::BallotWentBack { from, to } => {
                write!(f, "the ballot goes back from {from} to {to}")
            }
            Self::BaseWentBack { from, to } => {
                write!(f, "the start of the log goes back from {from} to {to}")
            }
            Self::CutBelowBase { base, cut } => {
                write!(f, "a cut at {cut} below the start of the log at {base}")
            }
        }
    }
}

impl std::error::Error for Inconsistent {}

impl Ballot {
    /// A ballot that has seen `term` and voted for nobody.
    #[must_use]
    pub fn unvoted(term: Term) -> Self {
        Self { term, vote: None }
    }
}

#[cfg(test)]
mod tests;
