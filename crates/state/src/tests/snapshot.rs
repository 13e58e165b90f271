//! Snapshots: what is restored is what was written, and anything else is refused.

use proptest::prelude::*;
use proptest::sample::Index;

use bytes::Bytes;

use crate::snapshot::{Corrupt, HEADER_BYTES, MAX_BLOCK_BYTES, Restore, block_bytes};
use crate::{History, LeaseId, State, TableId, TableSpec};

use super::model::{Model, assert_same};
use super::script::{EVENTS, KEPT, SPECS, bounds, run, transactions};

proptest! {
    #![proptest_config(super::cases(300))]

    /// The restored state shows the same and holds the same inside, writes the same stream, and goes on as the
    /// original does.
    #[test]
    fn a_restored_state_is_the_state(
        before in transactions(20),
        behind in transactions(6),
        bounds in bounds(),
        budget in 0..30_usize,
    ) {
        let (mut state, mut model) = (State::new(&SPECS), Model::new());
        for (time, operations) in before.iter().enumerate() {
            run(&mut state, &mut model, operations, 1_000 + time as u64);
        }
        state.reclaim(budget);
        let blocks: Vec<Bytes> = state.snapshot().collect();
        let mut restored = State::restore(&SPECS, &blocks).expect("undamaged");
        model.assert_shown_by(&restored, &bounds);
        assert_same(&state, &restored);
        prop_assert_eq!(restored.snapshot().collect::<Vec<_>>(), blocks);

        for (time, operations) in behind.iter().enumerate() {
            if let Some(delta) = run(&mut state, &mut model, operations, 2_000 + time as u64) {
                prop_assert_eq!(restored.apply(&delta), Ok(()));
            }
            restored.reclaim(budget);
        }
        model.assert_shown_by(&restored, &bounds);
        assert_same(&state, &restored);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(
        before in transactions(10),
        block in any::<Index>(),
        at in any::<Index>(),
        bit in 0..8_u8,
    ) {
        let (mut state, mut model) = (State::new(&SPECS), Model::new());
        for operations in &before {
            run(&mut state, &mut model, operations, 5);
        }
        let mut blocks: Vec<Vec<u8>> = state.snapshot().map(|block| block.to_vec()).collect();
        let block = block.index(blocks.len());
        let whole = blocks.clone();
        let at = at.index(blocks[block].len());
        blocks[block][at] ^= 1 << bit;
        prop_assert!(State::restore(&SPECS, &blocks).is_err(), "a bit of block {block} was turned");
        blocks[block] = whole[block][..at].to_vec();
        prop_assert!(State::restore(&SPECS, &blocks).is_err(), "block {block} was cut");
        blocks.remove(block);
        prop_assert!(State::restore(&SPECS, &blocks).is_err(), "block {block} is missing");
        let mut twice = whole.clone();
        twice.insert(block, whole[block].clone());
        prop_assert!(State::restore(&SPECS, &twice).is_err(), "block {block} came twice");
        for missing in 0..whole.len() {
            let cut = State::restore(&SPECS, &whole[..missing]);
            prop_assert_eq!(cut.err(), Some(Corrupt::Incomplete(u32::try_from(missing).expect("few"))));
        }
    }

    /// Blocks whose checksums are right but whose content is made up: an error or a state, never a panic.
    #[test]
    fn made_up_content_does_no_harm(
        before in transactions(10),
        block in any::<Index>(),
        bends in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let (mut state, mut model) = (State::new(&SPECS), Model::new());
        for operations in &before {
            run(&mut state, &mut model, operations, 5);
        }
        let mut blocks: Vec<Vec<u8>> = state.snapshot().map(|block| block.to_vec()).collect();
        let bent = block.index(blocks.len());
        let payload = HEADER_BYTES..blocks[bent].len() - 8;
        for (at, byte) in bends {
            blocks[bent][payload.start + at.index(payload.len())] = byte;
        }
        reseal(&mut blocks);
        if let Ok(mut restored) = State::restore(&SPECS, &blocks) {
            restored.reclaim(usize::MAX);
            restored.check();
        }
    }
}

/// Gives every block the checksum that its content asks for.
fn reseal(blocks: &mut [Vec<u8>]) {
    let mut previous = 0;
    for block in blocks {
        let end = block.len() - 8;
        previous = xxhash_rust::xxh3::xxh3_64_with_seed(&block[..end], previous);
        block[end..].copy_from_slice(&u64::to_le_bytes(previous));
    }
}

/// A state of many blocks: rows and changes far beyond one block, and single rows longer than one.
fn large() -> State {
    let mut state = State::new(&SPECS);
    for round in 0..3_u32 {
        let mut transaction = state.begin(u64::from(round));
        for number in 0..3_000_u32 {
            let key = format!("/registry/pods/namespace-{}/pod-{number}", number % 7);
            transaction.put(KEPT, key.as_bytes(), &[b'v'; 40], LeaseId::NONE);
        }
        transaction.put(EVENTS, &round.to_be_bytes(), &vec![7; 200_000], LeaseId::NONE);
        transaction.grant(LeaseId(i64::from(round) + 1), 1_000, 1);
        transaction.finish();
    }
    state
}

#[test]
fn a_large_state_comes_in_bounded_blocks_that_tell_their_length() {
    let state = large();
    let blocks: Vec<Bytes> = state.snapshot().collect();
    assert!(blocks.len() > 10);
    let mut restore = Restore::new(&SPECS);
    for block in &blocks {
        assert!(block.len() < 300_000);
        let header = block.first_chunk().expect("longer than a header");
        assert_eq!(block_bytes(header), Ok(block.len()));
        restore.push(block).expect("undamaged");
    }
    assert_same(&restore.finish().expect("complete"), &state);
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_asked_for() {
    let mut state = large();
    let expected: Vec<Bytes> = state.snapshot().collect();
    let mut blocks = state.snapshot();
    let first = blocks.next().expect("at least one block");
    let mut transaction = state.begin(9);
    transaction.put(KEPT, b"late", b"", LeaseId::NONE);
    transaction.compact(3).expect("in range");
    transaction.finish();
    state.reclaim(usize::MAX);
    let drawn: Vec<Bytes> = std::iter::once(first).chain(blocks).collect();
    assert_eq!(drawn, expected);
}

#[test]
fn refusals_name_their_reason() {
    let state = large();
    let blocks: Vec<Bytes> = state.snapshot().collect();
    let restore = |specs: &[TableSpec]| State::restore(specs, &blocks).err();
    let other_history = [SPECS[0], TableSpec { history: History::EventsOnly, ..SPECS[1] }];
    assert_eq!(restore(&SPECS[1..]), Some(Corrupt::Table(EVENTS)));
    assert_eq!(restore(&other_history), Some(Corrupt::Table(KEPT)));
    let more = [SPECS[0], SPECS[1], TableSpec { id: TableId(0x40), name: "new", history: History::Kept }];
    assert_eq!(restore(&more), None, "a table that is new to the snapshot starts empty");

    for garbage in [b"garbage that is long enough".as_slice(), b"short", b""] {
        assert_eq!(State::restore(&SPECS, [garbage]).err(), Some(Corrupt::Magic));
    }
    assert_eq!(State::restore(&SPECS, [&blocks[0][..20]]).err(), Some(Corrupt::Length(0)));
    assert_eq!(State::restore(&SPECS, [&blocks[0][..], &[2; 5]]).err(), Some(Corrupt::Length(1)));
    assert_eq!(block_bytes(&[0xff; HEADER_BYTES]), Err(Corrupt::Oversized(u32::MAX as usize + 17)));
    assert!(MAX_BLOCK_BYTES < u32::MAX as usize);

    let mut other: Vec<Vec<u8>> = blocks.iter().map(|block| block.to_vec()).collect();
    other[0][HEADER_BYTES + 8] = 9;
    reseal(&mut other);
    assert_eq!(State::restore(&SPECS, &other).err(), Some(Corrupt::Version(9)));
    let mut other: Vec<Vec<u8>> = blocks.iter().map(|block| block.to_vec()).collect();
    let last_byte_of_a_value = other[1].len() - 9;
    other[1][last_byte_of_a_value] ^= 1;
    reseal(&mut other);
    assert!(matches!(State::restore(&SPECS, &other).err(), Some(Corrupt::Hash { .. })));
}
