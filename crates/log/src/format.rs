//! The bytes of a segment: headers, checksums, names of files. Pure functions over byte slices; no I/O, no decisions.
//!
//! All integers are little-endian. A segment:
//!
//! ```text
//! offset  bytes
//!      0  64     segment header
//!   2048  64     the segment header once more, read if the first is damaged; the rest of the block is zero
//!   4096  …      records, each at a multiple of 8
//!
//! segment header                        record header
//!      0  8  magic "CONCLAVE"               0  4  checksum of bytes 4..48
//!      8  4  format version                 4  4  length of the body
//!     12  4  checksum of all but itself     8  8  sequence
//!     16  8  generation                    16  8  highest sequence known durable when this was written
//!     24  8  size of the file              24  8  generation of the segment
//!     32  8  sequence of the first record  32  4  group
//!     40  8  oldest live generation        36  4  kind
//!     48  4  checksum of the last seal     40  4  checksum of the header before this one
//!     52  4  salt                          44  4  checksum of the body and its padding
//!     56  8  zero                          48  …  body, then zeros up to a multiple of 8
//! ```
//!
//! Every checksum is a CRC-32C. Those of records begin with the salt. Since a header's checksum covers the body's and
//! the header's before it, the checksum of the last header commits to the whole segment: that is the chain.

use std::fmt;

/// Bytes before the first record.
pub(crate) const HEADER_BLOCK: u64 = 4096;
/// Bytes before the first record, as an index.
pub(crate) const HEADER_BLOCK_LENGTH: usize = 4096;
/// Where the segment header stands a second time: in another page and another sector than the first.
pub(crate) const HEADER_COPY: usize = 2048;
/// The most bytes that the user of a log may have written into its marks.
pub const NOTE_MAX: usize = 64;
/// Bytes of a segment header.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// Bytes of a record header.
pub(crate) const RECORD_HEADER: u64 = 48;
/// Bytes of a record header, as an index.
pub(crate) const RECORD_HEADER_LENGTH: usize = 48;
/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;
/// Bytes of a release record.
pub(crate) const RELEASE_RECORD: u64 = RECORD_HEADER + 8;
/// Bytes at the end of a segment that ordinary records leave free: one release, so that space can be released on a
/// full disk, and the seal (or the mark, which is as long).
pub(crate) const RESERVED: u64 = RELEASE_RECORD + RECORD_HEADER;
/// The format written here, and the only one known.
pub(crate) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"CONCLAVE";
const GENERATION_OFFSET: usize = 24;
const DIGITS: usize = 20;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record of a user of the log.
    Data,
    /// The last record of a full segment: the next generation follows.
    Seal,
    /// Segments older than the generation in the body (8 bytes) are no longer part of the log.
    Release,
    /// Not part of the chain: everything up to its sequence was durable. Its body, if any, is the last note of the
    /// log's user. The next batch overwrites it.
    Mark,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Data => 1,
            Kind::Seal => 2,
            Kind::Release => 3,
            Kind::Mark => 4,
        }
    }

    fn from_code(code: u32) -> Option<Kind> {
        [Kind::Data, Kind::Seal, Kind::Release, Kind::Mark].into_iter().find(|kind| kind.code() == code)
    }
}

/// What is wrong at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No intact record header of this segment's generation stands here.
    NoRecord,
    /// The header is intact, its body is not.
    Body,
    /// An intact record with another number than the one that is due.
    OutOfOrder {
        /// The number it has.
        found: u64,
    },
    /// An intact record that was not written behind the one before it.
    Unchained,
    /// An intact header whose fields cannot be: a body beyond the end of the segment, a release of what is not yet
    /// written.
    Impossible,
    /// The segment's own header does not match its checksum.
    SegmentHeader,
    /// The segment's header is intact, but names another generation than the file does.
    Misplaced {
        /// The generation it names.
        found: u64,
    },
    /// The file does not have the length its header names.
    Length {
        /// The length it has, in bytes.
        found: u64,
    },
    /// The segment does not continue the one before it.
    Unlinked,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoRecord => f.write_str("no intact record header is there"),
            Fault::Body => f.write_str("the content of the record does not match its checksum"),
            Fault::OutOfOrder { found } => write!(f, "record {found} stands there instead"),
            Fault::Unchained => f.write_str("the record there does not follow the one before it"),
            Fault::Impossible => f.write_str("the record there contradicts itself"),
            Fault::SegmentHeader => f.write_str("the segment header does not match its checksum"),
            Fault::Misplaced { found } => write!(f, "the segment header names generation {found}, the file another"),
            Fault::Length { found } => write!(f, "the file is {found} bytes long, which is not what its header says"),
            Fault::Unlinked => f.write_str("the segment does not continue the one before it"),
        }
    }
}

/// Why the first bytes of a file are no segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Another program's file.
    NotOurs,
    /// Ours, in a format not known here.
    Version(u32),
    /// Ours, and changed since it was written.
    Checksum,
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment, from 1; the file is named by it.
    pub generation: u64,
    /// Length of the file in bytes.
    pub size: u64,
    /// Sequence of the first record. The one before it is the last segment's seal, and everything before the seal was
    /// durable when this header was written.
    pub first: u64,
    /// The oldest generation that was part of the log when this segment was started.
    pub oldest: u64,
    /// Checksum of the last segment's seal; 0 in the first segment.
    pub previous: u32,
    /// What the checksums of the records begin with.
    pub salt: u32,
}

