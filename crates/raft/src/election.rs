//! Elections: how a member comes to campaign, who helps it and who refuses, and what a majority makes of it.
//!
//! Three rules keep a healthy leader in its place:
//! - *Pre-vote.* Before a member disturbs anybody with a new term it asks whether a majority would vote for it.
//! - *Stickiness.* Who heard from a leader within the shortest election timeout refuses, in pre-votes and
//!   votes, unless the leader itself asked for the election or is the one who asks.
//! - *Evidence.* Who lost the connection to the leader campaigns at once, and only those who lost it as well,
//!   or have heard nothing for an election timeout, help. One bad link therefore deposes nobody.
//!
//! Two rules keep votes honest across crashes. A vote leaves only when it is durable. And a candidate asks for
//! votes only for a log that is durable: were it to lose its tail in a crash and campaign again in the same
//! term, old votes would come in for a log it no longer has. Its own ballot may still be on its way to the
//! disk while it asks, but it does not lead before that is durable.

use crate::cause::{Ballotage, Cause, Event, TallyEnd, Trigger};
use crate::drain::Gate;
use crate::effects::Rearm;
use crate::message::{Message, VoteRefusal};
use crate::mutants::mutated;
use crate::quorum::{self, Outcome};
use crate::raft::Raft;
use crate::roles::{Canvass, Follower, Post};
use crate::types::{Ballot, LogId, NodeId, Payload, Term};

impl<P: Payload> Raft<P> {
    /// The election timer ran out.
    pub(crate) fn election_due(&mut self) {
        match &self.post {
            Post::Leader(_) => self.round_due(),
            Post::Follower(follower) => {
                let mut former = Follower { appended: None, alive: None, ..follower.clone() };
                let trigger = match former {
                    Follower { lost: true, leader: Some(leader), .. } => Trigger::ConnectionLost { leader },
                    Follower { deposed: true, .. } => Trigger::Deposed,
                    Follower { leader, .. } => Trigger::TimedOut { leader },
                };
                former.silent |= matches!(trigger, Trigger::TimedOut { .. });
                self.pre_campaign(trigger, former);
            }
            Post::PreCandidate(canvass) | Post::Candidate(canvass) => {
                let former = Follower { silent: true, ..canvass.former.clone() };
                // The first reason stays the reason; but a transfer is good for one election only.
                let trigger = match canvass.trigger {
                    Trigger::Transfer { .. } => Trigger::TimedOut { leader: former.leader },
                    trigger => trigger,
                };
                self.end_canvass(TallyEnd::TimedOut);
                self.pre_campaign(trigger, former);
            }
        }
    }

    /// No leader was heard for the shortest election timeout.
    pub(crate) fn leader_silent(&mut self) {
        match &mut self.post {
            Post::Follower(follower) => follower.silent = !mutated("R8"),
            Post::PreCandidate(canvass) | Post::Candidate(canvass) => canvass.former.silent = true,
            Post::Leader(_) => {}
        }
    }

    /// Whether this member may campaign at all.
    fn is_electable(&self) -> bool {
        let campaigns_end = self.ballot.term.next().is_none_or(|term| term == Term(u64::MAX));
        self.log.membership().is_voter(self.config.id) && self.missing.is_none() && !campaigns_end
    }

    /// Asks whether an election could be won.
    fn pre_campaign(&mut self, trigger: Trigger, former: Follower) {
        self.owed.effects.timer = Some(Rearm::Election);
        if !self.is_electable() {
            if let Post::Follower(follower) = &mut self.post {
                follower.silent |= former.silent;
            } else {
                self.stand(Post::Follower(former), Cause::MembershipChanged);
            }
            return;
        }
        let alone = self.log.membership().all_voters().len() == 1;
        let trigger = if alone { Trigger::Alone } else { trigger };
        let mut canvass = Canvass::new(trigger, former);
        canvass.granted.insert(self.config.id);
        self.stand(Post::PreCandidate(canvass), Cause::Campaigns(trigger));
        let last = self.log.last();
        self.ask_voters(&Message::AskPreVote { last }, Gate::Now);
        self.decide();
    }

