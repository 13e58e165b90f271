//! The drain: everything owed is cut here, at the last moment, so that batches form by themselves.
//!
//! However many steps went before, a peer gets its new entries in as few appends as they fit in, a follower
//! answers its leader once, the disk gets one write, and reads share one round.

use crate::effects::{Committed, Effects, Outgoing, Refusal, Write};
use crate::message::{Envelope, Message};
use crate::mutants::mutated;
use crate::raft::Raft;
use crate::roles::Post;
use crate::types::{LogId, Payload, Tag, Ticket};

/// What a message waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Gate {
    /// Nothing: it promises nothing.
    Now,
    /// The log as it is: it speaks of entries that this member must still hold after a crash.
    Log,
    /// Everything: it is a promise.
    Everything,
}

/// What is owed and not yet cut.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Owed<P> {
    /// The ballot changed.
    pub(crate) ballot: bool,
    /// Messages, without the tickets that they wait for.
    pub(crate) messages: Vec<(Gate, Envelope<P>)>,
    /// Everything else, as far as it is known already.
    pub(crate) effects: Effects<P>,
}

impl<P> Default for Owed<P> {
    fn default() -> Self {
        Self { ballot: false, messages: Vec::new(), effects: Effects::default() }
    }
}

impl<P: Payload> Raft<P> {
    /// All that is owed since the last drain.
    #[must_use]
    pub fn drain(&mut self) -> Effects<P> {
        self.cut_read_round();
        self.cut_appends();
        self.cut_answers();
        let write = self.cut_write();
        let apply = self.cut_apply();
        let mut effects = std::mem::take(&mut self.owed.effects);
        effects.write = write;
        effects.apply = apply;
        // A refusal may have been found while cutting what to apply.
        let (log, everything) = (self.durable.issued_for_log(), self.durable.issued());
        let messages = std::mem::take(&mut self.owed.messages);
        effects.send = messages
            .into_iter()
            .map(|(gate, envelope)| {
                let after = match gate {
                    Gate::Now => Ticket::NONE,
                    Gate::Log => log,
                    Gate::Everything => everything,
                };
                Outgoing { after, envelope }
            })
            .collect();
        effects
    }

    /// A follower's answers to its leader.
    fn cut_answers(&mut self) {
        let Post::Follower(follower) = &mut self.post else {
            return;
        };
        let (appended, alive) = (follower.appended.take(), follower.alive.take());
        let Some(leader) = follower.leader else {
            return;
        };
        if let Some(round) = alive {
            self.send(leader, Message::Alive { round }, Gate::Now);
        }
        if let Some(matched) = appended {
            let gate = if mutated("acknowledge-before-write") { Gate::Now } else { Gate::Everything };
            self.send(leader, Message::Appended { matched }, gate);
        }
    }

    fn cut_write(&mut self) -> Option<Write<P>> {
        let log = self.log.owed_to_disk();
        let changes_log = log.is_some();
        let postponed = mutated("ballot-after-entries") && changes_log;
        let ballot = (!postponed && std::mem::take(&mut self.owed.ballot)).then_some(self.ballot);
        if ballot.is_none() && !changes_log {
            return None;
        }
        let last = self.log.last();
        let ticket = self.durable.issue(self.ballot, last.index, changes_log);
        let mut write =
            log.unwrap_or(Write { ticket, ballot, cut: None, base: None, previous: last, append: Vec::new() });
        write.ticket = ticket;
        write.ballot = ballot;
        Some(write)
    }

    /// What became committed, with the tags of those who proposed it here.
    fn cut_apply(&mut self) -> Vec<Committed<P>> {
        let count =
            usize::try_from(self.commit.ahead_of(self.applied)).expect("no more than there are entries in memory");
        let mut index = self.applied;
        let entries = self.log.behind(self.applied).take(count).map(|entry| {
            index = index.next();
            Committed { index, term: entry.term, body: entry.body.clone(), tag: None }
        });
        let mut apply: Vec<Committed<P>> = entries.collect();
        assert!(apply.len() == count, "what is committed and not applied is in the log");
        self.applied = self.commit;
        for committed in &mut apply {
            committed.tag = self.decided(LogId::new(committed.term, committed.index));
        }
        apply
    }

    /// This entry stands there for ever: whoever proposed it is told so, and whoever proposed another for this
    /// place is told that.
    fn decided(&mut self, id: LogId) -> Option<Tag> {
        let mut tag = None;
        while let Some((proposal, proposed)) = self.proposals.take_upto(id.index) {
            if proposal == id {
                tag = Some(proposed);
            } else {
                self.refuse(proposed, Refusal::Overwritten);
            }
        }
        tag
    }
}
