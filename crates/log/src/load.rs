//! A segment file, read whole and checked as far as its own header goes. Shared by recovery and the inspector.

use crate::disk::{Disk, Named};
use crate::error::Failure;
use crate::format::{Fault, HEADER_BLOCK, HEADER_COPY, HeaderError, SEGMENT_HEADER, SegmentHeader};
use crate::options::Options;
use crate::storage::Storage;

/// Why the content of a segment file cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotOurs,
    Version(u32),
    Fault(Fault),
}

/// A segment's header, and whether it came from the copy because the first is damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) header: SegmentHeader,
    pub(crate) from_copy: bool,
}

/// Reads the header of a segment file, or its copy.
pub(crate) fn load_header<S: Storage>(
    disk: &mut Disk<S>,
    file: &Named<S::File>,
    generation: u64,
    length: u64,
) -> Result<Result<Head, Unreadable>, Failure> {
    let mut first_problem = None;
    for place in [0, HEADER_COPY as u64] {
        if length < place + SEGMENT_HEADER as u64 {
            break;
        }
        let mut head = [0; SEGMENT_HEADER];
        disk.read_at(file, place, &mut head)?;
        let problem = match SegmentHeader::decode(&head) {
            Ok(header) if header.generation == generation => {
                return Ok(Ok(Head { header, from_copy: place > 0 }));
            }
            Ok(header) => Unreadable::Fault(Fault::Misplaced { found: header.generation }),
            Err(HeaderError::NotOurs) => Unreadable::NotOurs,
            Err(HeaderError::Version(version)) => Unreadable::Version(version),
            Err(HeaderError::Checksum) => Unreadable::Fault(Fault::SegmentHeader),
        };
        first_problem.get_or_insert(problem);
    }
    Ok(Err(first_problem.unwrap_or(Unreadable::Fault(Fault::Length { found: length }))))
}

/// Reads the file into `buffer`, replacing what was there. Reads no more than a segment can have.
pub(crate) fn load<S: Storage>(
    disk: &mut Disk<S>,
    file: &Named<S::File>,
    generation: u64,
    buffer: &mut Vec<u8>,
) -> Result<Result<Head, Unreadable>, Failure> {
    let length = disk.length(file)?;
    let head = match load_header(disk, file, generation, length)? {
        Ok(head) => head,
        Err(problem) => return Ok(Err(problem)),
    };
    let header = head.header;
    let sizes = Options::SEGMENT_SIZE_MIN..=Options::SEGMENT_SIZE_MAX;
    if header.size != length || !sizes.contains(&length) || !length.is_multiple_of(HEADER_BLOCK) {
        return Ok(Err(Unreadable::Fault(Fault::Length { found: length })));
    }
    if !header.is_possible() {
        return Ok(Err(Unreadable::Fault(Fault::Impossible)));
    }
    buffer.resize(usize::try_from(length).expect("at most SEGMENT_SIZE_MAX"), 0);
    disk.read_at(file, 0, buffer)?;
    Ok(Ok(head))
}