    /// Asks for votes in a new term.
    fn campaign(&mut self, trigger: Trigger) {
        let term = self.ballot.term.next().expect("checked before the pre-vote and the transfer");
        let transfer = matches!(trigger, Trigger::Transfer { .. });
        let last = self.log.last();
        self.set_ballot(Ballot { term, vote: Some(self.config.id) });
        self.owed.effects.timer = Some(Rearm::Election);
        let former = Follower { silent: true, ..Follower::default() };
        self.stand(Post::Candidate(Canvass::new(trigger, former)), Cause::Campaigns(trigger));
        let gate = if mutated("ask-before-write") { Gate::Now } else { Gate::Log };
        self.ask_voters(&Message::AskVote { last, transfer }, gate);
    }

    fn ask_voters(&mut self, question: &Message<P>, gate: Gate) {
        for voter in self.log.membership().all_voters() {
            if voter != self.config.id {
                self.send(voter, question.clone(), gate);
            }
        }
    }

    /// The leader asks this member to take over.
    pub(crate) fn campaign_now(&mut self, leader: NodeId) {
        if (self.is_electable() || mutated("R11")) && matches!(self.post, Post::Follower(_)) {
            self.campaign(Trigger::Transfer { from: leader });
        }
    }

    /// Whether a leader may well live, and the one who asks is another.
    pub(crate) fn protects_leader_from(&self, asker: NodeId) -> bool {
        match &self.post {
            Post::Follower(follower) => follower.protects_leader() && follower.leader != Some(asker),
            Post::PreCandidate(_) | Post::Candidate(_) => false,
            Post::Leader(_) => true,
        }
    }

    /// Somebody in term `asked` would like to lead the next one.
    pub(crate) fn pre_vote_asked(&mut self, from: NodeId, asked: Term, last: LogId) {
        let refusal = if self.protects_leader_from(from) {
            Some(VoteRefusal::LeaderAlive(self.leader()))
        } else {
            self.refusal_by_log(last)
        };
        if let Some(why) = refusal {
            return self.refuse_pre_vote(from, asked, why);
        }
        let term = asked.next().unwrap_or(asked);
        self.event(Event::Granted { kind: Ballotage::PreVote, to: from, term });
        self.send(from, Message::PreVote { asked, refusal: None }, Gate::Now);
    }

    /// Somebody wants this member's vote in the present term.
    pub(crate) fn vote_asked(&mut self, from: NodeId, asked: Term, last: LogId) {
        let refusal = match self.ballot.vote {
            Some(other) if other != from => Some(VoteRefusal::VotedFor(other)),
            _ => match self.leader() {
                Some(leader) if leader != from => Some(VoteRefusal::LeaderAlive(Some(leader))),
                _ => self.refusal_by_log(last),
            },
        };
        if let Some(why) = refusal {
            if matches!(self.post, Post::Candidate(_)) {
                // Two candidates split the vote: whoever draws the shorter delay wins the next term.
                self.owed.effects.timer = Some(Rearm::Quick);
            }
            return self.refuse_vote(from, asked, why);
        }
        if self.ballot.vote.is_none() {
            self.set_ballot(Ballot { term: self.ballot.term, vote: Some(from) });
            self.event(Event::Granted { kind: Ballotage::Vote, to: from, term: self.ballot.term });
        }
        if let Post::Follower(follower) = &mut self.post {
            // A leader may be about to appear: give it the time of one.
            *follower = Follower { leader: follower.leader, ..Follower::default() };
            self.owed.effects.timer = Some(Rearm::Election);
        }
        let gate = if mutated("vote-before-write") { Gate::Now } else { Gate::Everything };
        self.send(from, Message::Vote { asked, refusal: None }, gate);
    }

    /// What speaks against a candidate whose log ends at `asker`.
    fn refusal_by_log(&self, asker: LogId) -> Option<VoteRefusal> {
        let own = self.log.last();
        match self.missing {
            Some(missing) if !mutated("vote-without-lost-entries") => Some(VoteRefusal::Repairing(missing)),
            _ if mutated("longer-log-wins") && asker.index >= own.index => None,
            _ => (asker < own).then_some(VoteRefusal::LogBehind { asker, own }),
        }
    }

