//! Nothing is promised that a crash can take back.

use std::collections::{BTreeMap, BTreeSet};

use node::{Batch, NodeId};
use raft::{Ballot, Envelope, LogId, Membership, Message, Recovered, Term, Write};

use super::{Invariant, Verdict, View, ensure, list, violation};

/// A vote is on disk before it is given; or the disk holds a later term, so that no other vote can ever be given in
/// that one.
///
/// # Errors
/// It is not, or another vote was given before.
pub fn votes_are_durable_before_they_are_sent(view: &mut View, envelope: &Envelope<Batch>) -> Verdict {
    let Message::Vote { asked, refusal: None } = envelope.message else { return Ok(()) };
    let durable = view.votes.get(&asked) == Some(&envelope.to) || view.durable.ballot.term > asked;
    ensure(durable, Invariant::VotesAreDurable, || {
        format!("{} votes for {} in term {asked}, its disk holds {}", envelope.from, envelope.to, view.durable.ballot)
    })?;
    one_vote_per_term(envelope.from, &mut view.votes, Ballot { term: asked, vote: Some(envelope.to) })
}

/// Entries are on disk before they are acknowledged.
///
/// # Errors
/// They are not.
pub fn entries_are_durable_before_they_are_acknowledged(
    view: &View,
    leader: Option<&View>,
    envelope: &Envelope<Batch>,
) -> Verdict {
    const NAME: Invariant = Invariant::EntriesAreDurable;
    let Message::Appended { matched } = envelope.message else { return Ok(()) };
    // What it promised in an earlier term may have been cut by a later leader since.
    if envelope.term != view.term {
        return Ok(());
    }
    let last = view.durable.last().index.max(view.kept.index);
    ensure(last >= matched, NAME, || {
        format!("{} acknowledges {matched}, its disk holds the log up to {last}", envelope.from)
    })?;
    let Some(leader) = leader else { return Ok(()) };
    let (Some(own), Some(theirs)) = (view.durable_at(matched), leader.held_at(matched)) else { return Ok(()) };
    ensure(own == theirs, NAME, || {
        format!("{} acknowledges {matched}, holds {own} there and its leader {theirs}", envelope.from)
    })
}

/// A leader's own vote is on its disk: else it could vote for another in the same term after a crash.
///
/// # Errors
/// It is not.
pub fn leaders_have_voted_durably(id: NodeId, term: Term, view: &View) -> Verdict {
    let durable = view.votes.get(&term);
    ensure(durable == Some(&id), Invariant::LeadersHaveVotedDurably, || {
        format!("{id} leads term {term}, the vote on its disk is {durable:?}")
    })
}

/// Whatever is committed is on the disks of a majority.
///
/// # Errors
/// It is not.
///
/// The membership in force when its leader counted was the last one decided before it, or the newest that whoever knows
/// of it has in its log: a membership is in force as soon as it is appended.
pub fn committed_means_durable_on_a_majority(
    entry: LogId,
    views: &BTreeMap<NodeId, View>,
    memberships: [&Membership; 2],
) -> Verdict {
    let holds = |id: &NodeId| {
        views
            .get(id)
            .is_some_and(|view| view.durable_at(entry.index) == Some(entry.term) || view.kept.index >= entry.index)
    };
    let majority = |voters: &BTreeSet<NodeId>| voters.iter().filter(|id| holds(id)).count() > voters.len() / 2;
    let decides = |membership: &&Membership| {
        majority(&membership.voters) && (membership.outgoing.is_empty() || majority(&membership.outgoing))
    };
    ensure(memberships.iter().any(decides), Invariant::CommittedMeansDurable, || {
        let holders: Vec<NodeId> = views.keys().copied().filter(holds).collect();
        let voters = memberships.map(|membership| (&membership.voters, &membership.outgoing));
        format!("entry {entry} is committed, only the disks of {holders:?} hold it; voters are {voters:?}")
    })
}

/// Within a term a disk never holds two votes, whatever happened to it.
///
/// # Errors
/// It does.
pub fn one_vote_per_term(id: NodeId, votes: &mut BTreeMap<Term, NodeId>, ballot: Ballot) -> Verdict {
    let Some(vote) = ballot.vote else { return Ok(()) };
    let first = *votes.entry(ballot.term).or_insert(vote);
    ensure(first == vote, Invariant::OneVotePerTerm, || {
        format!("{id} voted for {first} and {vote} in term {}", ballot.term)
    })
}

/// A start finds what was acknowledged, and besides only a first part of what was under way.
///
/// # Errors
/// It finds less, or something else.
pub fn acknowledged_writes_are_recovered(
    id: NodeId,
    found: &Recovered<Batch>,
    acknowledged: &Recovered<Batch>,
    doubtful: &[Write<Batch>],
) -> Verdict {
    const NAME: Invariant = Invariant::AcknowledgedWritesAreRecovered;
    let same = |due: &Recovered<Batch>| {
        (due.ballot, due.last()) == (found.ballot, found.last())
            && due.base == found.base
            && due.entries == found.entries
    };
    list::looked_at(NAME);
    let mut due = acknowledged.clone();
    let mut rest = doubtful.iter();
    while !same(&due) {
        let Some(write) = rest.next() else {
            let (ballot, last, base) = (found.ballot, found.last(), found.base.last);
            let (due_ballot, due_last, due_base) = (acknowledged.ballot, acknowledged.last(), acknowledged.base.last);
            return Err(violation(
                NAME,
                format!(
                    "{id} finds {ballot} and entries from {base} to {last}; acknowledged were {due_ballot} and {due_base} \
                 to {due_last}, and {} writes were under way",
                    doubtful.len()
                ),
            ));
        };
        due.absorb(write.clone()).map_err(|why| violation(NAME, format!("{id}: {why}")))?;
    }
    Ok(())
}
