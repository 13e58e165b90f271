//! Bytes from anywhere: frames of a committed corpus, changed at random, go through every reader. None may panic, and
//! none may take more memory than its input and the limit allow. The seed is fixed; `CONCLAVE_FUZZ_ROUNDS` and
//! `CONCLAVE_FUZZ_SEED` make it a longer or another run.

use std::fs;
use std::path::Path;

use super::tests::read_all;
use super::{Frames, OpCode, Reader, RequestHeader};
use crate::prepare::Request;

const LIMIT: usize = 4096;

/// Frames of this run.
const ROUNDS: usize = 20_000;

/// Memory that a record may take for each of its bytes. A list of empty strings is the worst: four bytes on the wire,
/// six times as much in memory; texts that are no UTF-8 triple; and both may come together, read by several readers.
const BYTES_PER_BYTE: u64 = 64;

/// What the reading itself takes, however small the input is.
const BYTES_ALWAYS: u64 = 3 * 64 * 1024;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).expect("it is below a usize")
    }
}

/// Numbers at the edges of what lengths can be.
const EDGES: [i32; 9] = [0, 1, -1, -2, i32::MAX, i32::MIN, 0xffff, 0x10000, 0x0fff_ffff];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
            3 => {
                let edge = EDGES[random.below(EDGES.len())].to_be_bytes();
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, edge);
            }
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                bytes.splice(at..at, other[from..].iter().copied());
            }
            5 => {
                let filler = vec![u8::try_from(random.below(256)).expect("a byte"); random.below(2 * LIMIT)];
                bytes.splice(at..at, filler);
            }
            _ => bytes.extend_from_within(at..),
        }
        bytes.truncate(4 * LIMIT);
    }
    bytes
}

/// As a connection would: cuts frames, and reads each by every reader there is.
fn read_stream(bytes: &[u8]) {
    let mut frames = Frames::new(LIMIT);
    for piece in bytes.chunks(1000) {
        frames.make_room();
        frames.buffer.extend_from_slice(piece);
        while let Ok(Some(frame)) = frames.next() {
            assert!(frame.len() <= LIMIT, "a frame beyond the limit came through");
            read_frame(&frame);
        }
    }
}

fn read_frame(frame: &[u8]) {
    read_all(frame);
    let _ = Request::decode(frame);
    let mut reader = Reader::new(frame);
    if let Ok(header) = RequestHeader::read(&mut reader) {
        let _ = OpCode::from_number(header.opcode);
        read_all(reader.rest());
    }
}

#[test]
fn whatever_comes_is_read_or_refused_within_bounds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(corpus.len() > 30, "the corpus is there");
    let seed = number("CONCLAVE_FUZZ_SEED", 1);
    let mut random = Random(seed);
    for round in 0..number("CONCLAVE_FUZZ_ROUNDS", ROUNDS as u64) {
        // The corpus as it is first, then what becomes of it.
        let whole = usize::try_from(round).ok().and_then(|round| corpus.get(round).cloned());
        let bytes = whole.unwrap_or_else(|| mutate(&mut random, &corpus));
        let taken = allocation_counter::measure(|| read_stream(&bytes));
        let allowed = BYTES_ALWAYS + BYTES_PER_BYTE * bytes.len() as u64;
        assert!(
            taken.bytes_max <= allowed,
            "seed {seed}, round {round}: {} bytes of memory for {} bytes of input: {bytes:02x?}",
            taken.bytes_max,
            bytes.len()
        );
    }
}
