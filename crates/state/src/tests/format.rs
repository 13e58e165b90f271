//! Encodings as they are on disks and on the wire, byte by byte. If one of these fails, members of two versions would
//! not understand each other or would think that their states differ: a new format version is due, not a new
//! expectation.

use bytes::Bytes;

use crate::{LeaseId, State};

use super::script::{EVENTS, KEPT, SPECS};

/// A little of everything, and the deltas that made it.
fn sample() -> (State, Vec<Bytes>) {
    let mut state = State::new(&SPECS);
    let mut deltas = Vec::new();
    let mut transaction = state.begin(1_000);
    transaction.grant(LeaseId(-2), 30_000, 2);
    transaction.put(KEPT, b"a", b"first", LeaseId::NONE);
    transaction.put(EVENTS, b"/a", b"", LeaseId(-2));
    deltas.extend(transaction.finish());
    let mut transaction = state.begin(2_000);
    transaction.put(KEPT, b"a", b"second", LeaseId(-2));
    transaction.delete(EVENTS, b"/a");
    transaction.checkpoint(LeaseId(-2), 300);
    deltas.extend(transaction.finish());
    let mut transaction = state.begin(3_000);
    transaction.compact(2).expect("in range");
    deltas.extend(transaction.finish());
    (state, deltas)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn deltas_are_encoded_so() {
    let (_, deltas) = sample();
    let encoded: Vec<String> = deltas.iter().map(|delta| hex(delta)).collect();
    assert_eq!(
        encoded,
        [
            concat!(
                "01010300000001e807",
                "04feffffffffffffff02b0ea01",
                "01100161056669727374",
                "0220feffffffffffffff022f6100",
            ),
            concat!(
                "01010300000002d00f",
                "0210feffffffffffffff0161067365636f6e64",
                "0320022f61",
                "05feffffffffffffffac02",
            ),
            concat!("01000100000003b817", "0702"),
        ]
    );
}

#[test]
fn the_hash_is_this_number() {
    let (state, _) = sample();
    assert_eq!(format!("{:032x}", State::new(&SPECS).hash()), "0e795b1e5d17675434492d631d5d079c");
    assert_eq!(format!("{:032x}", state.hash()), "da8f65632f439290aef2b6b6e03ebc64");
}

#[test]
fn a_snapshot_is_encoded_so() {
    let (state, _) = sample();
    let blocks: Vec<String> = state.snapshot().map(|block| hex(&block)).collect();
    assert_eq!(
        blocks,
        [
            "010000000015000000636f6e636c61766501000302b8170210000120010085783a2c39e4a537",
            "02010000001800000010000161131181020101feffffffffffffff7365636f6e6414657ab2a9961551",
            "03020000000e000000feffffffffffffff02b0ea01ac02db7adabae81fba09",
            concat!(
                "040300000035000000",
                "0002e807020101100161080100026669727374010120022f610b018002feffffffffffffff",
                "0003d00f02010a100161010020022f61",
                "8c5f1739b167ad07",
            ),
            "05040000001200000064bc3ee0b6b6f2ae9092432f63658fda0104a6d6d6905d1df24b",
        ]
    );
}
