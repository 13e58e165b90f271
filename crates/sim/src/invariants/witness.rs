//! Sees everything that members do, and holds it against the invariants.

use std::collections::BTreeMap;

use node::member::{Effects, Published};
use node::{Batch, NodeId, PeerMessage};
use raft::{Index, LogId, Membership, Raft, Recovered, Term, Write};
use state::TableSpec;

use super::consensus::{self, Entries};
use super::{Deed, Invariant, Ledger, Verdict, Violation, durability, must, published};

/// What is known of one member from what it does.
#[derive(Clone, Debug)]
pub struct View {
    /// Its log with everything that it handed to its disk.
    pub log: Recovered<Batch>,
    /// Its log as its disk has acknowledged it.
    pub durable: Recovered<Batch>,
    /// The newest entry that a durable snapshot of its covers.
    pub kept: LogId,
    /// The votes that it gave or that its disk held, through all its lives.
    pub votes: BTreeMap<Term, NodeId>,
    /// Its term.
    pub term: Term,
    /// The term it leads, if it does.
    pub leads: Option<Term>,
    /// What it takes for committed.
    pub commit: Index,
    /// What it applied.
    pub applied: Index,
    /// Index and revision that it published last.
    pub published: (u64, u64),
}

impl View {
    fn new(recovered: Recovered<Batch>, published: (u64, u64)) -> View {
        View {
            term: recovered.ballot.term,
            kept: recovered.loaded.as_ref().map_or(LogId::default(), |loaded| loaded.last),
            log: recovered.clone(),
            durable: recovered,
            votes: BTreeMap::new(),
            leads: None,
            commit: Index::ZERO,
            applied: Index::ZERO,
            published,
        }
    }

    /// The term of the entry that its log holds at a place.
    #[must_use]
    pub fn held_at(&self, index: Index) -> Option<Term> {
        term_at(&self.log, index)
    }

    /// The term of the entry that its disk holds at a place.
    #[must_use]
    pub fn durable_at(&self, index: Index) -> Option<Term> {
        term_at(&self.durable, index)
    }

    /// Whether a place lies below the start of its log, where everything is committed.
    #[must_use]
    pub fn covers(&self, index: Index) -> bool {
        index < self.log.base.last.index
    }
}

fn term_at(log: &Recovered<Batch>, index: Index) -> Option<Term> {
    let behind = index.0.checked_sub(log.base.last.index.0)?;
    match behind.checked_sub(1) {
        None => Some(log.base.last.term),
        Some(position) => log.entries.get(usize::try_from(position).ok()?).map(|entry| entry.term),
    }
}

/// What was seen of all members.
pub struct Witness {
    views: BTreeMap<NodeId, View>,
    leaders: BTreeMap<Term, NodeId>,
    entries: Entries,
    ledger: Ledger,
    overwritten: u64,
}

