//! Segment files as the running log handles them: the one being written, the full ones, and how a new one is made.
//! Decides nothing about records.

use std::io::IoSlice;

use crate::disk::{Disk, Named};
use crate::error::{Failure, Operation};
use crate::format::{HEADER_BLOCK, SegmentHeader, segment_name, unfinished_name};
use crate::storage::Storage;

/// The segment that is being written.
pub(crate) struct Active<F> {
    pub(crate) file: Named<F>,
    pub(crate) header: SegmentHeader,
    /// Where the next record goes. Multiple of 8, at most `header.size - RECORD_HEADER`.
    pub(crate) position: u64,
    /// Everything before this has been written at least once: overwriting it changes no metadata of the file system.
    pub(crate) written: u64,
    /// Checksum of the last header.
    pub(crate) chain: u32,
}

/// A live segment that is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) generation: u64,
    /// Sequence of its first record.
    pub(crate) first: u64,
    /// Bytes of its file.
    pub(crate) size: u64,
}

/// Makes a segment of a spare or anew. The file gets the name of a live segment only when its header is durable.
pub(crate) fn make_segment<S: Storage>(
    disk: &mut Disk<S>,
    header: SegmentHeader,
    spare: Option<&str>,
) -> Result<Active<S::File>, Failure> {
    let (mut file, written) = match spare {
        Some(spare) => (disk.open(spare.to_owned())?, header.size),
        None => (new_file(disk, header)?, HEADER_BLOCK),
    };
    if spare.is_some() {
        write_header(disk, &file, header)?;
    }
    let name = segment_name(header.generation);
    disk.rename(&file.name, &name)?;
    disk.sync_folder()?;
    file.name = name;
    Ok(Active { file, header, position: HEADER_BLOCK, written, chain: header.chain() })
}

/// A file of full length with a durable header, under a name that makes it no part of the log yet.
fn new_file<S: Storage>(disk: &mut Disk<S>, header: SegmentHeader) -> Result<Named<S::File>, Failure> {
    let name = unfinished_name(header.generation);
    let file = disk.create(name.clone())?;
    let made = disk.allocate(&file, header.size).and_then(|()| write_header(disk, &file, header));
    match made {
        Ok(()) => Ok(file),
        Err(failure) => {
            // Give back what it took of a full disk. If even that fails, the next open removes it.
            drop(file);
            let _ = disk.remove(&name);
            Err(failure)
        }
    }
}

pub(crate) fn write_header<S: Storage>(
    disk: &mut Disk<S>,
    file: &Named<S::File>,
    header: SegmentHeader,
) -> Result<(), Failure> {
    disk.write_at(file, 0, &[IoSlice::new(&header.block())])?;
    disk.sync(file)
}

/// Whether a new segment could not be made for want of space, at a point where nothing refers to it yet.
pub(crate) fn unmade_for_space(failure: &Failure) -> bool {
    let before_its_name =
        matches!(failure.operation, Operation::Create | Operation::Allocate | Operation::Write | Operation::Sync);
    before_its_name && failure.is_full()
}
