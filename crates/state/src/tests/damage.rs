//! A single wrong bit does not go unseen.

use crate::{Damage, LeaseId, State};

use super::script::{KEPT, SPECS};

fn state() -> State {
    let mut state = State::new(&SPECS);
    let mut transaction = state.begin(1);
    transaction.put(KEPT, b"key", b"value", LeaseId::NONE);
    transaction.put(KEPT, b"empty", b"", LeaseId::NONE);
    transaction.finish();
    state
}

#[test]
fn divergence_shows_in_the_running_hash() {
    let healthy = state();
    let mut sick = healthy.clone();
    assert!(sick.damage(KEPT, b"key", 11, Damage::Divergence));
    assert_ne!(sick.hash(), healthy.hash());
    assert_eq!(sick.hash(), sick.recompute_hash());
    assert_eq!(sick.revision(), healthy.revision());
    assert!(sick.damage(KEPT, b"key", 11, Damage::Divergence));
    assert_eq!(sick.hash(), healthy.hash());
}

#[test]
fn decay_shows_when_everything_is_read_or_the_row_is_written() {
    let healthy = state();
    let mut sick = healthy.clone();
    assert!(sick.damage(KEPT, b"key", 0, Damage::Decay));
    assert_eq!(sick.hash(), healthy.hash());
    assert_ne!(sick.hash(), sick.recompute_hash());
    let (mut written, mut expected) = (sick, healthy);
    for state in [&mut written, &mut expected] {
        let mut transaction = state.begin(2);
        transaction.delete(KEPT, b"key");
        transaction.finish();
    }
    assert_ne!(written.hash(), expected.hash());
}

#[test]
fn a_snapshot_of_a_decayed_state_is_refused() {
    let mut sick = state();
    assert!(sick.damage(KEPT, b"key", 39, Damage::Decay));
    let restored = State::restore(&SPECS, sick.snapshot());
    assert!(matches!(restored.err(), Some(crate::snapshot::Corrupt::Hash { .. })));
}

#[test]
fn there_is_no_bit_where_there_is_no_value() {
    let mut state = state();
    for (key, bit) in [(b"key".as_slice(), 40), (b"empty", 0), (b"absent", 0)] {
        assert!(!state.damage(KEPT, key, bit, Damage::Divergence));
    }
    assert_eq!(state.hash(), state.recompute_hash());
}