    pub(crate) fn refuse_pre_vote(&mut self, to: NodeId, asked: Term, why: VoteRefusal) {
        let term = asked.next().unwrap_or(asked);
        self.event(Event::Refused { kind: Ballotage::PreVote, to, term, why });
        self.send(to, Message::PreVote { asked, refusal: Some(why) }, Gate::Now);
    }

    pub(crate) fn refuse_vote(&mut self, to: NodeId, asked: Term, why: VoteRefusal) {
        self.event(Event::Refused { kind: Ballotage::Vote, to, term: asked, why });
        self.send(to, Message::Vote { asked, refusal: Some(why) }, Gate::Now);
    }

    /// An answer to a pre-vote that was asked in term `asked`.
    pub(crate) fn pre_vote_answered(&mut self, from: NodeId, asked: Term, refusal: Option<VoteRefusal>) {
        let known = self.log.membership().is_voter(from) && asked == self.ballot.term;
        if let Post::PreCandidate(canvass) = &mut self.post
            && known
        {
            canvass.note(from, refusal);
            self.decide();
        }
    }

    /// An answer to a vote that was asked for in term `asked`.
    pub(crate) fn vote_answered(&mut self, from: NodeId, asked: Term, refusal: Option<VoteRefusal>) {
        let known = self.log.membership().is_voter(from) && asked == self.ballot.term;
        if let Post::Candidate(canvass) = &mut self.post
            && known
        {
            canvass.note(from, refusal);
            self.decide();
        }
    }

    /// A candidate's writes progress: its own vote counts from when it is durable.
    pub(crate) fn own_vote_written(&mut self) {
        if self.durable.ballot() == self.ballot
            && let Post::Candidate(canvass) = &mut self.post
        {
            canvass.granted.insert(self.config.id);
            self.decide();
        }
    }

    /// Looks at the answers so far.
    fn decide(&mut self) {
        let (Post::PreCandidate(canvass) | Post::Candidate(canvass)) = &self.post else {
            return;
        };
        let (trigger, former) = (canvass.trigger, canvass.former.clone());
        let own_vote_counts = canvass.granted.contains(&self.config.id);
        let outcome = quorum::outcome(self.deciding_membership(), |id| canvass.answer(id));
        let is_trial = matches!(self.post, Post::PreCandidate(_));
        match outcome {
            Outcome::Open => {}
            Outcome::Won if is_trial => {
                self.end_canvass(TallyEnd::Won);
                self.campaign(trigger);
            }
            Outcome::Won if own_vote_counts => {
                let votes = canvass.granted.len();
                let voters = self.log.membership().all_voters().len();
                self.end_canvass(TallyEnd::Won);
                self.lead(Cause::Elected { trigger, votes, voters });
            }
            Outcome::Won => {}
            Outcome::Lost => {
                self.end_canvass(TallyEnd::Lost);
                let cause = if is_trial { Cause::PreVoteFailed } else { Cause::ElectionLost };
                self.stand(Post::Follower(former), cause);
            }
        }
    }

    /// Writes down how this member's asking for votes ended.
    pub(crate) fn end_canvass(&mut self, end: TallyEnd) {
        let (kind, term, canvass) = match &self.post {
            Post::PreCandidate(canvass) => (Ballotage::PreVote, self.ballot.term.next(), canvass),
            Post::Candidate(canvass) => (Ballotage::Vote, Some(self.ballot.term), canvass),
            Post::Follower(_) | Post::Leader(_) => return,
        };
        let voters = self.log.membership().all_voters();
        let silent = voters.iter().copied().filter(|&voter| canvass.answer(voter).is_none()).collect();
        let tallied = Event::Tallied {
            kind,
            term: term.unwrap_or(self.ballot.term),
            end,
            granted: canvass.granted.iter().copied().collect(),
            refused: canvass.refused.iter().map(|(&id, &why)| (id, why)).collect(),
            silent,
        };
        self.event(tallied);
    }
}

impl Canvass {
    fn note(&mut self, from: NodeId, refusal: Option<VoteRefusal>) {
        match refusal {
            None => {
                self.refused.remove(&from);
                self.granted.insert(from);
            }
            // A yes is a promise; a late no does not take it back.
            Some(_) if self.granted.contains(&from) => {}
            Some(why) => {
                self.refused.insert(from, why);
            }
        }
    }
}
