//! A member whose rows differ from the leader's notices, stops serving, gets others, and serves again.

use std::time::Duration;

use state::Damage;

use super::{Ask, DiaryKind, Ensemble, Failure, Limits, NodeId, TABLE};
use crate::Reason;

/// Turns one bit of one row of this member's.
fn damage(ensemble: &mut Ensemble, id: NodeId, key: &[u8]) {
    let member = &mut ensemble.seats.get_mut(&id).expect("it is a member").member;
    assert!(member.committed.damage(TABLE, key, 3, Damage::Divergence), "there is such a bit");
}

fn hash(ensemble: &Ensemble, id: NodeId) -> u128 {
    ensemble.seat(id).member.committed.hash()
}

/// Brings a follower out of step, and lets it heal while clients go on. `before` is what happens first.
fn check(limits: Limits, before: impl FnOnce(&mut Ensemble)) {
    let mut ensemble = Ensemble::new(3, limits);
    let (leader, victim) = (ensemble.leader(), ensemble.follower());
    for number in 0..20u64 {
        ensemble.done(leader, &Ask::Put(&number.to_le_bytes(), 200));
    }
    before(&mut ensemble);
    damage(&mut ensemble, victim, &7u64.to_le_bytes());
    let wrong = hash(&ensemble, victim);

    // The next entry shows it, within a heartbeat; from then on nothing is served here.
    ensemble.done(leader, &Ask::Put(b"next", 10));
    let mut waited = Duration::ZERO;
    while ensemble.told(victim, DiaryKind::Divergence).is_empty() {
        ensemble.pass(Duration::from_millis(10));
        waited += Duration::from_millis(10);
        assert!(waited < Duration::from_secs(1), "a difference is noticed within a second");
    }
    ensemble.done(leader, &Ask::Put(b"meanwhile", 10));
    ensemble.pass(Duration::from_secs(12));

    assert_eq!(ensemble.told(victim, DiaryKind::Divergence).len(), 1);
    assert_eq!(ensemble.told(victim, DiaryKind::Repaired).len(), 1, "{:?}", ensemble.seat(victim).diary);
    assert_eq!(hash(&ensemble, victim), hash(&ensemble, leader));
    assert_ne!(hash(&ensemble, victim), wrong);
    assert_eq!(ensemble.seat(victim).member.committed.recompute_hash(), hash(&ensemble, victim));
    let published = ensemble.seat(victim).published.as_ref().expect("it serves again");
    assert_eq!(published.state.hash(), hash(&ensemble, leader));
    let status = ensemble.seat(victim).status.as_ref().expect("it was told");
    assert!(!status.diverged && status.can_read && status.counters.healed == 1);
    // What it has on disk now is right too.
    let (_, kept) = ensemble.seat(victim).snapshot.as_ref().expect("a snapshot was written at once");
    assert_eq!(kept.recompute_hash(), kept.hash());
    assert!(kept.get(TABLE, &7u64.to_le_bytes()).is_some());
    ensemble.pass(Duration::from_secs(1));
    ensemble.done(leader, &Ask::Put(b"after", 10));
    assert_eq!(hash(&ensemble, victim), hash(&ensemble, leader));
}

#[test]
fn a_member_heals_when_nobody_has_a_snapshot_yet() {
    check(Limits::default(), |_| ());
}

#[test]
fn a_member_heals_when_logs_begin_late() {
    // A snapshot every few entries, so that the damaged state was written down, and the log begins behind older ones.
    check(Limits { snapshot_log_bytes: 600, ..Limits::default() }, |ensemble| {
        let leader = ensemble.leader();
        for number in 0..50u64 {
            ensemble.done(leader, &Ask::Put(&number.to_le_bytes(), 200));
        }
    });
}

#[test]
fn a_member_that_heals_serves_nobody_and_does_not_campaign() {
    let mut ensemble = Ensemble::new(3, Limits::default());
    let (leader, victim) = (ensemble.leader(), ensemble.follower());
    ensemble.done(leader, &Ask::Put(b"key", 10));
    damage(&mut ensemble, victim, b"key");
    // Cut off from the leader at the moment when it learns of it, so that it cannot heal.
    let (index, hash) = (ensemble.seat(leader).member.applied.0, hash(&ensemble, leader));
    ensemble.done(leader, &Ask::Put(b"key", 10));
    let divergence = super::super::digests::Divergence { index, own: !hash, leaders: hash };
    let now = ensemble.now;
    let member = &mut ensemble.seats.get_mut(&victim).expect("it is a member").member;
    member.diverged(now, divergence);
    member.connected.clear();
    let published = ensemble.seat(victim).published.as_ref().map(|published| published.index);
    for _ in 0..20 {
        let answer = ensemble.ask(victim, &Ask::Put(b"other", 1));
        assert_eq!(answer, Some(Err(Failure::NotApplied(Reason::Diverged))));
        ensemble.done(leader, &Ask::Put(b"key", 10));
        ensemble.pass(Duration::from_millis(100));
        assert_eq!(ensemble.leader(), leader);
    }
    let seat = ensemble.seat(victim);
    assert_eq!(seat.published.as_ref().map(|published| published.index), published, "nothing wrong is published");
    let status = seat.status.as_ref().expect("it was told");
    assert!(status.diverged && !status.can_read && !status.can_commit);
    assert!(ensemble.told(victim, DiaryKind::Campaign).is_empty());
}
