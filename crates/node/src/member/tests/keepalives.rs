//! Keeping leases alive costs no entry of the log, and time in proportion to the leases that were heard.

use std::time::Duration;

use state::LeaseId;

use super::{Ask, Ensemble, Event, Limits};

#[test]
fn keepalives_cost_no_entry_and_keep_leases_for_ever() {
    const LEASES: i64 = 2_000;
    let mut ensemble = Ensemble::new(3, Limits::default());
    let (leader, through) = (ensemble.leader(), ensemble.follower());
    for lease in 1..=LEASES {
        ensemble.done(through, &Ask::Grant(lease, 2_000));
    }
    let leases: Vec<LeaseId> = (1..=LEASES).map(LeaseId).collect();
    let (kept, left) = leases.split_at(leases.len() / 2);
    ensemble.step(through, Event::Touched { leases: leases.clone() });
    let logged = ensemble.seat(leader).logged;
    ensemble.pass(Duration::from_millis(1_500));
    ensemble.step(through, Event::Touched { leases: kept.to_vec() });
    assert_eq!(ensemble.seat(leader).logged, logged, "nothing was logged");
    for _ in 0..10 {
        ensemble.pass(Duration::from_secs(1));
        ensemble.step(through, Event::Touched { leases: kept.to_vec() });
    }
    let state = &ensemble.seat(leader).member.committed;
    assert_eq!(state.lease_count(), kept.len());
    assert!(left.iter().all(|&lease| state.lease(lease).is_none()));
}
