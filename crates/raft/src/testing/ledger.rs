//! What was promised to the world, and so must stay true whatever happens to the members: the part of the
//! [`Promise`]s that only somebody sees who remembers everything that anybody ever said.

use std::collections::{BTreeMap, BTreeSet};

use crate::effects::{Effects, Refusal};
use crate::raft::Raft;
use crate::roles::Post;
use crate::testing::Promise;
use crate::types::{Body, Index, LogId, NodeId, Payload, Tag, Term};

/// See the file's head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ledger<P> {
    leaders: BTreeMap<Term, NodeId>,
    committed: BTreeMap<Index, Fact<P>>,
    reads: BTreeMap<(NodeId, Tag), Index>,
    proposed: BTreeMap<Tag, LogId>,
    acknowledged: BTreeSet<Tag>,
    overwritten: BTreeSet<LogId>,
}

/// A committed entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Fact<P> {
    term: Term,
    body: Body<P>,
    /// The term of whoever applied it first: it was committed in this term or before.
    known_in: Term,
}

impl<P> Default for Ledger<P> {
    fn default() -> Self {
        Self {
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            reads: BTreeMap::new(),
            proposed: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            overwritten: BTreeSet::new(),
        }
    }
}

impl<P: Payload> Ledger<P> {
    /// How far anybody has applied.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.committed.keys().next_back().copied().unwrap_or_default()
    }

    /// How many leaders there were.
    #[must_use]
    pub fn elections(&self) -> usize {
        self.leaders.len()
    }

    /// Whether the proposal with this tag was reported committed to its proposer.
    #[must_use]
    pub fn is_acknowledged(&self, tag: Tag) -> bool {
        self.acknowledged.contains(&tag)
    }

    /// How many proposals were reported committed.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// The last of the entries that were reported committed to their proposers.
    #[must_use]
    pub fn last_acknowledged(&self) -> Option<LogId> {
        self.acknowledged.iter().filter_map(|tag| self.proposed.get(tag)).max_by_key(|id| id.index).copied()
    }

    /// How many proposals were reported overwritten.
    #[must_use]
    pub fn overwritten(&self) -> usize {
        self.overwritten.len()
    }

    /// How many settled changes of membership are committed.
    #[must_use]
    pub fn reconfigurations(&self) -> usize {
        self.committed.values().filter(|fact| matches!(&fact.body, Body::Membership(m) if !m.is_joint())).count()
    }

    pub(super) fn read_began(&mut self, id: NodeId, tag: Tag) {
        let committed = self.committed();
        self.reads.insert((id, tag), committed);
    }

    pub(super) fn forget_reads(&mut self, id: NodeId) {
        self.reads.retain(|(reader, _), _| *reader != id);
    }

    /// If this member leads, it may; and it holds what it must.
    pub(super) fn check_leader(&mut self, id: NodeId, raft: &Raft<P>) {
        if !matches!(raft.post, Post::Leader(_)) {
            return;
        }
        let term = raft.ballot.term;
        let leader = *self.leaders.entry(term).or_insert(id);
        assert!(leader == id, "{}: both {leader} and {id} lead term {term}", Promise::OneLeaderPerTerm);
        for (&index, fact) in self.committed.iter().filter(|(_, fact)| fact.known_in < term) {
            let held = index <= raft.log.base().index || raft.log.term_at(index) == Some(fact.term);
            let promise = Promise::LeaderCompleteness;
            assert!(held, "{promise}: {id} leads term {term} without the committed entry {index}@{}", fact.term);
        }
    }

    /// What a drain told the world.
    pub(super) fn note(&mut self, id: NodeId, raft: &Raft<P>, effects: &Effects<P>) {
        for &(tag, index, term) in &effects.proposed {
            self.proposed.insert(tag, LogId::new(term, index));
        }
        for committed in &effects.apply {
            let place = committed.index;
            let fact = Fact { term: committed.term, body: committed.body.clone(), known_in: raft.ballot.term };
            let denied = self.overwritten.contains(&LogId::new(fact.term, place));
            assert!(!denied, "{}: {place} was reported overwritten", Promise::RefusedIsRefused);
            let known = self.committed.entry(place).or_insert_with(|| fact.clone());
            let same = known.term == fact.term && known.body == fact.body;
            let promise = Promise::StateMachineSafety;
            assert!(same, "{promise}: {id} applies {fact:?} at {place}, where {known:?} was applied before");
            known.known_in = known.known_in.min(fact.known_in);
            if let Some(tag) = committed.tag {
                let first = self.acknowledged.insert(tag);
                assert!(first, "{}: {tag:?} is acknowledged twice", Promise::StateMachineSafety);
            }
        }
        for &(tag, refusal) in &effects.refused {
            self.reads.remove(&(id, tag));
            if let (Refusal::Overwritten, Some(proposed)) = (refusal, self.proposed.get(&tag)) {
                let fact = self.committed.get(&proposed.index);
                let gone = fact.is_none_or(|fact| fact.term != proposed.term);
                assert!(gone, "{}: {tag:?} is committed, not overwritten", Promise::RefusedIsRefused);
                self.overwritten.insert(*proposed);
            }
        }
        for &(tag, index) in &effects.reads {
            let least = self.reads.remove(&(id, tag)).expect("a read is answered once, and only if asked");
            let promise = Promise::FreshReads;
            assert!(index >= least, "{promise}: {id} serves at {index}, but {least} was applied before it began");
        }
    }
}
