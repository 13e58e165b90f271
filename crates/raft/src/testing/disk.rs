//! A disk that finishes writes in order and loses the unfinished ones in a crash.

use std::collections::VecDeque;

use crate::disk::Recovered;
use crate::effects::Write;
use crate::raft::Raft;
use crate::testing::Promise;
use crate::types::{Index, Payload, Ticket};

/// What is durable, and what is on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Disk<P> {
    durable: Recovered<P>,
    pending: VecDeque<Write<P>>,
}

impl<P: Payload> Disk<P> {
    pub(super) fn new(durable: Recovered<P>) -> Self {
        Self { durable, pending: VecDeque::new() }
    }

    /// What a crash now would leave at least.
    #[must_use]
    pub fn durable(&self) -> &Recovered<P> {
        &self.durable
    }

    /// Marks entries as lost, as a recovery would after damage behind acknowledged data.
    pub fn damage(&mut self, from: Index) {
        let missing = self.durable.last();
        let kept = usize::try_from(from.0 - 1 - self.durable.base.last.index.0).expect("behind the base");
        self.durable.entries.truncate(kept);
        self.durable.missing = Some(missing);
    }

    /// Writes on their way.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn accept(&mut self, write: Write<P>) {
        self.pending.push_back(write);
    }

    /// The oldest write becomes durable.
    pub(super) fn finish(&mut self) -> Option<Ticket> {
        let write = self.pending.pop_front()?;
        let ticket = write.ticket;
        self.durable.absorb(write).expect("writes follow each other");
        if self.durable.missing.is_some_and(|missing| self.durable.last() >= missing) {
            self.durable.missing = None;
        }
        Some(ticket)
    }

    pub(super) fn crash(&mut self, survive: usize) {
        for _ in 0..survive {
            self.finish();
        }
        self.pending.clear();
    }

    /// Counts tickets from the newest write that is done.
    pub(super) fn renumber(&mut self, done: Ticket) {
        for write in &mut self.pending {
            write.ticket.0 -= done.0;
        }
    }

    /// Once everything on its way is durable, the disk holds what the core believes; right after a drain.
    pub(super) fn check_will_equal(&self, raft: &Raft<P>) {
        let promise = Promise::MirrorEqualsDisk;
        let mut future = self.durable.clone();
        for write in &self.pending {
            let absorbed = future.absorb(write.clone());
            assert!(absorbed.is_ok(), "{promise}: writes follow each other, but {absorbed:?}");
        }
        let (ballot, base, last) = (future.ballot, future.base.last, future.last());
        assert!(ballot == raft.ballot, "{promise}: it will hold the ballot {ballot}, not {}", raft.ballot);
        assert!(base == raft.log.base(), "{promise}: it will start behind {base}, not {}", raft.log.base());
        assert!(last == raft.log.last(), "{promise}: it will end at {last}, not {}", raft.log.last());
        assert!(future.membership() == raft.log.membership(), "{promise}: it will hold another membership");
        for (place, entry) in (base.index.0 + 1..).zip(&future.entries) {
            assert!(raft.log.get(Index(place)) == Some(entry), "{promise}: it will hold another entry at {place}");
        }
    }

    /// What the core believes to be durable is.
    pub(super) fn check_mirror(&self, raft: &Raft<P>) {
        let promise = Promise::MirrorEqualsDisk;
        let (start, to, last) = (self.durable.base.last.index, raft.durable.to(), self.durable.last());
        assert!(raft.durable.ballot() == self.durable.ballot, "{promise}: the mirror holds another ballot");
        assert!(to <= last.index, "{promise}: the mirror believes in {to}, the disk ends at {last}");
        for (place, entry) in (start.0 + 1..=to.0).zip(&self.durable.entries) {
            let in_memory = raft.log.get(Index(place));
            assert!(in_memory.is_none_or(|held| held == entry), "{promise}: they hold another entry at {place}");
        }
    }
}
