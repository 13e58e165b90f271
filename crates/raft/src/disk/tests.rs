//! What the fold refuses: records that do not follow the ones before them.

use super::{Inconsistent, Recovered};
use crate::effects::Write;
use crate::membership::Membership;
use crate::types::{Ballot, Body, Entry, Index, LogId, NodeId, SnapshotMeta, Term, Ticket};

fn id(index: u64, term: u64) -> LogId {
    LogId::new(Term(term), Index(index))
}

fn ballot(term: u64, vote: Option<u64>) -> Ballot {
    Ballot { term: Term(term), vote: vote.map(NodeId) }
}

fn nothing(previous: LogId) -> Write<u8> {
    Write { ticket: Ticket(1), ballot: None, cut: None, base: None, previous, append: Vec::new() }
}

/// 1@1, 2@1, 3@2, with the ballot `term 2 vote n1`.
fn disk() -> Recovered<u8> {
    let mut disk = Recovered::empty(Membership::of_voters([NodeId(1)]));
    let append = [1, 1, 2].map(|term| Entry { term: Term(term), body: Body::Noop }).to_vec();
    let write = Write { ballot: Some(ballot(2, Some(1))), append, ..nothing(LogId::default()) };
    disk.absorb(write).expect("the first record");
    disk
}

fn refused(write: Write<u8>) -> Inconsistent {
    let mut disk = disk();
    let before = disk.clone();
    let why = disk.absorb(write).expect_err("it does not follow");
    assert_eq!(disk, before, "a refused record changes nothing");
    why
}

#[test]
fn entries_must_follow_the_end_of_the_log() {
    let append = vec![Entry { term: Term(2), body: Body::Noop }];
    let gap = Write { append, ..nothing(id(4, 2)) };
    assert_eq!(refused(gap), Inconsistent::Gap { end: id(3, 2), expected: id(4, 2) });
    let other_term = nothing(id(3, 1));
    assert_eq!(refused(other_term), Inconsistent::Gap { end: id(3, 2), expected: id(3, 1) });
}

#[test]
fn entries_must_be_such_as_a_leader_appends() {
    let earlier = Entry { term: Term(1), body: Body::Noop };
    assert_eq!(refused(Write { append: vec![earlier], ..nothing(id(3, 2)) }), Inconsistent::UnsoundEntry(Index(4)));
    let nobody = Entry { term: Term(2), body: Body::Membership(Box::default()) };
    assert_eq!(refused(Write { append: vec![nobody], ..nothing(id(3, 2)) }), Inconsistent::UnsoundEntry(Index(4)));
}

#[test]
fn the_ballot_never_goes_back_and_a_vote_never_changes() {
    let (from, back, other) = (ballot(2, Some(1)), ballot(1, None), ballot(2, Some(3)));
    for to in [back, other, ballot(2, None)] {
        let write = Write { ballot: Some(to), ..nothing(id(3, 2)) };
        assert_eq!(refused(write), Inconsistent::BallotWentBack { from, to });
    }
}

#[test]
fn a_cut_stays_above_the_base_and_the_base_does_not_go_back() {
    assert_eq!(
        refused(Write { cut: Some(Index(0)), ..nothing(LogId::default()) }),
        Inconsistent::CutBelowBase { base: LogId::default(), cut: Index(0) }
    );
    let base = |last| Some(SnapshotMeta { last, membership: Membership::default() });
    let mut disk = disk();
    disk.absorb(Write { base: base(id(2, 1)), ..nothing(id(3, 2)) }).expect("a compaction");
    assert_eq!((disk.base.last, disk.last(), disk.entries.len()), (id(2, 1), id(3, 2), 1));
    let back = disk.absorb(Write { base: base(id(1, 1)), ..nothing(id(3, 2)) });
    assert_eq!(back, Err(Inconsistent::BaseWentBack { from: id(2, 1), to: id(1, 1) }));
}

#[test]
fn a_base_that_the_log_does_not_hold_takes_all_of_it_away() {
    let base = Some(SnapshotMeta { last: id(3, 5), membership: Membership::default() });
    let mut disk = disk();
    disk.absorb(Write { base, ..nothing(id(3, 5)) }).expect("a snapshot of another history");
    assert_eq!((disk.last(), disk.entries.len()), (id(3, 5), 0));
}

#[test]
fn a_cut_takes_effect_before_the_base() {
    let base = Some(SnapshotMeta { last: id(3, 2), membership: Membership::default() });
    let mut disk = disk();
    // Entry 3 is cut, so it is not the one that the snapshot ends with, whatever its term.
    disk.absorb(Write { cut: Some(Index(3)), base, ..nothing(id(3, 2)) }).expect("a snapshot");
    assert_eq!((disk.last(), disk.entries.len()), (id(3, 2), 0));
}
