//! The only door to the file system: one folder of flat files. It knows nothing of segments or records.
//!
//! Whoever implements it decides what a crash keeps; the log relies on no more than what is written here.

use std::io::{self, IoSlice};

/// A folder of files, addressed by plain names (no separators).
///
/// What a crash may do to things that were not yet made durable:
/// - content written but not followed by [`sync`](Storage::sync) of that file is kept in any part, in any order;
/// - creations, renames and removals not followed by [`sync_folder`](Storage::sync_folder) happened or did not, each
///   for itself. A rename is atomic: its target is the old or the new file, never nothing.
pub trait Storage: Send {
    /// An open file. It stays valid when the file is renamed, and is closed when dropped.
    type File: Send;

    /// The names of all files, sorted. Folders within the folder are named with a slash at the end; the
    /// implementation's own lock is left out.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Creates an empty file for reading and writing; fails with `AlreadyExists` if the name is taken.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing (for reading only, if the storage is read-only).
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// The file's length in bytes.
    fn length(&mut self, file: &Self::File) -> io::Result<u64>;

    /// Makes the file `length` bytes long and reserves the space, so that later writes within it cannot find the disk
    /// full. New bytes read as zeros.
    fn allocate(&mut self, file: &Self::File, length: u64) -> io::Result<()>;

    /// Fills the whole buffer from `offset`; fails with `UnexpectedEof` if the file ends before.
    fn read_at(&mut self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all parts, one behind the other, from `offset`. After an error any part of it may have been written.
    fn write_at(&mut self, file: &Self::File, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Returns when all that was written to the file, and its length, would survive a loss of power.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Makes later reads of the file come from the device: what a cache holds after a failed sync in an earlier life
    /// of the process may never have reached it. Call after [`sync`](Storage::sync).
    fn drop_cache(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives the file another name, replacing whatever has it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Returns when all creations, renames and removals so far would survive a loss of power.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// Who borrows a storage can hand it on.
impl<S: Storage> Storage for &mut S {
    type File = S::File;

    fn list(&mut self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn create(&mut self, name: &str) -> io::Result<Self::File> {
        (**self).create(name)
    }

    fn open(&mut self, name: &str) -> io::Result<Self::File> {
        (**self).open(name)
    }

    fn length(&mut self, file: &Self::File) -> io::Result<u64> {
        (**self).length(file)
    }

    fn allocate(&mut self, file: &Self::File, length: u64) -> io::Result<()> {
        (**self).allocate(file, length)
    }

    fn read_at(&mut self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(file, offset, buffer)
    }

    fn write_at(&mut self, file: &Self::File, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (**self).write_at(file, offset, parts)
    }

    fn sync(&mut self, file: &Self::File) -> io::Result<()> {
        (**self).sync(file)
    }

    fn drop_cache(&mut self, file: &Self::File) -> io::Result<()> {
        (**self).drop_cache(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        (**self).sync_folder()
    }
}
