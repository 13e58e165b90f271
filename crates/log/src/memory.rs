//! A folder in memory that forgets what was not synced. It knows the promises of [`Storage`] and keeps no better ones.
//!
//! Deterministic: the same calls and the same seeds give the same bytes. Tests and the simulator use it.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Operation;
use crate::storage::Storage;

/// A crash keeps or loses un-synced bytes in units of this many.
const SECTOR: usize = 512;

/// A handle to a folder in memory; clones share the folder.
///
/// A handle belongs to one life of the process: after [`kill`](MemoryStorage::kill) or
/// [`crash`](MemoryStorage::crash) every operation through an older handle fails.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

/// An open file of a [`MemoryStorage`].
#[derive(Clone, Copy, Debug)]
pub struct MemoryFile {
    inode: u64,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    life: u64,
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    /// Changing operations that may still be done before all fail.
    operations_left: Option<u64>,
    /// The next operation of this kind fails so.
    failing: Option<(Operation, io::ErrorKind)>,
    /// Bytes that all files together may have.
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What is there after a loss of power in any case.
    durable: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Created { name: String, inode: u64 },
    Renamed { from: String, to: String, inode: u64 },
    Removed { name: String },
}

impl MemoryStorage {
    /// An empty folder.
    #[must_use]
    pub fn new() -> MemoryStorage {
        MemoryStorage { disk: Arc::default(), life: 0 }
    }

    /// The process dies, the system lives: nothing is lost, un-synced changes stay un-synced. Returns the handle of
    /// the next life.
    #[must_use]
    pub fn kill(&self) -> MemoryStorage {
        let mut disk = self.locked();
        disk.life += 1;
        disk.operations_left = None;
        disk.failing = None;
        MemoryStorage { disk: Arc::clone(&self.disk), life: disk.life }
    }

    /// The power fails. Of what was not synced, the seed decides what is kept: each sector of each write for itself
    /// (some torn within), each change of length, each change of a name. Returns the handle of the next life.
    #[must_use]
    pub fn crash(&self, seed: u64) -> MemoryStorage {
        let next = self.kill();
        self.locked().lose_power(&mut Chance::new(seed));
        next
    }

    /// A folder of its own with the same content, un-synced changes included, and its first handle.
    #[must_use]
    pub fn fork(&self) -> MemoryStorage {
        let disk = self.locked().clone();
        let life = disk.life;
        MemoryStorage { disk: Arc::new(Mutex::new(disk)), life }
    }

    /// After so many more changing operations (create, allocate, write, sync, rename, remove, folder sync) every one
    /// fails, as if the process had been killed there.
    pub fn halt_after(&self, operations: u64) {
        self.locked().operations_left = Some(operations);
    }

    /// The next operation of that kind fails with that error, once. A sync that fails so has written nothing, and the
    /// cache takes the pages for clean, as Linux does.
    pub fn fail_next(&self, operation: Operation, error: io::ErrorKind) {
        self.locked().failing = Some((operation, error));
    }

    /// Limits how many bytes all files together may have; whatever would exceed it fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.locked().capacity = bytes;
    }

    /// The names of all files, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.locked().names.keys().cloned().collect()
    }

    /// What a reader of the file sees.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.locked();
        disk.names.get(name).map(|inode| disk.inodes[inode].seen.clone())
    }

    /// Changes the file behind the back of whoever uses it: what rot, a misdirected write or an operator does. The
    /// change is durable, as is everything that was in the file. Makes the file if there is none.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.locked();
        if !disk.names.contains_key(name) {
            let inode = disk.new_inode();
            disk.names.insert(name.to_owned(), inode);
            disk.durable_names.insert(name.to_owned(), inode);
        }
        let inode = disk.names[name];
        let inode = disk.inodes.entry(inode).or_default();
        change(&mut inode.seen);
        inode.durable.clone_from(&inode.seen);
        inode.unsynced.clear();
    }

    /// Takes the file away behind the back of whoever uses it, durably.
    pub fn lose(&self, name: &str) {
        let mut disk = self.locked();
        disk.names.remove(name);
        disk.durable_names.remove(name);
    }

    fn locked(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, if this handle is of the present life and the operation is not to fail.
    fn enter(&self, operation: Operation) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.locked();
        if disk.life != self.life {
            return Err(io::Error::other("the process that held this handle is gone"));
        }
        let changing = !matches!(operation, Operation::List | Operation::Open | Operation::Measure | Operation::Read);
        if changing && let Some(left) = &mut disk.operations_left {
            if *left == 0 {
                return Err(io::Error::other("halted here"));
            }
            *left -= 1;
        }
        if let Some((failing, error)) = disk.failing
            && failing == operation
            && operation != Operation::Sync
        {
            disk.failing = None;
            return Err(error.into());
        }
        Ok(disk)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        MemoryStorage::new()
    }
}

impl Disk {
    fn new_inode(&mut self) -> u64 {
        self.inodes_made += 1;
        self.inodes.insert(self.inodes_made, Inode::default());
        self.inodes_made
    }

