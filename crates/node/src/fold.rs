//! From the records of a log to what consensus begins with. It may not know files.

use raft::{Inconsistent, LogId, Membership, Recovered, Write};

use crate::Batch;

/// Folds records, in order, of a log whose beginning may have been given back.
///
/// Such a log begins with whatever record its oldest segment begins with. It is read as if it began behind the entry
/// that this record follows: a guess, true at the latest when the record comes that says where the log begins (its
/// base), for nothing is given back before that is durable. Until then, older records may speak of places that are
/// gone: a base before the guess says nothing new, and a cut that reaches back before it only moves the guess.
#[derive(Clone, Debug)]
pub struct Fold {
    recovered: Recovered<Batch>,
    begin: Begin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// No record was read yet.
    Unknown,
    /// Where the log begins is a guess.
    Guessed,
    /// The log is whole, or said where it begins.
    Known,
}

/// Why records do not make a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfoldable {
    /// A record does not fit behind the ones before it.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    /// The log begins in the middle and never says so.
    #[error("the log begins behind entry {0}, but no record says that it may")]
    NoBase(LogId),
}

impl Fold {
    /// A log of a member that was founded with this membership.
    #[must_use]
    pub fn new(initial: Membership) -> Fold {
        Fold { recovered: Recovered::empty(initial), begin: Begin::Unknown }
    }

    /// Lets the next record take effect.
    ///
    /// # Errors
    /// It does not fit; nothing was changed.
    pub fn add(&mut self, mut write: Write<Batch>) -> Result<(), Unfoldable> {
        if self.begin == Begin::Unknown {
            self.begin = if write.previous == LogId::default() { Begin::Known } else { Begin::Guessed };
            self.start_behind(&mut write);
        }
        if self.begin == Begin::Guessed {
            let guess = self.recovered.base.last.index;
            if write.cut.is_some_and(|cut| cut <= guess) {
                self.start_behind(&mut write);
            }
            match &write.base {
                Some(base) if base.last.index < guess => write.base = None,
                Some(_) => self.begin = Begin::Known,
                None => {}
            }
        }
        Ok(self.recovered.absorb(write)?)
    }

    /// Where the log ends, as far as it was read.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.recovered.last()
    }

    /// What the log held.
    ///
    /// # Errors
    /// The log begins in the middle and never said so.
    pub fn finish(self) -> Result<Recovered<Batch>, Unfoldable> {
        match self.begin {
            Begin::Guessed => Err(Unfoldable::NoBase(self.recovered.base.last)),
            Begin::Unknown | Begin::Known => Ok(self.recovered),
        }
    }

    /// Forgets the entries read so far: the log begins behind what this record follows.
    fn start_behind(&mut self, write: &mut Write<Batch>) {
        write.cut = None;
        self.recovered.entries.clear();
        self.recovered.base.last = write.previous;
    }
}

#[cfg(test)]
mod tests {
    use raft::{Body, Entry, Index, NodeId, SnapshotMeta, Term, Ticket};

    use super::*;

    fn at(index: u64) -> LogId {
        LogId::new(Term(1), Index(index))
    }

    fn write(base: Option<u64>, previous: u64, entries: usize) -> Write<Batch> {
        let membership = Membership::of_voters([NodeId(1)]);
        let base = base.map(|base| SnapshotMeta { last: at(base), membership });
        let append = vec![Entry { term: Term(1), body: Body::Noop }; entries];
        Write { ticket: Ticket::NONE, ballot: None, cut: None, base, previous: at(previous), append }
    }

    #[test]
    fn a_log_may_begin_with_a_record_whose_base_lies_before_it() {
        let mut fold = Fold::new(Membership::of_voters([NodeId(1)]));
        for write in [write(Some(10), 15, 0), write(None, 15, 5), write(Some(12), 20, 0), write(Some(17), 20, 3)] {
            fold.add(write).expect("each record follows the one before it");
        }
        let folded = fold.finish().expect("the last base says where the log begins");
        assert_eq!((folded.base.last, folded.last()), (at(17), at(23)));
    }
}
