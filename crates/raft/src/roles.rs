//! What a member can be, what it knows only while it is that, and every legal way from one to another.
//!
//! All changes of role, term and leader go through [`Raft::stand`], which holds them against
//! [`TRANSITIONS`] and tells the world. This file may not know how elections are won or entries replicated.

use std::collections::{BTreeMap, BTreeSet};

use crate::cause::{Cause, Event, TallyEnd, Trigger};
use crate::effects::{Rearm, Role, Standing};
use crate::hibernation::Rest;
use crate::message::VoteRefusal;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::reads::Reads;
use crate::transfer::Transfer;
use crate::types::{Ballot, Index, NodeId, Payload, Term};

/// The post that a member holds, with what belongs to it. Leaving the post forgets it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Post {
    Follower(Follower),
    PreCandidate(Canvass),
    Candidate(Canvass),
    Leader(Leader),
}

/// Every way from one post to another, and when it is taken.
pub(crate) const TRANSITIONS: [(Role, Role, &str); 10] = [
    (Role::Follower, Role::Follower, "another leader or term is heard of"),
    (Role::Follower, Role::PreCandidate, "the election timer runs out"),
    (Role::Follower, Role::Candidate, "the leader hands over"),
    (Role::PreCandidate, Role::PreCandidate, "nobody decided in time"),
    (Role::PreCandidate, Role::Candidate, "a majority would vote for it"),
    (Role::PreCandidate, Role::Follower, "a majority would not, or a leader or later term is heard of"),
    (Role::Candidate, Role::PreCandidate, "nobody won in time"),
    (Role::Candidate, Role::Leader, "a majority voted for it"),
    (Role::Candidate, Role::Follower, "a majority did not, or a leader or later term is heard of"),
    (Role::Leader, Role::Follower, "a later term, a lost majority, or its own removal"),
];

/// A member that follows, or waits for somebody to follow.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Follower {
    /// The leader of this term.
    pub(crate) leader: Option<NodeId>,
    /// No leader was heard for the shortest election timeout.
    pub(crate) silent: bool,
    /// The connection to the leader broke, and it was not heard since.
    pub(crate) lost: bool,
    /// It led until just now.
    pub(crate) deposed: bool,
    /// Its timers stand still, by agreement with the leader.
    pub(crate) asleep: bool,
    /// The answer owed for appends: the log equals the leader's up to here.
    pub(crate) appended: Option<Index>,
    /// The answer owed for heartbeats: the newest round.
    pub(crate) alive: Option<u64>,
}

/// A member that asks for votes, as a trial or for real.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Canvass {
    /// Why it asks.
    pub(crate) trigger: Trigger,
    /// Who said yes. Itself too, for real votes as soon as its own ballot is durable.
    pub(crate) granted: BTreeSet<NodeId>,
    /// Who said no.
    pub(crate) refused: BTreeMap<NodeId, VoteRefusal>,
    /// What it was before, and is again if it gives up within the term.
    pub(crate) former: Follower,
}

/// A member that leads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Leader {
    /// Every other member, and those that leave with a change that is not committed yet.
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    /// Reads not yet answered.
    pub(crate) reads: Reads,
    /// Leadership is being handed over.
    pub(crate) transfer: Option<Transfer>,
    /// How far it is on its way to sleep.
    pub(crate) rest: Rest,
    /// The weight of all entries behind the commit index.
    pub(crate) uncommitted_weight: usize,
}

impl Post {
    /// The post without its data.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}

impl Follower {
    /// Whether this member will help nobody against a leader that may well live.
    pub(crate) fn protects_leader(&self) -> bool {
        !self.silent && !self.lost
    }
}

impl Canvass {
    /// Nobody has answered yet.
    pub(crate) fn new(trigger: Trigger, former: Follower) -> Self {
        Self { trigger, granted: BTreeSet::new(), refused: BTreeMap::new(), former }
    }

