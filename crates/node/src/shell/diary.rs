//! The diary's files: two, of bounded size; when the newer one is full it takes the place of the older. It may not
//! know what the entries mean.
//!
//! One line per entry, JSON, whose last field is a checksum of the line before it:
//! `{"unix_milliseconds":…,"check":"1a2b3c4d"}`. A line that does not fit its checksum (torn by a crash, rotten) is
//! passed over and counted. A line that cannot be written is lost, and so is nothing else: nobody waits for a diary.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use log::{Folder, Storage};
use tracing::warn;

use crate::diary::{Diary, DiaryEntry};

#[cfg(test)]
mod tests;

/// The folder of the diary within the data folder.
const DIARY_FOLDER: &str = "diary";
const NEWER: &str = "diary.jsonl";
const OLDER: &str = "diary-older.jsonl";
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of one line; an entry of more is lost.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Entries that wait to be written; more are lost.
const WAITING_MAX: usize = 1024;
/// Synced when nothing was written for so long: a diary's sync must not hold up that of the log during an election.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// How long a member that must stop waits for its last entry to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);
const CHECK: &str = ",\"check\":\"";
const CHECK_BYTES: usize = CHECK.len() + 10;

/// Reads the diary of the member with this data folder, be it running or not. A member that never wrote one has an
/// empty one.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn read_diary(data: &Path) -> io::Result<Diary> {
    let folder = data.join(DIARY_FOLDER);
    if !folder.exists() {
        return Ok(Diary::default());
    }
    read(&mut Folder::inspect(&folder).map_err(io::Error::other)?)
}

fn read(storage: &mut impl Storage) -> io::Result<Diary> {
    let mut diary = Diary::default();
    for name in [OLDER, NEWER] {
        let file = match storage.open(name) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let length = usize::try_from(storage.length(&file)?.min(FILE_BYTES_MAX)).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        storage.read_at(&file, 0, &mut content)?;
        for line in content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match decode(line) {
                Some(entry) => diary.entries.push(entry),
                None => diary.damaged += 1,
            }
        }
    }
    Ok(diary)
}

fn encode(entry: &DiaryEntry) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(entry).ok()?;
    let closing = line.pop();
    assert!(closing == Some(b'}'), "an entry is an object");
    let check = crc32c::crc32c(&line);
    line.extend_from_slice(format!("{CHECK}{check:08x}\"}}\n").as_bytes());
    (line.len() <= LINE_BYTES_MAX).then_some(line)
}

fn decode(line: &[u8]) -> Option<DiaryEntry> {
    let (content, check) = line.split_at_checked(line.len().checked_sub(CHECK_BYTES)?)?;
    if check != format!("{CHECK}{:08x}\"}}", crc32c::crc32c(content)).as_bytes() {
        return None;
    }
    serde_json::from_slice(line).ok()
}

/// The files, open for writing.
struct Files<S: Storage> {
    storage: S,
    /// The newer file, and where the next line goes.
    file: Option<(S::File, u64)>,
    unsynced: bool,
}

impl<S: Storage> Files<S> {
    fn new(storage: S) -> Files<S> {
        Files { storage, file: None, unsynced: false }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let (file, at) = match self.file.take() {
            Some((file, at)) if at + line.len() as u64 <= FILE_BYTES_MAX => (file, at),
            Some(_) => self.rotate()?,
            None => self.open(line.len() as u64)?,
        };
        let written = self.storage.write_at(&file, at, &[IoSlice::new(line)]);
        // What an error left of this line is overwritten by the next.
        let next = if written.is_ok() { at + line.len() as u64 } else { at };
        self.unsynced |= written.is_ok();
        self.file = Some((file, next));
        written
    }

    /// Continues the file of an earlier life, on a line of its own.
    fn open(&mut self, needed: u64) -> io::Result<(S::File, u64)> {
        let file = match self.storage.open(NEWER) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok((self.storage.create(NEWER)?, 0)),
            opened => opened?,
        };
        let length = self.storage.length(&file)?;
        if length + 1 + needed > FILE_BYTES_MAX {
            drop(file);
            return self.rotate();
        }
        let mut last = [b'\n'];
        if length > 0 {
            self.storage.read_at(&file, length - 1, &mut last)?;
        }
        if last == [b'\n'] {
            return Ok((file, length));
        }
        self.storage.write_at(&file, length, &[IoSlice::new(b"\n")])?;
        Ok((file, length + 1))
    }

    fn rotate(&mut self) -> io::Result<(S::File, u64)> {
        self.storage.rename(NEWER, OLDER)?;
        let file = self.storage.create(NEWER)?;
        self.storage.sync_folder()?;
        Ok((file, 0))
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.file {
            Some((file, _)) if std::mem::take(&mut self.unsynced) => self.storage.sync(file),
            _ => Ok(()),
        }
    }
}

