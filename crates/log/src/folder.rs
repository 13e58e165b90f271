//! The real folder, over plain system calls. It knows files and locks, nothing of what is in them.

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::storage::Storage;

/// The file whose lock says that somebody uses the folder. It holds the process id, for people.
const LOCK: &str = "lock";
/// The most parts one system call takes.
const PARTS_MAX: usize = 1024;

/// A folder of the file system, held by one opener at a time.
///
/// Folders it creates have mode 0700, files 0600. Symbolic links within the folder are not followed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    folder: OwnedFd,
    /// Held until this is dropped (or the process ends); `None` if the folder was opened for reading only.
    lock: Option<OwnedFd>,
}

/// Why a folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process (or another opener in this one) uses it.
    #[error("{} is in use by {}", .path.display(), .holder.as_deref().unwrap_or("another process"))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, if that is known: "process 4711".
        holder: Option<String>,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Refused {
        /// What was tried: "create the folder", "open", "lock", …
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn refused<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> FolderError {
    move |error| FolderError::Refused { action, path: path.to_owned(), source: error.into() }
}

impl Folder {
    /// Opens the folder, creating it (and those above it) if need be, and locks it.
    pub fn open(path: &Path) -> Result<Folder, FolderError> {
        create_folders(path)?;
        let folder = open_folder(path)?;
        let lock = lock(&folder, path)?;
        Ok(Folder { path: path.to_owned(), folder, lock: Some(lock) })
    }

    /// Opens an existing folder for reading only, without the lock: to look at the files of a member, be it running or
    /// not. Everything that would change something fails.
    pub fn inspect(path: &Path) -> Result<Folder, FolderError> {
        Ok(Folder { path: path.to_owned(), folder: open_folder(path)?, lock: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writable(&self) -> io::Result<()> {
        if self.lock.is_some() { Ok(()) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }
}

/// Creates the folder and the missing ones above it, each durable in its parent.
fn create_folders(path: &Path) -> Result<(), FolderError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("create the folder", folder)(error));
            }
            _ => {}
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        rustix::fs::fsync(open_folder(parent)?).map_err(refused("sync", parent))?;
    }
    Ok(())
}

fn open_folder(path: &Path) -> Result<OwnedFd, FolderError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(refused("open the folder", path))
}

fn lock(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, FolderError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file_path = path.join(LOCK);
    let file = rustix::fs::openat(folder, LOCK, flags, Mode::RUSR | Mode::WUSR)
        .map_err(refused("write to the folder: opening the lock file", &file_path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(FolderError::Locked { path: path.to_owned(), holder: holder(&file) });
        }
        Err(error) => return Err(refused("lock", &file_path)(error)),
    }
    let process = format!("{}\n", std::process::id());
    rustix::fs::ftruncate(&file, 0)
        .and_then(|()| rustix::io::pwrite(&file, process.as_bytes(), 0))
        .map_err(refused("write to", &file_path))?;
    Ok(file)
}

fn holder(lock: &OwnedFd) -> Option<String> {
    let mut bytes = [0; 20];
    let length = rustix::io::pread(lock, &mut bytes, 0).ok()?;
    let process: u32 = std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()?;
    Some(format!("process {process}"))
}

impl Storage for Folder {
    type File = OwnedFd;

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let facts = rustix::fs::statat(&self.folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(facts.st_mode)
                }
                kind => kind,
            };
            match name.as_str() {
                "." | ".." | LOCK => {}
                _ if kind == FileType::Directory => names.push(format!("{name}/")),
                _ => names.push(name),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&mut self, name: &str) -> io::Result<OwnedFd> {
        self.writable()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)?)
    }

    fn open(&mut self, name: &str) -> io::Result<OwnedFd> {
        let access = if self.lock.is_some() { OFlags::RDWR } else { OFlags::RDONLY };
        Ok(rustix::fs::openat(&self.folder, name, access | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
    }

    fn length(&mut self, file: &OwnedFd) -> io::Result<u64> {
        u64::try_from(rustix::fs::fstat(file)?.st_size).map_err(io::Error::other)
    }

    fn allocate(&mut self, file: &OwnedFd, length: u64) -> io::Result<()> {
        match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)) {
            // File systems that cannot reserve space get it written.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(file, self.length(file)?, length),
            result => Ok(result?),
        }
    }

    fn read_at(&mut self, file: &OwnedFd, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset))?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[read..];
            offset += read as u64;
        }
        Ok(())
    }

    fn write_at(&mut self, file: &OwnedFd, mut offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut parts = parts.to_vec();
        let mut left = &mut parts[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let turn = &left[..left.len().min(PARTS_MAX)];
            let written = retry_on_intr(|| rustix::io::pwritev(file, turn, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    fn sync(&mut self, file: &OwnedFd) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fdatasync(file))?)
    }

    fn drop_cache(&mut self, file: &OwnedFd) -> io::Result<()> {
        match rustix::fs::fadvise(file, 0, None, Advice::DontNeed) {
            // Not every file system has such a cache.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.writable()?;
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.writable()?;
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fsync(&self.folder))?)
    }
}

fn fill(file: &OwnedFd, mut offset: u64, length: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    while offset < length {
        let turn = usize::try_from(length - offset).unwrap_or(usize::MAX).min(zeros.len());
        offset += retry_on_intr(|| rustix::io::pwrite(file, &zeros[..turn], offset))? as u64;
    }
    Ok(())
}
