//! History is kept within its bounds by itself: bytes, revisions and age.

use std::time::Duration;

use super::{Ask, Ensemble, Limits, NodeId, TABLE};

fn fill(ensemble: &mut Ensemble, own: NodeId, count: u64) {
    for number in 0..count {
        ensemble.done(own, &Ask::Put(&number.to_le_bytes(), 100));
    }
}

#[test]
fn what_is_too_old_is_compacted_and_nothing_younger() {
    let age = Duration::from_secs(60);
    let mut ensemble = Ensemble::new(1, Limits { history_age: age, ..Limits::default() });
    let own = ensemble.leader();
    fill(&mut ensemble, own, 50);
    let old = ensemble.seat(own).member.committed.revision();
    ensemble.pass(Duration::from_secs(40));
    fill(&mut ensemble, own, 50);
    assert_eq!(ensemble.seat(own).member.committed.compacted(), 0);
    ensemble.pass(Duration::from_secs(30));
    let state = &ensemble.seat(own).member.committed;
    assert_eq!(state.compacted(), old, "what came first is older than the bound, the rest is not");
    assert!(state.get_at(TABLE, &0u64.to_le_bytes(), old).is_ok() && state.changes(old - 1).is_err());
    let logged = ensemble.seat(own).logged;
    ensemble.pass(Duration::from_secs(120));
    let state = &ensemble.seat(own).member.committed;
    assert_eq!(state.compacted(), state.revision());
    assert_eq!(state.history_bytes(), 0);
    assert!(ensemble.seat(own).logged - logged <= 2, "compacting is one entry, not one for each revision");
}

#[test]
fn a_steady_trickle_is_compacted_in_few_entries() {
    let mut ensemble = Ensemble::new(1, Limits { history_age: Duration::from_secs(16), ..Limits::default() });
    let own = ensemble.leader();
    let logged = ensemble.seat(own).logged;
    let puts = 600;
    for number in 0..puts {
        ensemble.done(own, &Ask::Put(b"a", number));
        ensemble.pass(Duration::from_millis(100));
        let oldest = ensemble.seat(own).member.committed.history_revisions();
        assert!(oldest <= 190, "about 18 seconds of history are kept, not {oldest} revisions");
    }
    assert!(ensemble.seat(own).logged - logged - puts <= 30, "compaction costs an entry now and then");
}

#[test]
fn history_stays_within_its_bytes_without_a_pause() {
    let mut ensemble = Ensemble::new(1, Limits { history_bytes: 20_000, ..Limits::default() });
    let own = ensemble.leader();
    for round in 0..1_000u64 {
        ensemble.done(own, &Ask::Put(&(round % 10).to_le_bytes(), 100));
        let state = &ensemble.seat(own).member.committed;
        assert!(state.history_bytes() <= 21_000, "{} bytes of history", state.history_bytes());
    }
    assert!(ensemble.seat(own).member.committed.compacted() > 0);
}