/// A diary for its readers: the files belong to whoever holds the lock.
#[derive(Clone)]
pub(crate) struct Shelf {
    /// Without one if the folder could not be opened: then there is nothing to read.
    files: Option<Arc<Mutex<Files<Folder>>>>,
    orders: SyncSender<Order>,
}

/// What the core thread writes with. It never waits for the disk.
pub(super) struct Pen {
    orders: SyncSender<Order>,
}

enum Order {
    Entry(Box<DiaryEntry>),
    /// Tell when all before this is written.
    Flush(SyncSender<()>),
    /// Nothing comes after this.
    End,
}

/// What the diary's thread works off.
pub(super) struct Orders(Receiver<Order>);

/// Opens the diary in this data folder. A member whose diary cannot be opened lives without.
pub(super) fn open(data: &Path) -> (Shelf, Pen, Orders) {
    let folder = Folder::open(&data.join(DIARY_FOLDER));
    if let Err(problem) = &folder {
        warn!("no diary is kept: {problem}");
    }
    let files = folder.ok().map(|folder| Arc::new(Mutex::new(Files::new(folder))));
    let (orders, receiver) = sync_channel(WAITING_MAX);
    (Shelf { files, orders: orders.clone() }, Pen { orders }, Orders(receiver))
}

impl Pen {
    /// Writes this down soon, if there is room for it.
    pub(super) fn write(&self, entry: DiaryEntry) {
        if self.orders.try_send(Order::Entry(entry.into())).is_err() {
            warn!("an entry of the diary is lost: {WAITING_MAX} are waiting to be written");
        }
    }

    /// Returns when all is written, or not in time.
    pub(super) fn flush(&self) {
        flush(&self.orders);
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        // Its thread may have ended before.
        let _ = self.orders.send(Order::End);
    }
}

/// Returns when all that was written before is in the files, or not in time.
fn flush(orders: &SyncSender<Order>) {
    let (done, wait) = sync_channel(1);
    if orders.try_send(Order::Flush(done)).is_ok() {
        // In time or not: what is in the files is what there is.
        let _ = wait.recv_timeout(LAST_WORDS);
    }
}

impl Shelf {
    /// Works off what the core thread wants written down, until it is gone.
    pub(super) fn keep(&self, orders: &Orders) {
        let Some(files) = &self.files else { return };
        keep(files, orders, SYNC_AFTER);
    }

    /// Reads the whole diary, up to this moment. Waits for the disk.
    pub(crate) fn read(&self) -> io::Result<Diary> {
        flush(&self.orders);
        self.files.as_ref().map_or_else(|| Ok(Diary::default()), |files| read(&mut lock(files).storage))
    }
}

fn lock<S: Storage>(files: &Mutex<Files<S>>) -> MutexGuard<'_, Files<S>> {
    files.lock().expect("no holder of the diary's files panics")
}

fn keep<S: Storage>(files: &Mutex<Files<S>>, orders: &Orders, sync_after: Duration) {
    let mut trouble = Trouble::default();
    loop {
        match orders.0.recv_timeout(sync_after) {
            Ok(Order::Entry(entry)) => {
                let line = encode(&entry).ok_or_else(|| io::Error::other("the entry is too long"));
                trouble.note(line.and_then(|line| lock(files).write(&line)));
            }
            Ok(Order::Flush(done)) => {
                // Nobody may be waiting any more.
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => trouble.note(lock(files).sync()),
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return trouble.note(lock(files).sync()),
        }
    }
}

/// Says once that the diary cannot be written, and once that it can again.
#[derive(Default)]
struct Trouble {
    lost: u64,
}

impl Trouble {
    fn note(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) if self.lost > 0 => {
                warn!("the diary can be written again; {} entries are lost", self.lost);
                self.lost = 0;
            }
            Ok(()) => {}
            Err(problem) => {
                if self.lost == 0 {
                    warn!("the diary cannot be written, its entries are lost for now: {problem}");
                }
                self.lost += 1;
            }
        }
    }
}