    /// What `id` answered so far.
    pub(crate) fn answer(&self, id: NodeId) -> Option<bool> {
        if self.granted.contains(&id) { Some(true) } else { self.refused.contains_key(&id).then_some(false) }
    }
}

impl<P: Payload> Raft<P> {
    /// Takes a post. The only place where the post changes.
    pub(crate) fn stand(&mut self, post: Post, cause: Cause) {
        let (from, to) = (self.post.role(), post.role());
        let legal = TRANSITIONS.iter().any(|(a, b, _)| (*a, *b) == (from, to));
        assert!(legal, "{} went from {from} to {to}: {cause}", self.config.id);
        self.post = post;
        self.announce(cause);
    }

    /// Tells the world if role, term or leader are not what it was told last.
    pub(crate) fn announce(&mut self, cause: Cause) {
        let standing = Standing { role: self.role(), term: self.ballot.term, leader: self.leader(), cause };
        let shown = &self.standing;
        if (standing.role, standing.term, standing.leader) == (shown.role, shown.term, shown.leader) {
            return;
        }
        self.standing = standing.clone();
        self.owed.effects.events.push(Event::Stands(standing.clone()));
        self.owed.effects.standing = Some(standing);
    }

    /// The role as shown to the world.
    pub(crate) fn role(&self) -> Role {
        match &self.post {
            Post::Follower(_) if !self.log.membership().is_voter(self.config.id) => Role::Learner,
            post => post.role(),
        }
    }

    /// The leader of this term, if known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        match &self.post {
            Post::Follower(follower) => follower.leader,
            Post::PreCandidate(canvass) => canvass.former.leader,
            Post::Candidate(_) => None,
            Post::Leader(_) => Some(self.config.id),
        }
    }

    /// Follows `leader`, or nobody yet, in `term`. Whatever the present post owes is settled.
    pub(crate) fn follow(&mut self, term: Term, leader: Option<NodeId>, cause: Cause) {
        assert!(term >= self.ballot.term, "the term would go back from {} to {term}", self.ballot.term);
        self.leave_post(leader, &cause);
        let same_term = term == self.ballot.term;
        if !same_term {
            self.set_ballot(Ballot::unvoted(term));
        }
        let was_leader = matches!(self.post, Post::Leader(_));
        // Without a leader's word this member is as suspicious, or as trusting, as it was before.
        let silent = leader.is_none()
            && match &self.post {
                Post::Follower(follower) => !follower.protects_leader(),
                Post::PreCandidate(_) | Post::Candidate(_) => true,
                Post::Leader(_) => false,
            };
        let deposed = was_leader && leader.is_none() && !same_term;
        if leader.is_some() {
            self.owed.effects.timer = Some(Rearm::Election);
        } else if was_leader {
            self.owed.effects.timer = Some(if deposed { Rearm::Quick } else { Rearm::Election });
        }
        self.stand(Post::Follower(Follower { leader, silent, deposed, ..Follower::default() }), cause);
    }

    /// Settles what only the present post could have answered.
    fn leave_post(&mut self, leader: Option<NodeId>, cause: &Cause) {
        match &self.post {
            Post::Follower(_) => {}
            Post::PreCandidate(_) | Post::Candidate(_) => {
                self.end_canvass(TallyEnd::Overtaken);
            }
            Post::Leader(_) => {
                self.refuse_reads(leader);
                self.settle_transfer(leader, cause);
            }
        }
    }

    /// Promises a later term, or a vote.
    pub(crate) fn set_ballot(&mut self, ballot: Ballot) {
        let same_term = ballot.term == self.ballot.term;
        assert!(ballot.term >= self.ballot.term, "the ballot would go back from {}", self.ballot);
        assert!(!same_term || self.ballot.vote.is_none() || self.ballot.vote == ballot.vote, "a second vote in a term");
        self.ballot = ballot;
        self.owed.ballot = true;
    }
}
