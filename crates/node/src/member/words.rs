//! The consensus core's facts in plain words, with the members' names. It may not know any time, nor what was seen.

use std::collections::{BTreeMap, BTreeSet};

use raft::{Ballotage, InvalidMembership, LogId, Membership, NodeId, Refusal, TallyEnd, TransferCause, VoteRefusal};

/// The names of the members.
#[derive(Clone, Debug)]
pub(super) struct Names(BTreeMap<NodeId, String>);

impl Names {
    pub(super) fn new(names: BTreeMap<NodeId, String>) -> Names {
        Names(names)
    }

    /// These names hold from now on, if there are any.
    pub(super) fn learn(&mut self, names: BTreeMap<NodeId, String>) {
        if !names.is_empty() {
            self.0 = names;
        }
    }

    /// All members that are named.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    pub(super) fn of(&self, id: NodeId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("member {}", id.0))
    }

    pub(super) fn all_of(&self, ids: &[NodeId]) -> Vec<String> {
        ids.iter().map(|&id| self.of(id)).collect()
    }

    pub(super) fn listed(&self, ids: &[NodeId]) -> String {
        listed(&self.all_of(ids))
    }

    /// Why a vote is refused; "it" is the one who refuses.
    pub(super) fn vote_refusal(&self, why: VoteRefusal) -> String {
        match why {
            VoteRefusal::TermPassed(term) => format!("it is in term {} already", term.0),
            VoteRefusal::LeaderAlive(Some(leader)) => format!("it still hears the leader {}", self.of(leader)),
            VoteRefusal::LeaderAlive(None) => "a leader may exist that it has not heard yet".into(),
            VoteRefusal::LogBehind { asker, own } => {
                format!("its log ends with {}, the asker's with {}", place(own), place(asker))
            }
            VoteRefusal::VotedFor(other) => format!("it voted for {} in that term", self.of(other)),
            VoteRefusal::Repairing(lost) => {
                format!("its disk lost entries up to {}, which it has to fetch first", place(lost))
            }
        }
    }

    /// Why a request of the core came to nothing.
    pub(super) fn refusal(&self, why: Refusal) -> String {
        match why {
            Refusal::NotLeader { hint: Some(leader) } => format!("{} leads by now", self.of(leader)),
            Refusal::NotLeader { hint: None } => "it leads no longer".into(),
            Refusal::Overwritten => "another entry was committed in its place".into(),
            Refusal::Covered => "a snapshot took its place, the outcome is unknown".into(),
            Refusal::Busy { waiting, limit } => format!("{waiting} wait already, the limit is {limit}"),
            Refusal::Transferring { to } => format!("leadership is being handed over to {}", self.of(to)),
            Refusal::NotReady => "it has not committed an entry of its term yet".into(),
            Refusal::ChangeInFlight => "another change of the membership is under way".into(),
            Refusal::Invalid(invalid) => format!("no valid membership: {}", self.invalid(invalid)),
            Refusal::NotCaughtUp(id) => format!("{} is not caught up; add it as a learner first", self.of(id)),
            Refusal::WouldLoseQuorum { healthy, needed } => {
                format!("only {healthy} of the new voters are alive and caught up, {needed} are needed")
            }
            Refusal::NoSuccessor(Some(id)) => format!("{} is no voter in contact", self.of(id)),
            Refusal::NoSuccessor(None) => "no other voter is in contact".into(),
            Refusal::TransferTimedOut { to } => {
                format!("{} did not take over within an election timeout", self.of(to))
            }
        }
    }

    fn invalid(&self, why: InvalidMembership) -> String {
        match why {
            InvalidMembership::NoVoters => "it has no voter".into(),
            InvalidMembership::VoterAndLearner(id) => format!("{} is both voter and learner", self.of(id)),
            InvalidMembership::PriorityOfStranger(id) => {
                format!("a priority is given to {}, who is no member", self.of(id))
            }
            InvalidMembership::ZeroPriority(id) => {
                format!("the priority 0 of {} is what everybody has; leave it out", self.of(id))
            }
            InvalidMembership::Joint => "a joint membership cannot be asked for".into(),
        }
    }

    /// Who takes part: "voters m1, m2 and m3; learner m4".
    pub(super) fn membership(&self, membership: &Membership) -> String {
        let set = |ids: &BTreeSet<NodeId>| self.listed(&ids.iter().copied().collect::<Vec<_>>());
        let mut words = format!("voters {}", set(&membership.voters));
        if membership.is_joint() {
            words += &format!(" together with the majority of {}", set(&membership.outgoing));
        }
        for (&id, learner) in &membership.learners {
            words += &format!("; learner {}", self.of(id));
            words += if learner.promote { ", to become a voter" } else { "" };
        }
        for (&id, priority) in &membership.priorities {
            words += &format!("; {} has priority {priority}", self.of(id));
        }
        words
    }
}

/// "m1, m2 and m3", or "nobody".
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// An entry's place for people.
pub(super) fn place(id: LogId) -> String {
    format!("entry {} of term {}", id.index.0, id.term.0)
}

/// Why leadership is handed over; "it" is the one who does.
pub(super) fn transfer(why: TransferCause) -> &'static str {
    match why {
        TransferCause::Asked => "it was asked to",
        TransferCause::DiskStalled => "its disk did not finish a write within an election timeout",
        TransferCause::Preferred => "the other has the higher priority and is caught up",
        TransferCause::Removed => "it is no longer a voter",
    }
}

pub(super) fn ballotage(kind: Ballotage) -> &'static str {
    match kind {
        Ballotage::PreVote => "pre-vote",
        Ballotage::Vote => "vote",
    }
}

/// How an asking for votes ended, told of the one who asked.
pub(super) fn tally_end(end: TallyEnd, kind: Ballotage, term: u64) -> String {
    let kind = ballotage(kind);
    match end {
        TallyEnd::Won => format!("won the {kind} for term {term}"),
        TallyEnd::Lost => format!("lost the {kind} for term {term}"),
        TallyEnd::TimedOut => format!("got no majority in time in the {kind} for term {term}"),
        TallyEnd::Overtaken => format!("gave up the {kind} for term {term}, overtaken by a leader or a later term"),
    }
}
