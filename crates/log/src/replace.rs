//! Small files that are replaced as a whole: after a crash there is the old one or the new one, never a mixture and
//! never nothing. Knows nothing of what is in them.

use std::io::{self, IoSlice};

use crate::disk::Disk;
use crate::error::{Failure, Operation};
use crate::storage::Storage;

/// What the new content is called until it is complete. Such a file means nothing and may be removed.
pub const SUFFIX: &str = ".replacing";

/// Gives the file this content, durably: written under another name, synced, renamed, the folder synced.
pub fn replace<S: Storage>(storage: &mut S, name: &str, content: &[u8]) -> Result<(), Failure> {
    let mut disk = Disk { storage };
    let temporary = format!("{name}{SUFFIX}");
    match disk.remove(&temporary) {
        Err(failure) if failure.source.kind() != io::ErrorKind::NotFound => return Err(failure),
        _ => {}
    }
    let file = disk.create(temporary)?;
    disk.write_at(&file, 0, &[IoSlice::new(content)])?;
    disk.sync(&file)?;
    disk.rename(&file.name, name)?;
    disk.sync_folder()
}

/// The file's content, or nothing if there is no such file. One that is longer than `limit` bytes is not read: an
/// error of kind `FileTooLarge`.
pub fn read<S: Storage>(storage: &mut S, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    let mut disk = Disk { storage };
    let file = match disk.open(name.to_owned()) {
        Err(failure) if failure.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let length = disk.length(&file)?;
    let Some(length) = usize::try_from(length).ok().filter(|_| length <= limit) else {
        let error = io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {length} bytes, and {limit} is the most such a file can have"),
        );
        return Err(Failure { operation: Operation::Read, file: file.name, source: error.into() });
    };
    let mut content = vec![0; length];
    disk.read_at(&file, 0, &mut content)?;
    Ok(Some(content))
}