impl SegmentHeader {
    /// The highest sequence that this header proves to have been durable.
    pub(crate) fn durable(&self) -> u64 {
        self.first.saturating_sub(2)
    }

    /// Whether the numbers can be those of a log; the bound leaves room to count on from them.
    pub(crate) fn is_possible(&self) -> bool {
        let number = 1..=u64::MAX / 2;
        let oldest = 1..=self.generation;
        number.contains(&self.generation) && number.contains(&self.first) && oldest.contains(&self.oldest)
    }

    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.size.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.previous.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = segment_checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<SegmentHeader, HeaderError> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::NotOurs);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if u32_at(bytes, 12) != segment_checksum(bytes) {
            return Err(HeaderError::Checksum);
        }
        Ok(SegmentHeader {
            generation: u64_at(bytes, 16),
            size: u64_at(bytes, 24),
            first: u64_at(bytes, 32),
            oldest: u64_at(bytes, 40),
            previous: u32_at(bytes, 48),
            salt: u32_at(bytes, 52),
        })
    }

    /// The whole block before the records, with both copies of the header.
    pub(crate) fn block(&self) -> [u8; HEADER_BLOCK_LENGTH] {
        let mut block = [0; HEADER_BLOCK_LENGTH];
        for place in [0, HEADER_COPY] {
            block[place..place + SEGMENT_HEADER].copy_from_slice(&self.encode());
        }
        block
    }

    /// The chain begins with this: the checksum of the segment's own header.
    pub(crate) fn chain(&self) -> u32 {
        u32_at(&self.encode(), 12)
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it is for.
    pub kind: Kind,
    /// Whose it is; 0 unless `kind` is `Data`.
    pub group: u32,
    /// Its number.
    pub sequence: u64,
    /// The highest sequence known durable when it was written.
    pub durable: u64,
    /// The generation of its segment.
    pub generation: u64,
    /// Bytes of its body, without the padding.
    pub length: u32,
    /// Checksum of the header before it.
    pub previous: u32,
    /// Checksum of its body and padding.
    pub body: u32,
}

impl RecordHeader {
    /// The encoded header, which begins with its own checksum.
    pub(crate) fn encode(&self, salt: u32) -> [u8; RECORD_HEADER_LENGTH] {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.group.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[40..44].copy_from_slice(&self.previous.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.body.to_le_bytes());
        let checksum = crc32c::crc32c_append(salt, &bytes[4..]);
        bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at `offset` and its checksum, if an intact one of that generation stands there. (Whether its body
    /// is intact, or even within the segment, is another question.)
    pub(crate) fn decode(segment: &[u8], offset: usize, generation: u64, salt: u32) -> Option<(RecordHeader, u32)> {
        let bytes = segment.get(offset..offset.checked_add(RECORD_HEADER_LENGTH)?)?;
        // Cheap and nearly always decisive: the scan behind a torn tail asks at every eighth byte.
        if u64_at(bytes, GENERATION_OFFSET) != generation {
            return None;
        }
        let checksum = u32_at(bytes, 0);
        if checksum != crc32c::crc32c_append(salt, &bytes[4..]) {
            return None;
        }
        let header = RecordHeader {
            kind: Kind::from_code(u32_at(bytes, 36))?,
            group: u32_at(bytes, 32),
            sequence: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            generation,
            length: u32_at(bytes, 4),
            previous: u32_at(bytes, 40),
            body: u32_at(bytes, 44),
        };
        Some((header, checksum))
    }
}

/// The bytes a record with such a body takes in a segment.
pub(crate) fn record_size(length: u64) -> u64 {
    RECORD_HEADER + length.next_multiple_of(ALIGNMENT as u64)
}

/// The zeros that follow a body of that length.
pub(crate) fn padding(length: usize) -> &'static [u8] {
    &[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length]
}

/// The checksum of a body given in parts, its padding included.
pub(crate) fn body_checksum(salt: u32, parts: &[&[u8]]) -> u32 {
    let length = parts.iter().map(|part| part.len()).sum();
    let body = parts.iter().fold(salt, |checksum, part| crc32c::crc32c_append(checksum, part));
    crc32c::crc32c_append(body, padding(length))
}

fn segment_checksum(bytes: &[u8; SEGMENT_HEADER]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes were taken"))
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes were taken"))
}

/// What a file of the folder is to the log, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A live segment.
    Segment(u64),
    /// A released segment, waiting to be used again. Its content means nothing.
    Spare,
    /// A segment that was being made.
    Unfinished,
    /// Not the log's.
    Other,
}

impl FileKind {
    pub(crate) fn of(name: &str) -> FileKind {
        let Some((stem, suffix)) = name.split_once('.') else {
            return FileKind::Other;
        };
        if stem.len() != DIGITS || !stem.bytes().all(|byte| byte.is_ascii_digit()) {
            return FileKind::Other;
        }
        match (suffix, stem.parse()) {
            ("segment", Ok(generation)) => FileKind::Segment(generation),
            ("spare", _) => FileKind::Spare,
            ("unfinished", _) => FileKind::Unfinished,
            _ => FileKind::Other,
        }
    }
}

pub(crate) fn segment_name(generation: u64) -> String {
    format!("{generation:0DIGITS$}.segment")
}

pub(crate) fn spare_name(generation: u64) -> String {
    format!("{generation:0DIGITS$}.spare")
}

pub(crate) fn unfinished_name(generation: u64) -> String {
    format!("{generation:0DIGITS$}.unfinished")
}
