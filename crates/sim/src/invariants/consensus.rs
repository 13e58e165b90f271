//! Raft's own invariants.

use std::collections::BTreeMap;

use node::{Batch, NodeId};
use raft::{Ballot, Entry, Index, LogId, Term, Write};

use super::ledger::digest;
use super::{Invariant, Ledger, Verdict, View, ensure, must};

/// What is known of an entry that was ever written by anybody.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    digest: u64,
    previous: LogId,
    /// When it was written first, in true nanoseconds.
    pub at: u64,
}

/// All entries that were ever written.
pub type Entries = BTreeMap<LogId, Seen>;

/// At most one member leads in a term.
///
/// # Errors
/// Two do.
pub fn one_leader_per_term(leaders: &mut BTreeMap<Term, NodeId>, term: Term, id: NodeId) -> Verdict {
    let leader = *leaders.entry(term).or_insert(id);
    ensure(leader == id, Invariant::OneLeaderPerTerm, || format!("{leader} and {id} both lead term {term}"))
}

/// If two logs hold an entry with the same identity, they are equal up to it: whoever writes an entry writes the same
/// content behind the same entry as everybody else.
///
/// # Errors
/// They differ.
pub fn logs_match(entries: &mut Entries, now: u64, writer: NodeId, previous: LogId, entry: &Entry<Batch>) -> Verdict {
    let id = LogId::new(entry.term, previous.index.next());
    let found = Seen { digest: digest(&entry.body), previous, at: now };
    let known = entries.entry(id).or_insert(found);
    ensure((known.digest, known.previous) == (found.digest, found.previous), Invariant::LogsMatch, || {
        format!("{writer} writes entry {id} behind {previous}, others have another one behind {}", known.previous)
    })
}

/// Terms never go back, and a vote never changes within a term.
///
/// # Errors
/// They do.
pub fn ballots_move_forward(id: NodeId, before: Ballot, after: Ballot) -> Verdict {
    let forward =
        after.term > before.term || (after.term == before.term && (before.vote.is_none() || before.vote == after.vote));
    ensure(forward, Invariant::BallotsMoveForward, || format!("{id} goes from {before} to {after}"))
}

/// A leader only appends to its log.
///
/// # Errors
/// It cuts it.
pub fn leaders_only_append(id: NodeId, led: Option<Term>, write: &Write<Batch>) -> Verdict {
    let Some(term) = led else { return Ok(()) };
    ensure(write.cut.is_none(), Invariant::LeadersOnlyAppend, || {
        format!("{id} leads term {term} and cuts its log at {:?}", write.cut)
    })
}

/// Whatever is committed is not cut off again, unless a snapshot that covers it takes its place in the same write.
///
/// # Errors
/// It is.
pub fn committed_entries_are_not_cut(id: NodeId, commit: Index, write: &Write<Batch>) -> Verdict {
    let covered = write.base.as_ref().is_some_and(|base| base.last.index >= commit);
    let cut = write.cut.filter(|&cut| cut <= commit && !covered);
    ensure(cut.is_none(), Invariant::CommittedEntriesAreNotCut, || format!("{id} cuts {cut:?}, committed is {commit}"))
}

/// Entries follow each other without a gap.
///
/// # Errors
/// There is one, or a write does not fit for another reason.
pub fn logs_have_no_gap(id: NodeId, view: &mut View, write: Write<Batch>) -> Verdict {
    must(view.log.absorb(write), Invariant::LogsHaveNoGap, || id.to_string())
}

/// Whatever was committed in an earlier term is in the log of every leader.
///
/// # Errors
/// It is not.
pub fn leaders_hold_what_is_committed(id: NodeId, term: Term, view: &View, ledger: &Ledger) -> Verdict {
    // The last such entry is enough: logs match up to it if they match in it.
    let Some(due) = ledger.decided().iter().rev().find(|decided| decided.known_in < term) else { return Ok(()) };
    let held = view.held_at(due.id.index);
    ensure(held == Some(due.id.term) || view.covers(due.id.index), Invariant::LeadersHoldWhatIsCommitted, || {
        format!("{id} leads term {term} without the committed entry {}; it has {held:?} there", due.id)
    })
}

/// What is committed at a place never changes, whoever knows of it.
///
/// # Errors
/// It does.
pub fn committed_entries_never_change(id: NodeId, entry: &Entry<Batch>, index: Index, ledger: &Ledger) -> Verdict {
    let Some(decided) = ledger.at(index) else { return Ok(()) };
    let same = decided.id.term == entry.term && decided.digest == digest(&entry.body);
    ensure(same, Invariant::CommittedEntriesNeverChange, || {
        format!("{id} takes {} for committed, but {} was", LogId::new(entry.term, index), decided.id)
    })
}

/// Committed, applied and the log's end stand in order and never go back while a process runs.
///
/// # Errors
/// They do not.
pub fn progress_is_ordered(id: NodeId, view: &View, marks: &raft::Marks) -> Verdict {
    let ordered = marks.base.index <= marks.applied
        && marks.applied <= marks.commit
        && marks.commit <= marks.last.index
        && view.commit <= marks.commit
        && view.applied <= marks.applied;
    ensure(ordered, Invariant::ProgressIsOrdered, || {
        let (base, applied, commit, last) = (marks.base, marks.applied, marks.commit, marks.last);
        format!("{id}: base {base}, applied {applied}, commit {commit}, last {last}; before: commit {}", view.commit)
    })
}
