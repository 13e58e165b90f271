//! A batch of records made ready for the disk: headers, checksums, the order of the pieces. Pure.

use std::io::IoSlice;

use crate::format::{
    Kind, RECORD_HEADER_LENGTH, RecordHeader, SegmentHeader, body_checksum, padding, record_size, u32_at,
};

/// A record to append, given in parts so that nobody has to join them first.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// Whose record it is. The log attaches no meaning to it.
    pub group: u32,
    /// The record's bytes: all parts, one behind the other.
    pub parts: &'a [&'a [u8]],
}

impl Append<'_> {
    pub(crate) fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

/// Where a batch goes: behind what.
pub(crate) struct Place<'a> {
    /// The segment's header.
    pub(crate) segment: &'a SegmentHeader,
    /// The sequence of the batch's first record. All before it are durable.
    pub(crate) next: u64,
    /// Checksum of the header before it.
    pub(crate) chain: u32,
}

/// Records made ready for the disk. The bodies stay where they are; what goes around them is in `frame`.
pub(crate) struct Encoded {
    pub(crate) kind: Kind,
    /// Headers and paddings in the order of the records.
    frame: Vec<u8>,
    /// Where in `frame` each body belongs.
    cuts: Vec<usize>,
    /// Bytes in all.
    pub(crate) size: u64,
    /// Checksum of the last header.
    pub(crate) chain: u32,
    /// The sequence after the last record.
    pub(crate) next: u64,
}

impl Encoded {
    pub(crate) fn new(kind: Kind, records: &[Append<'_>], place: &Place<'_>) -> Encoded {
        let SegmentHeader { generation, salt, .. } = *place.segment;
        let mut encoded = Encoded {
            kind,
            frame: Vec::with_capacity(records.len() * (RECORD_HEADER_LENGTH + 8)),
            cuts: Vec::with_capacity(records.len()),
            size: 0,
            chain: place.chain,
            next: place.next,
        };
        for record in records {
            let length = record.length();
            let header = RecordHeader {
                kind,
                group: record.group,
                sequence: encoded.next,
                durable: place.next - 1,
                generation,
                length: u32::try_from(length).expect("a record is shorter than a segment: 1 GiB at most"),
                previous: encoded.chain,
                body: body_checksum(salt, record.parts),
            };
            let bytes = header.encode(salt);
            encoded.chain = u32_at(&bytes, 0);
            encoded.frame.extend_from_slice(&bytes);
            encoded.cuts.push(encoded.frame.len());
            encoded.frame.extend_from_slice(padding(header.length as usize));
            encoded.size += record_size(length);
            encoded.next += 1;
        }
        encoded
    }

    /// The pieces in the order in which they lie on disk. The bodies are not copied.
    pub(crate) fn slices<'a>(&'a self, records: &[Append<'a>]) -> Vec<IoSlice<'a>> {
        let mut slices = Vec::with_capacity(records.len() * 3 + 1);
        let mut begin = 0;
        for (record, &cut) in records.iter().zip(&self.cuts) {
            slices.push(IoSlice::new(&self.frame[begin..cut]));
            slices.extend(record.parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)));
            begin = cut;
        }
        if begin < self.frame.len() {
            slices.push(IoSlice::new(&self.frame[begin..]));
        }
        slices
    }
}
