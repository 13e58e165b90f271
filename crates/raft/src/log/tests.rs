//! What a log makes of the disk, against the fold that the disk uses.

use proptest::prelude::*;

use super::Log;
use crate::disk::Recovered;
use crate::membership::Membership;
use crate::types::{Body, Entry, Index, LogId, NodeId, SnapshotMeta, Term, Ticket};

/// One thing that can happen to a log.
#[derive(Clone, Debug)]
enum Change {
    /// Add an entry of the newest term, or of one above it.
    Append { newer: bool, membership: bool },
    /// Replace everything from this far before the end by one entry of a newer term.
    Conflict { back: u64 },
    /// Forget this share (of 8) of the log.
    Compact { eighths: u64 },
    /// Continue behind a snapshot in the middle of this log, or so far behind its base in another history.
    Rebase { ahead: u64, known: bool },
    /// Hand out a write.
    Drain,
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(newer, membership)| Change::Append { newer, membership }),
        2 => (0u64..4).prop_map(|back| Change::Conflict { back }),
        1 => (0u64..=8).prop_map(|eighths| Change::Compact { eighths }),
        1 => (0u64..12, any::<bool>()).prop_map(|(ahead, known)| Change::Rebase { ahead, known }),
        3 => Just(Change::Drain),
    ]
}

fn body(membership: bool, seed: u64) -> Body<u8> {
    if membership {
        Body::Membership(Box::new(Membership::of_voters([NodeId(seed % 5 + 1)])))
    } else {
        Body::Command(u8::try_from(seed % 251).expect("below 251"))
    }
}

fn change(log: &mut Log<u8>, change: &Change, seed: u64) {
    let (base, last) = (log.base(), log.last());
    let newer = Term(last.term.0 + 1);
    match *change {
        Change::Append { newer: is_newer, membership } => {
            let term = if is_newer { newer } else { last.term.max(Term(1)) };
            log.append(Entry { term, body: body(membership, seed) });
        }
        Change::Conflict { back } => {
            let previous = Index(last.index.0.saturating_sub(back).max(base.index.0));
            let previous = log.id_at(previous).expect("within the log");
            log.splice(previous, vec![Entry { term: newer, body: body(seed.is_multiple_of(3), seed) }]);
        }
        Change::Compact { eighths } => {
            log.compact(Index(base.index.0 + last.index.ahead_of(base.index) * eighths / 8));
        }
        Change::Rebase { ahead, known } => {
            let middle = Index(base.index.0.midpoint(last.index.0));
            let id = log.id_at(middle).expect("within the log");
            let id = if known && id.index.0 > 0 { id } else { LogId::new(newer, Index(base.index.0 + 1 + ahead)) };
            log.rebase(SnapshotMeta { last: id, membership: Membership::of_voters([NodeId(9)]) });
        }
        Change::Drain => {}
    }
}

proptest! {
    #[test]
    fn the_writes_make_the_disk_equal_to_the_log(steps in prop::collection::vec(changes(), 1..60)) {
        let mut disk = Recovered::empty(Membership::of_voters([NodeId(1)]));
        let mut log: Log<u8> = Log::restore(disk.base.clone(), Vec::new());
        for (seed, step) in (0..).zip(&steps) {
            change(&mut log, step, seed);
            log.check();
            if matches!(step, Change::Drain) && let Some(write) = log.owed_to_disk() {
                prop_assert_eq!(write.ticket, Ticket::NONE);
                disk.absorb(write).expect("writes follow each other");
                prop_assert_eq!(disk.last(), log.last());
                prop_assert_eq!(disk.membership(), log.membership());
                let again = Log::restore(disk.base.clone(), disk.entries.clone());
                prop_assert_eq!(&again, &log);
            }
        }
    }
}

#[test]
fn a_slice_is_never_empty_if_there_is_something_to_send() {
    let mut log: Log<u8> =
        Log::restore(SnapshotMeta { last: LogId::default(), membership: Membership::default() }, vec![]);
    log.append(Entry { term: Term(1), body: Body::Noop });
    log.append(Entry { term: Term(1), body: Body::Noop });
    assert_eq!(log.slice(Index(1), 0).0.len(), 1);
    assert_eq!(log.slice(Index(1), usize::MAX).0.len(), 2);
    assert_eq!(log.slice(Index(3), usize::MAX).0.len(), 0);
}

#[test]
fn the_place_where_logs_may_agree_is_found_by_term() {
    let mut log: Log<u8> =
        Log::restore(SnapshotMeta { last: LogId::default(), membership: Membership::default() }, vec![]);
    for term in [1, 1, 2, 2, 5, 5] {
        log.append(Entry { term: Term(term), body: Body::Noop });
    }
    assert_eq!(log.last_of_term(Index(6), Term(4)), LogId::new(Term(2), Index(4)));
    assert_eq!(log.last_of_term(Index(3), Term(9)), LogId::new(Term(2), Index(3)));
    assert_eq!(log.last_of_term(Index(6), Term(0)), LogId::default());
    assert_eq!(log.last_of_term(Index(99), Term(5)), LogId::new(Term(5), Index(6)));
}