impl Witness {
    /// Nothing was seen yet of these members, each of which begins with a membership.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = (NodeId, Membership)>, specs: &[TableSpec]) -> Witness {
        let view = |initial| View::new(Recovered::empty(initial), (0, 0));
        let members: Vec<_> = members.into_iter().collect();
        let founding = members.first().map(|(_, initial)| initial.clone()).unwrap_or_default();
        Witness {
            views: members.into_iter().map(|(id, initial)| (id, view(initial))).collect(),
            leaders: BTreeMap::new(),
            entries: Entries::new(),
            ledger: Ledger::new(specs, founding),
            overwritten: 0,
        }
    }

    /// What was decided.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is known of a member.
    #[must_use]
    pub fn view(&self, id: NodeId) -> &View {
        &self.views[&id]
    }

    /// How many terms had a leader.
    #[must_use]
    pub fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// How many entries were written and cut off again.
    #[must_use]
    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// A process starts with what it found, and publishes this first. `doubtful` is what was under way when the one
    /// before it ended.
    ///
    /// # Errors
    /// Something that was promised is not there.
    pub fn started(
        &mut self,
        id: NodeId,
        found: Recovered<Batch>,
        doubtful: &[Write<Batch>],
        state: &Published,
    ) -> Verdict {
        let before = &self.views[&id];
        durability::acknowledged_writes_are_recovered(id, &found, &before.durable, doubtful)?;
        if state.index > 0 {
            published::states_are_equal(id, state, &self.ledger)?;
        }
        let votes = before.votes.clone();
        let mut view = View::new(found, (state.index, state.state.revision()));
        view.votes = votes;
        durability::one_vote_per_term(id, &mut view.votes, view.durable.ballot)?;
        self.views.insert(id, view);
        Ok(())
    }

    /// A snapshot is on a member's disk.
    pub fn kept(&mut self, id: NodeId, last: LogId) {
        let view = self.view_mut(id);
        view.kept = view.kept.max(last);
    }

    /// A member's disk is gone, and it will never be back.
    pub fn lost(&mut self, id: NodeId) {
        *self.view_mut(id) = View::new(Recovered::empty(Membership::default()), (0, 0));
    }

    /// A process ended: it leads nothing any more.
    pub fn ended(&mut self, id: NodeId) {
        self.view_mut(id).leads = None;
    }

    /// A member's disk acknowledged these writes.
    ///
    /// # Errors
    /// They take a vote back.
    pub fn durable(&mut self, id: NodeId, writes: Vec<Write<Batch>>) -> Verdict {
        let view = self.view_mut(id);
        for write in writes {
            if let Some(ballot) = write.ballot {
                durability::one_vote_per_term(id, &mut view.votes, ballot)?;
            }
            must(view.durable.absorb(write), Invariant::LogsHaveNoGap, || format!("{id}, on disk"))?;
        }
        Ok(())
    }

    /// A member had a turn. Gives what was decided by it, with the time at which each deed was first proposed.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn turned(
        &mut self,
        now: u64,
        id: NodeId,
        effects: &Effects,
        raft: &Raft<Batch>,
        damaged: bool,
    ) -> Result<Vec<(u64, Deed)>, Violation> {
        let marks = raft.marks();
        for write in &effects.write {
            self.wrote(now, id, write)?;
        }
        consensus::progress_is_ordered(id, &self.views[&id], &marks)?;
        let leads = marks.leads.then_some(marks.ballot.term);
        let view = self.view_mut(id);
        view.term = marks.ballot.term;
        let newly = leads.filter(|_| leads != view.leads);
        view.leads = leads;
        if let Some(term) = newly {
            self.elected(id, term)?;
        }
        let deeds = self.committed(id, raft, marks.commit)?;
        let view = self.view_mut(id);
        view.commit = marks.commit;
        view.applied = marks.applied;
        for (_, message) in &effects.send {
            if let PeerMessage::Raft(envelope) = message {
                durability::votes_are_durable_before_they_are_sent(self.view_mut(id), envelope)?;
                let view = &self.views[&id];
                let leader = self.views.get(&envelope.to).filter(|leader| leader.leads == Some(envelope.term));
                durability::entries_are_durable_before_they_are_acknowledged(view, leader, envelope)?;
            }
        }
        if let Some(state) = &effects.publish {
            self.published(id, state, damaged)?;
        }
        Ok(deeds)
    }

    fn view_mut(&mut self, id: NodeId) -> &mut View {
        self.views.get_mut(&id).expect("every member has a view")
    }

    fn wrote(&mut self, now: u64, id: NodeId, write: &Write<Batch>) -> Verdict {
        let view = self.views.get_mut(&id).expect("every member has a view");
        if let Some(ballot) = write.ballot {
            consensus::ballots_move_forward(id, view.log.ballot, ballot)?;
        }
        // Who writes down a later term has stopped to lead the earlier one.
        let term = write.ballot.unwrap_or(view.log.ballot).term;
        consensus::leaders_only_append(id, view.leads.filter(|&led| led == term), write)?;
        consensus::committed_entries_are_not_cut(id, view.commit, write)?;
        if let Some(cut) = write.cut {
            self.overwritten += view.log.last().index.ahead_of(cut.previous());
        }
        let mut previous = write.previous;
        for entry in &write.append {
            consensus::logs_match(&mut self.entries, now, id, previous, entry)?;
            previous = LogId::new(entry.term, previous.index.next());
        }
        consensus::logs_have_no_gap(id, view, write.clone())
    }

    fn elected(&mut self, id: NodeId, term: Term) -> Verdict {
        consensus::one_leader_per_term(&mut self.leaders, term, id)?;
        let view = &self.views[&id];
        durability::leaders_have_voted_durably(id, term, view)?;
        consensus::leaders_hold_what_is_committed(id, term, view, &self.ledger)
    }

    fn committed(&mut self, id: NodeId, raft: &Raft<Batch>, commit: Index) -> Result<Vec<(u64, Deed)>, Violation> {
        let mut deeds = Vec::new();
        let (before, term) = (self.views[&id].commit, self.views[&id].term);
        for (index, entry) in raft.entries_after(before).take_while(|(index, _)| *index <= commit) {
            if index <= self.ledger.last() {
                consensus::committed_entries_never_change(id, entry, index, &self.ledger)?;
                continue;
            }
            let entry_id = LogId::new(entry.term, index);
            let memberships = [self.ledger.membership(), raft.membership()];
            durability::committed_means_durable_on_a_majority(entry_id, &self.views, memberships)?;
            let proposed = self.entries.get(&entry_id).map_or(0, |seen| seen.at);
            deeds.extend(self.ledger.decide(entry, term)?.into_iter().map(|deed| (proposed, deed)));
            for (&leader, view) in &self.views {
                if let Some(led) = view.leads.filter(|&led| led > term) {
                    consensus::leaders_hold_what_is_committed(leader, led, view, &self.ledger)?;
                }
            }
        }
        for (_, deed) in &deeds {
            if let Deed::Ended(lease) = deed {
                published::ended_leases_hold_nothing(*lease, self.ledger.reference())?;
            }
        }
        Ok(deeds)
    }

    fn published(&mut self, id: NodeId, state: &Published, damaged: bool) -> Verdict {
        let view = &self.views[&id];
        // A damaged member that heals publishes once more what it should have published.
        if !damaged {
            published::published_states_move_forward(id, view, state)?;
        }
        // That is for the members to notice, if the difference was put there on purpose.
        if !damaged {
            published::states_are_equal(id, state, &self.ledger)?;
        }
        published::the_feed_has_no_gap(id, view, state, &self.ledger)?;
        self.view_mut(id).published = (state.index, state.state.revision());
        Ok(())
    }
}
