//! What the quota stands against, and what it lets through.

use super::{Answer, Ask, DiaryKind, Ensemble, Failure, Limits};
use crate::Reason;

fn limits() -> Limits {
    Limits { quota_soft_bytes: 2_000, quota_hard_bytes: 4_000, ..Limits::default() }
}

fn refusal(answer: Option<Result<Answer, Failure>>) -> (u64, u64) {
    match answer {
        Some(Err(Failure::NotApplied(Reason::OverQuota { bytes, limit }))) => (bytes, limit),
        other => panic!("the quota stands against it, but the answer is {other:?}"),
    }
}

#[test]
fn growth_is_refused_and_everything_else_goes_on_and_writes_resume_by_themselves() {
    let mut ensemble = Ensemble::new(3, limits());
    let (leader, through) = (ensemble.leader(), ensemble.follower());
    ensemble.done(through, &Ask::Put(b"a", 1_500));
    assert!(ensemble.told(leader, DiaryKind::Quota).is_empty());
    ensemble.done(through, &Ask::Put(b"b", 1_500));
    assert_eq!(ensemble.told(leader, DiaryKind::Quota).len(), 1, "the soft mark is told once");
    let (bytes, limit) = refusal(ensemble.ask(through, &Ask::Put(b"c", 1_500)));
    assert!(bytes > limit && limit == 4_000);
    // The stream goes on, with what is left of the room.
    ensemble.done(through, &Ask::Put(b"c", 900));
    refusal(ensemble.ask(through, &Ask::Put(b"d", 900)));
    refusal(ensemble.ask(leader, &Ask::Put(b"a", 2_500)));
    // What is no larger, what clients cannot do without, and what makes room.
    ensemble.done(through, &Ask::Put(b"a", 1_500));
    ensemble.done(through, &Ask::Put(b"a", 1_400));
    for name in [b"e1", b"e2", b"e3", b"e4", b"e5", b"e6", b"e7"] {
        ensemble.done(through, &Ask::Essential(name));
    }
    ensemble.done(through, &Ask::Delete(b"b"));
    ensemble.done(through, &Ask::Put(b"d", 900));
    let state = &ensemble.seat(leader).member.committed;
    assert!(state.bytes() < 4_000 && state.get(super::TABLE, b"b").is_none());
    ensemble.pass(std::time::Duration::from_secs(1));
    let status = ensemble.seat(leader).status.as_ref().expect("it was told");
    assert_eq!((status.counters.over_quota, status.quota_hard_bytes), (3, 4_000));
    let hashes: Vec<u128> = ensemble.seats.values().map(|seat| seat.member.committed.hash()).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "nothing of what was refused is anywhere");
}

#[test]
fn a_state_above_the_mark_shrinks_by_any_request_that_does_not_make_it_grow() {
    let mut ensemble = Ensemble::new(1, Limits { quota_hard_bytes: 2, quota_soft_bytes: 1, ..Limits::default() });
    let own = ensemble.leader();
    refusal(ensemble.ask(own, &Ask::Put(b"a", 10)));
    ensemble.done(own, &Ask::Essential(b"a"));
    for _ in 0..300 {
        ensemble.done(own, &Ask::Put(b"a", 8));
    }
    refusal(ensemble.ask(own, &Ask::Put(b"a", 800)));
    ensemble.done(own, &Ask::Delete(b"a"));
    ensemble.done(own, &Ask::Delete(b"a"));
    ensemble.done(own, &Ask::Grant(5, 1_000));
    assert_eq!(ensemble.seat(own).member.committed.bytes(), 0);
}
