//! What makes a record believable, one reason at a time: segments put together by hand, each with one thing wrong.

use std::io::IoSlice;

use crate::batch::{Append, Encoded, Place};
use crate::format::{
    Fault, FileKind, HEADER_BLOCK_LENGTH, HeaderError, Kind, RecordHeader, SegmentHeader, body_checksum, segment_name,
    spare_name, u32_at, unfinished_name,
};
use crate::walk::{Evidence, Stop, Walk};

const SALT: u32 = 77;

fn segment() -> SegmentHeader {
    SegmentHeader { generation: 6, size: 16_384, first: 100, oldest: 4, previous: 0xabcd, salt: SALT }
}

/// A segment with these bodies, appended in one batch.
fn filled(bodies: &[&[u8]]) -> Vec<u8> {
    let header = segment();
    let parts: Vec<[&[u8]; 1]> = bodies.iter().map(|body| [*body]).collect();
    let records: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: 1, parts }).collect();
    let place = Place { segment: &header, next: header.first, chain: header.chain() };
    let encoded = Encoded::new(Kind::Data, &records, &place);
    let slices = encoded.slices(&records);
    assert_eq!(slices.iter().map(|slice| slice.len() as u64).sum::<u64>(), encoded.size);
    let mut bytes = header.encode().to_vec();
    bytes.resize(HEADER_BLOCK_LENGTH, 0);
    bytes.extend(slices.iter().flat_map(|slice: &IoSlice<'_>| slice.iter().copied()));
    bytes.resize(16_384, 0);
    bytes
}

/// How many records are read, and how that ends.
fn walk(bytes: &[u8]) -> (usize, Stop) {
    let mut walk = Walk::new(bytes, segment());
    let records = walk.by_ref().count();
    (records, walk.stop.expect("it ends"))
}

/// Puts another header in place of the second record's, with a checksum of its own.
fn with_second_header(change: impl FnOnce(&mut RecordHeader)) -> Vec<u8> {
    let mut bytes = filled(&[b"first", b"second", b"third"]);
    let second = HEADER_BLOCK_LENGTH + 56;
    let (mut header, _) = RecordHeader::decode(&bytes, second, 6, SALT).expect("it is there");
    change(&mut header);
    bytes[second..second + 48].copy_from_slice(&header.encode(SALT));
    bytes
}

#[test]
fn an_untouched_segment_is_read_to_its_end() {
    assert_eq!(walk(&filled(&[])), (0, Stop::Broken(Fault::NoRecord)));
    assert_eq!(walk(&filled(&[b"first", b"", b"12345678", b"last"])), (4, Stop::Broken(Fault::NoRecord)));
}

#[test]
fn a_record_is_read_only_where_it_belongs() {
    assert_eq!(walk(&with_second_header(|_| {})).0, 3);
    let stop = |change: fn(&mut RecordHeader)| walk(&with_second_header(change));
    assert_eq!(stop(|header| header.sequence += 1), (1, Stop::Broken(Fault::OutOfOrder { found: 102 })));
    assert_eq!(stop(|header| header.previous ^= 1), (1, Stop::Broken(Fault::Unchained)));
    assert_eq!(stop(|header| header.generation = 5), (1, Stop::Broken(Fault::NoRecord)));
    assert_eq!(stop(|header| header.body ^= 1), (1, Stop::Broken(Fault::Body)));
    assert_eq!(stop(|header| header.length = 13_000), (1, Stop::Broken(Fault::Impossible)));
    assert_eq!(stop(|header| header.length = u32::MAX), (1, Stop::Broken(Fault::Impossible)));
    assert_eq!(stop(|header| header.durable = 101), (1, Stop::Broken(Fault::Impossible)));
    assert_eq!(stop(|header| header.kind = Kind::Release), (1, Stop::Broken(Fault::Impossible)));
    assert_eq!(stop(|header| header.kind = Kind::Mark), (1, Stop::Broken(Fault::Unchained)));
}

/// A write was lost: the first record is the old one, the second was written behind another first.
#[test]
fn a_record_written_behind_another_predecessor_is_not_read() {
    let old = filled(&[b"aaaaa", b"second"]);
    let mut mixed = filled(&[b"bbbbb", b"second"]);
    assert_eq!(walk(&mixed).0, 2);
    let second = HEADER_BLOCK_LENGTH + 56;
    mixed[..second].copy_from_slice(&old[..second]);
    assert_eq!(walk(&mixed), (1, Stop::Broken(Fault::Unchained)));
}

#[test]
fn what_stands_behind_a_break_is_found_wherever_it_stands() {
    let mut bytes = filled(&[b"first", b"second", b"third"]);
    let header = segment();
    let end = HEADER_BLOCK_LENGTH + 3 * 56;
    let all = Evidence { durable: 99, intact: Some(100), records: 3, end };
    assert_eq!(Evidence::behind(&bytes, &header, HEADER_BLOCK_LENGTH), all);
    bytes[HEADER_BLOCK_LENGTH] ^= 1;
    let rest = Evidence { intact: Some(101), records: 2, ..all };
    assert_eq!(Evidence::behind(&bytes, &header, HEADER_BLOCK_LENGTH), rest);
    assert_eq!(Evidence::behind(&bytes, &header, end), Evidence { end, ..Evidence::default() });
    let stranger = SegmentHeader { salt: SALT + 1, ..header };
    assert_eq!(Evidence::behind(&bytes, &stranger, HEADER_BLOCK_LENGTH).records, 0);
}

#[test]
fn a_segment_header_is_read_back_or_refused() {
    let header = segment();
    let bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    assert_eq!(header.chain(), u32_at(&bytes, 12));
    for place in 0..bytes.len() {
        let mut changed = bytes;
        changed[place] ^= 0x10;
        let expected = match place {
            0..8 => HeaderError::NotOurs,
            8..12 => HeaderError::Version(u32_at(&changed, 8)),
            _ => HeaderError::Checksum,
        };
        assert_eq!(SegmentHeader::decode(&changed), Err(expected), "byte {place}");
    }
}

#[test]
fn a_body_has_one_checksum_however_it_is_divided() {
    let whole = body_checksum(SALT, &[b"one body in parts"]);
    assert_eq!(body_checksum(SALT, &[b"one ", b"", b"body in", b" parts"]), whole);
    assert_ne!(body_checksum(SALT, &[b"one body in parts\0"]), body_checksum(SALT + 1, &[b"one body in parts\0"]));
}

#[test]
fn the_name_of_a_file_says_what_it_is() {
    assert_eq!(FileKind::of(&segment_name(12)), FileKind::Segment(12));
    assert_eq!(FileKind::of(&spare_name(u64::MAX)), FileKind::Spare);
    assert_eq!(FileKind::of(&unfinished_name(1)), FileKind::Unfinished);
    let others = ["", "identity", "1.segment", "0000000000000000000x.segment", "99999999999999999999.segment"];
    for other in others.into_iter().chain(["00000000000000000001.segment.old", "00000000000000000001"]) {
        assert_eq!(FileKind::of(other), FileKind::Other, "{other}");
    }
}