    fn inode(&mut self, file: &MemoryFile) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&file.inode).ok_or_else(|| io::Error::other("the file was lost in a crash"))
    }

    /// Whether the file may become so long.
    fn check_space(&self, file: &MemoryFile, length: usize) -> io::Result<()> {
        let Some(capacity) = self.capacity else {
            return Ok(());
        };
        let others = self.names.values().filter(|&&inode| inode != file.inode);
        let used: usize = others.map(|inode| self.inodes[inode].seen.len()).sum();
        if (used + length) as u64 > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn lose_power(&mut self, chance: &mut Chance) {
        // Some crashes keep nearly all, some nearly nothing: each shows other things than an even mix.
        let keep_percent = [0, 10, 50, 90, 100][chance.below(5)];
        for inode in self.inodes.values_mut() {
            for change in std::mem::take(&mut inode.unsynced) {
                change.apply_partly(&mut inode.durable, keep_percent, chance);
            }
            inode.seen.clone_from(&inode.durable);
        }
        for change in std::mem::take(&mut self.unsynced_names) {
            if chance.percent(keep_percent) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
        let named: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(content, *offset, bytes),
            Change::Length(length) => content.resize(*length, 0),
        }
    }

    fn apply_partly(&self, content: &mut Vec<u8>, keep_percent: u64, chance: &mut Chance) {
        match self {
            Change::Length(_) if chance.percent(keep_percent) => self.apply(content),
            Change::Length(_) => {}
            Change::Write { offset, bytes } => {
                let mut begin = 0;
                while begin < bytes.len() {
                    let end = bytes.len().min(begin + SECTOR - (offset + begin) % SECTOR);
                    let torn = chance.percent(5);
                    let kept_end = if torn { begin + chance.below(end - begin + 1) } else { end };
                    if chance.percent(keep_percent) {
                        put(content, offset + begin, &bytes[begin..kept_end]);
                    }
                    begin = end;
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Created { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Renamed { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            NameChange::Removed { name } => {
                names.remove(name);
            }
        }
    }
}

fn index(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Storage for MemoryStorage {
    type File = MemoryFile;

    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.enter(Operation::List)?.names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str) -> io::Result<MemoryFile> {
        let mut disk = self.enter(Operation::Create)?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.new_inode();
        disk.names.insert(name.to_owned(), inode);
        disk.unsynced_names.push(NameChange::Created { name: name.to_owned(), inode });
        Ok(MemoryFile { inode })
    }

    fn open(&mut self, name: &str) -> io::Result<MemoryFile> {
        let disk = self.enter(Operation::Open)?;
        disk.names.get(name).map(|&inode| MemoryFile { inode }).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn length(&mut self, file: &MemoryFile) -> io::Result<u64> {
        Ok(self.enter(Operation::Measure)?.inode(file)?.seen.len() as u64)
    }

    fn allocate(&mut self, file: &MemoryFile, length: u64) -> io::Result<()> {
        let mut disk = self.enter(Operation::Allocate)?;
        let length = index(length)?;
        disk.check_space(file, length)?;
        disk.inode(file)?.change(Change::Length(length));
        Ok(())
    }

    fn read_at(&mut self, file: &MemoryFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut disk = self.enter(Operation::Read)?;
        let offset = index(offset)?;
        let end = offset.checked_add(buffer.len()).ok_or(io::ErrorKind::InvalidInput)?;
        let bytes = disk.inode(file)?.seen.get(offset..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, file: &MemoryFile, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut disk = self.enter(Operation::Write)?;
        let offset = index(offset)?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        if end > disk.inode(file)?.seen.len() {
            disk.check_space(file, end)?;
        }
        disk.inode(file)?.change(Change::Write { offset, bytes });
        Ok(())
    }

    fn sync(&mut self, file: &MemoryFile) -> io::Result<()> {
        let mut disk = self.enter(Operation::Sync)?;
        if let Some((Operation::Sync, error)) = disk.failing {
            disk.failing = None;
            disk.inode(file)?.unsynced.clear();
            return Err(error.into());
        }
        let inode = disk.inode(file)?;
        for change in std::mem::take(&mut inode.unsynced) {
            change.apply(&mut inode.durable);
        }
        Ok(())
    }

    fn drop_cache(&mut self, file: &MemoryFile) -> io::Result<()> {
        let mut disk = self.enter(Operation::Read)?;
        let inode = disk.inode(file)?;
        inode.seen.clone_from(&inode.durable);
        for change in &inode.unsynced {
            change.apply(&mut inode.seen);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.enter(Operation::Rename)?;
        let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), inode);
        disk.unsynced_names.push(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.enter(Operation::Remove)?;
        disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.unsynced_names.push(NameChange::Removed { name: name.to_owned() });
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut disk = self.enter(Operation::SyncFolder)?;
        disk.unsynced_names.clear();
        disk.durable_names = disk.names.clone();
        Ok(())
    }
}

/// A small source of chance (the SplitMix64 sequence): all that a crash needs, and the same everywhere.
struct Chance {
    state: u64,
}

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than a usize")
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}
