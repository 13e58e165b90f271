//! A segment file, read whole and checked as far as its own header goes. Shared by recovery and the inspector.

use crate::disk::{Disk, Named};
use crate::error::Failure;
use crate::format::{Fault, HEADER_BLOCK, HeaderError, SEGMENT_HEADER, SegmentHeader};
use crate::options::Options;
use crate::storage::Storage;

/// Why the content of a segment file cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotOurs,
    Version(u32),
    Fault(Fault),
}

/// Reads the file into `buffer`, replacing what was there. Reads no more than a segment can have.
pub(crate) fn load<S: Storage>(
    disk: &mut Disk<S>,
    file: &Named<S::File>,
    generation: u64,
    buffer: &mut Vec<u8>,
) -> Result<Result<SegmentHeader, Unreadable>, Failure> {
    let length = disk.length(file)?;
    let mut head = [0; SEGMENT_HEADER];
    if length < SEGMENT_HEADER as u64 {
        return Ok(Err(Unreadable::Fault(Fault::Length { found: length })));
    }
    disk.read_at(file, 0, &mut head)?;
    let header = match SegmentHeader::decode(&head) {
        Ok(header) => header,
        Err(HeaderError::NotOurs) => return Ok(Err(Unreadable::NotOurs)),
        Err(HeaderError::Version(version)) => return Ok(Err(Unreadable::Version(version))),
        Err(HeaderError::Checksum) => return Ok(Err(Unreadable::Fault(Fault::SegmentHeader))),
    };
    if header.generation != generation {
        return Ok(Err(Unreadable::Fault(Fault::Misplaced { found: header.generation })));
    }
    let sizes = Options::SEGMENT_SIZE_MIN..=Options::SEGMENT_SIZE_MAX;
    if header.size != length || !sizes.contains(&length) || !length.is_multiple_of(HEADER_BLOCK) {
        return Ok(Err(Unreadable::Fault(Fault::Length { found: length })));
    }
    if !header.is_possible() {
        return Ok(Err(Unreadable::Fault(Fault::Impossible)));
    }
    buffer.resize(usize::try_from(length).expect("at most SEGMENT_SIZE_MAX"), 0);
    disk.read_at(file, 0, buffer)?;
    Ok(Ok(header))
}
