//! The knobs of a log, their ranges and what follows from them.

use crate::error::OpenError;
use crate::format::{HEADER_BLOCK, RECORD_HEADER, RESERVED};

/// How a log is laid out. Segments of another size than `segment_size` stay readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment file, its header included: a multiple of 4096, from 16 KiB to 1 GiB. Default 64 MiB.
    pub segment_size: u64,
    /// How many released segments are kept for reuse; the others are removed. At least one is kept in any case, so
    /// that a release on a full disk always helps. Default 4.
    pub spares_max: usize,
    /// Mixed into every checksum of a log that is created (an existing log keeps its own). Take it from the system's
    /// randomness: who does not know it cannot store bytes that pass for a record of the log. Default 0.
    pub salt: u32,
    /// Refuse to create a log if there is none ([`OpenError::Lost`]): set when the member is known to have had one.
    pub must_exist: bool,
}

impl Options {
    /// The least segment size, in bytes.
    pub const SEGMENT_SIZE_MIN: u64 = 16 << 10;
    /// The greatest segment size, in bytes: recovery holds one segment in memory.
    pub const SEGMENT_SIZE_MAX: u64 = 1 << 30;

    /// The most bytes a record may have: what fits in an empty segment. 67,104,616 with the default size.
    #[must_use]
    pub fn record_max(&self) -> u64 {
        self.segment_size - HEADER_BLOCK - RESERVED - RECORD_HEADER
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let (least, most) = (Self::SEGMENT_SIZE_MIN, Self::SEGMENT_SIZE_MAX);
        let sound = (least..=most).contains(&self.segment_size) && self.segment_size.is_multiple_of(HEADER_BLOCK);
        if sound { Ok(()) } else { Err(OpenError::SegmentSize { value: self.segment_size, least, most }) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_size: 64 << 20, spares_max: 4, salt: 0, must_exist: false }
    }
}
