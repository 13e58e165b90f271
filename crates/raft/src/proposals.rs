//! Whose entries are whose: the tags of proposals that are in the log and not yet decided.
//!
//! Kept in the order of their places, and of terms at one place: a member that led twice can have proposed
//! twice for the same place. Nearly always a new one goes to the end and a decided one leaves from the front.

use std::collections::VecDeque;

use crate::types::{Index, LogId, Tag, Term};

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Proposals {
    waiting: VecDeque<Proposal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Proposal {
    index: Index,
    term: Term,
    tag: Tag,
}

impl Proposals {
    /// Remembers whose entry this is.
    pub(crate) fn note(&mut self, id: LogId, tag: Tag) {
        let place = (id.index, id.term);
        let behind = |other: &Proposal| (other.index, other.term) > place;
        let proposal = Proposal { index: id.index, term: id.term, tag };
        if self.waiting.back().is_some_and(behind) {
            let position = self.waiting.partition_point(|other| !behind(other));
            self.waiting.insert(position, proposal);
        } else {
            self.waiting.push_back(proposal);
        }
    }

    /// Takes the first one whose place is at most `index`, if there is one: the entry's id and the tag.
    pub(crate) fn take_upto(&mut self, index: Index) -> Option<(LogId, Tag)> {
        let Proposal { index, term, tag } = self.waiting.pop_front_if(|first| first.index <= index)?;
        Some((LogId::new(term, index), tag))
    }

    /// The place of the first one.
    pub(crate) fn first(&self) -> Option<Index> {
        self.waiting.front().map(|first| first.index)
    }
}
