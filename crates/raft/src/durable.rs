//! The mirror of the disk: what is durable, and what the writes under way will make so.
//!
//! Writes are acknowledged by ticket. A place in the log would not do: the entry at a place may be cut and
//! another put there while the write of the first is still under way. Here every write remembers how much of
//! *today's* log the disk will hold once it is done, and a cut lowers that for all of them. So what
//! [`Durable::to`] names is always a prefix of the log as it is now.

use std::collections::VecDeque;

use crate::types::{Ballot, Index, Ticket};

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Durable {
    /// The ballot on disk.
    ballot: Ballot,
    /// The log up to here is on disk as it stands in memory.
    to: Index,
    /// Writes handed out and not yet done, in order.
    pending: VecDeque<Pending>,
    /// The newest ticket given out.
    issued: Ticket,
    /// The newest ticket given out for a write that changed the log, and not only the ballot.
    issued_for_log: Ticket,
    /// The oldest write that was already under way when the disk was last looked after.
    suspect: Option<Ticket>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Pending {
    ticket: Ticket,
    ballot: Ballot,
    to: Index,
}

impl Durable {
    /// What a disk held at the start.
    pub(crate) fn restore(ballot: Ballot, last: Index) -> Self {
        let none = Ticket::NONE;
        Self { ballot, to: last, pending: VecDeque::new(), issued: none, issued_for_log: none, suspect: None }
    }

    /// The ballot on disk.
    pub(crate) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The log up to here is on disk as it stands in memory.
    pub(crate) fn to(&self) -> Index {
        self.to
    }

    /// How many writes are under way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The write that everything handed out so far is part of.
    pub(crate) fn issued(&self) -> Ticket {
        self.issued
    }

    /// The write that all changes of the log handed out so far are part of.
    pub(crate) fn issued_for_log(&self) -> Ticket {
        self.issued_for_log
    }

    /// A write is handed out, after which the disk holds this ballot and the log up to `last`.
    pub(crate) fn issue(&mut self, ballot: Ballot, last: Index, changes_log: bool) -> Ticket {
        let ticket = Ticket(self.issued.0 + 1);
        self.issued = ticket;
        if changes_log {
            self.issued_for_log = ticket;
        }
        self.pending.push_back(Pending { ticket, ballot, to: last });
        ticket
    }

    /// Everything behind `kept` is no longer what the disk holds or will hold there.
    pub(crate) fn cut(&mut self, kept: Index) {
        self.to = self.to.min(kept);
        for pending in &mut self.pending {
            pending.to = pending.to.min(kept);
        }
    }

    /// The write with this ticket and all before it are done.
    pub(crate) fn written(&mut self, ticket: Ticket) {
        assert!(ticket <= self.issued, "write {} was reported done but never handed out", ticket.0);
        while self.pending.front().is_some_and(|pending| pending.ticket <= ticket) {
            if let Some(done) = self.pending.pop_front() {
                self.ballot = done.ballot;
                self.to = done.to;
            }
        }
    }

    /// Looks after the disk: whether a write that was under way at the last look still is.
    pub(crate) fn is_stalled(&mut self) -> bool {
        let oldest = self.pending.front().map(|pending| pending.ticket);
        let stalled = oldest.is_some() && oldest == self.suspect;
        self.suspect = oldest;
        stalled
    }

    /// Counts tickets from `done`, the newest write that is done.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn renumber(&mut self, done: Ticket) {
        let since = |ticket: Ticket| Ticket(ticket.0.saturating_sub(done.0));
        self.issued = since(self.issued);
        self.issued_for_log = since(self.issued_for_log);
        self.suspect = self.suspect.map(since).filter(|suspect| *suspect > Ticket::NONE);
        for pending in &mut self.pending {
            pending.ticket = since(pending.ticket);
        }
    }
}
