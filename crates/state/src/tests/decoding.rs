//! Deltas as anybody might send them: garbage, cut short, bent. All or nothing, and never a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{Delta, Edit, LeaseId, Malformed, State, TableId};

use super::model::{Model, assert_same};
use super::script::{KEPT, SPECS, run, transactions};

/// A state with something in it, and a delta that fits it.
fn prepared(history: &[Vec<super::script::Operation>]) -> (State, Vec<u8>) {
    let (mut state, mut model) = (State::new(&SPECS), Model::new());
    for operations in history {
        run(&mut state, &mut model, operations, 5);
    }
    let before = state.clone();
    let mut transaction = state.begin(6);
    transaction.grant(LeaseId(9), 1_000, 2);
    transaction.put(KEPT, b"attached", b"to nine", LeaseId(9));
    transaction.put(KEPT, b"free", &[1; 300], LeaseId::NONE);
    transaction.delete(KEPT, b"free");
    transaction.checkpoint(LeaseId(9), 10);
    transaction.revoke(LeaseId(9));
    transaction.compact(before.revision() + 1).expect("the newest revision");
    let delta = transaction.finish().expect("it wrote").to_vec();
    (before, delta)
}

/// Applies it to a copy: an error leaves the copy as it was, success keeps the state's invariants.
fn check(state: &State, delta: &[u8]) -> Result<(), Malformed> {
    let mut copy = state.clone();
    let result = copy.apply(delta);
    if result.is_err() {
        assert_same(&copy, state);
    }
    copy.check();
    copy.reclaim(usize::MAX);
    copy.check();
    result
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn garbage_is_refused_or_harmless(bytes in vec(any::<u8>(), 0..200), history in transactions(6)) {
        let (state, _) = prepared(&history);
        let _ = check(&state, &bytes);
        let mut with_head = vec![1, 1, 3, 0, 0, 0, u8::try_from(state.revision()).expect("small"), 5];
        with_head.extend_from_slice(&bytes);
        let _ = check(&state, &with_head);
    }

    /// Edits that a leader would never write (unknown leases, absent rows) are still edits.
    #[test]
    fn any_well_formed_edits_keep_the_invariants(
        edits in vec((1..8_u8, vec(0..3_u8, 0..3), 0..4_u8), 0..12),
        history in transactions(6),
    ) {
        let (state, _) = prepared(&history);
        let mut bytes = vec![1, 1, u8::try_from(edits.len()).expect("few"), 0, 0, 0];
        bytes.extend_from_slice(&[u8::try_from(state.revision()).expect("small"), 5]);
        for (kind, key, number) in &edits {
            let lease = (i64::from(*number) + 1).to_le_bytes();
            let key: Vec<u8> = [&[u8::try_from(key.len()).expect("short")], key.as_slice()].concat();
            bytes.push(*kind);
            match kind {
                1 => bytes.extend([&[KEPT.0], key.as_slice(), &[1, 7]].concat()),
                2 => bytes.extend([&[KEPT.0], lease.as_slice(), key.as_slice(), &[0]].concat()),
                3 => bytes.extend([&[KEPT.0], key.as_slice()].concat()),
                4 => bytes.extend([lease.as_slice(), &[1, 100]].concat()),
                5 => bytes.extend([lease.as_slice(), &[50]].concat()),
                6 => bytes.extend(lease),
                _ => bytes.push(*number),
            }
        }
        match check(&state, &bytes) {
            Ok(()) | Err(Malformed::Compaction { .. }) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_cut_delta_is_refused(history in transactions(6), at in any::<Index>()) {
        let (state, delta) = prepared(&history);
        prop_assert_eq!(check(&state, &delta), Ok(()));
        prop_assert!(check(&state, &delta[..at.index(delta.len())]).is_err());
        let longer = [delta.as_slice(), &[0]].concat();
        prop_assert_eq!(check(&state, &longer), Err(Malformed::Trailing(1)));
    }

    #[test]
    fn a_bent_delta_is_refused_or_harmless(
        history in transactions(6),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let (state, mut delta) = prepared(&history);
        let at = at.index(delta.len());
        delta[at] = byte;
        let _ = check(&state, &delta);
    }
}

/// A delta of one edit for an empty state.
fn delta_of(flags: u8, edit: &[u8]) -> Vec<u8> {
    [&[1, flags, 1, 0, 0, 0, 1, 0], edit].concat()
}

#[test]
fn every_refusal_names_its_reason() {
    let state = State::new(&SPECS);
    let refusals: [(Vec<u8>, Malformed); 12] = [
        (vec![], Malformed::Truncated),
        (vec![2, 0, 0, 0, 0, 0, 1, 0], Malformed::Version(2)),
        (vec![1, 4, 0, 0, 0, 0, 1, 0], Malformed::Flags(4)),
        (vec![1, 0, 0, 0, 0, 0, 9, 0], Malformed::OtherRevision { prepared_on: 9, revision: 1 }),
        (vec![1, 0, 0, 0, 0, 0, 0x81, 0, 0], Malformed::Integer),
        (delta_of(1, &[99]), Malformed::UnknownEdit(99)),
        (delta_of(1, &[3, 0x11, 0]), Malformed::UnknownTable(TableId(0x11))),
        (delta_of(0, &[3, KEPT.0, 0]), Malformed::Unclaimed),
        (delta_of(0, &[6, 0, 0, 0, 0, 0, 0, 0, 0]), Malformed::NoLease),
        (delta_of(1, &[3, KEPT.0, 0xff, 0xff, 0xff, 0xff, 0x0f]), Malformed::Truncated),
        (delta_of(0, &[7, 2]), Malformed::Compaction { requested: 2, compacted: 0, revision: 1 }),
        (delta_of(0, &[7, 0]), Malformed::Compaction { requested: 0, compacted: 0, revision: 1 }),
    ];
    for (delta, refusal) in refusals {
        assert_eq!(check(&state, &delta), Err(refusal), "{delta:?}");
    }
}

#[test]
fn a_delta_tells_what_it_does() {
    let mut state = State::new(&SPECS);
    let mut transaction = state.begin(1_234);
    transaction.grant(LeaseId(-5), 60_000, 2);
    transaction.put(KEPT, b"k", b"v", LeaseId(-5));
    transaction.delete(KEPT, b"k");
    let bytes = transaction.finish().expect("it wrote");
    let delta = Delta::decode(&bytes).expect("well formed");
    assert_eq!((delta.claims_revision(), delta.prepared_on(), delta.time_milliseconds()), (true, 1, 1_234));
    let edits: Vec<Edit<'_>> = delta.edits().map(|edit| edit.expect("well formed")).collect();
    assert_eq!(
        edits,
        [
            Edit::Grant { lease: LeaseId(-5), ttl_milliseconds: 60_000, owner: 2 },
            Edit::Put { table: KEPT, key: b"k", value: b"v", lease: LeaseId(-5) },
            Edit::Delete { table: KEPT, key: b"k" },
        ]
    );
}
