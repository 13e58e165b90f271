//! Snapshots in files: the state after some entry, with what consensus must know of that entry.
//!
//! A file is written under a temporary name, synced, renamed, and the folder synced; the one before stays until the
//! next one is there. Layout: magic (4), format (1), length of the head (4), head, CRC-32C of all before it (4), then
//! the blocks of the state, each with its own checksum. This file may not know when a snapshot is due.

use std::io::{self, IoSlice};

use bytes::Bytes;
use log::Storage;
use raft::{Index, SnapshotMeta};
use state::snapshot::{HEADER_BYTES, Restore, block_bytes};
use state::{State, TableSpec};

use crate::codec::{Reader, Writer};

const MAGIC: [u8; 4] = *b"CSNP";
const FORMAT: u8 = 1;
const PREFIX: &str = "snapshot-";
const UNFINISHED: &str = ".unfinished";
const DAMAGED: &str = ".damaged";
/// A head holds a log id and a membership; nothing sensible comes near this.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const FIXED_BYTES: usize = 9;
/// How many complete snapshots are kept.
const KEEP: usize = 2;

/// The snapshots of one member.
pub struct Snapshots<S: Storage> {
    storage: S,
    specs: Vec<TableSpec>,
}

/// The newest snapshot that is whole, if there is one, and what was wrong with newer ones.
pub(crate) type Newest = (Option<(SnapshotMeta, State)>, Vec<String>);

/// A file of a snapshot, to be read piece by piece.
pub struct SnapshotFile<F> {
    file: F,
    /// Its length in bytes.
    pub length: u64,
    /// Where it stands.
    pub meta: SnapshotMeta,
}

impl<S: Storage> Snapshots<S> {
    /// Opens the folder and removes what was left unfinished.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn open(mut storage: S, specs: Vec<TableSpec>) -> io::Result<Snapshots<S>> {
        for name in storage.list()? {
            if name.ends_with(UNFINISHED) {
                storage.remove(&name)?;
            }
        }
        Ok(Snapshots { storage, specs })
    }

    /// To look at files without touching any.
    #[must_use]
    pub fn look(storage: S, specs: Vec<TableSpec>) -> Snapshots<S> {
        Snapshots { storage, specs }
    }

    /// Reads the file of this name from its first to its last byte.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn read_whole(&mut self, name: &str) -> io::Result<(SnapshotMeta, State)> {
        let file = self.storage.open(name)?;
        let length = self.storage.length(&file)?;
        self.load(&file, length)
    }

    /// Writes a snapshot durably, and removes all but the newest ones.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn save(&mut self, meta: &SnapshotMeta, state: &State) -> io::Result<()> {
        let name = name_of(meta.last.index);
        let unfinished = format!("{name}{UNFINISHED}");
        let file = self.create(&unfinished)?;
        let mut at = 0;
        for piece in snapshot_pieces(meta, state) {
            self.storage.write_at(&file, at, &[IoSlice::new(&piece)])?;
            at += piece.len() as u64;
        }
        self.finish(&file, &unfinished, &name)
    }

    /// Begins to write down a snapshot that comes from a peer.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn begin_receiving(&mut self) -> io::Result<S::File> {
        self.create(&received_name())
    }

    /// Writes down a piece of it.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn receive(&mut self, file: &S::File, at: u64, piece: &[u8]) -> io::Result<()> {
        self.storage.write_at(file, at, &[IoSlice::new(piece)])
    }

    /// Checks what was received from the first to the last byte and keeps it.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn finish_receiving(&mut self, file: &S::File, length: u64) -> io::Result<(SnapshotMeta, State)> {
        let (meta, state) = self.load(file, length)?;
        let name = name_of(meta.last.index);
        self.finish(file, &received_name(), &name)?;
        Ok((meta, state))
    }

    /// The newest snapshot that is whole, and what was wrong with newer ones.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn newest(&mut self) -> io::Result<Newest> {
        let mut problems = Vec::new();
        for name in self.names()?.into_iter().rev() {
            let file = self.storage.open(&name)?;
            let length = self.storage.length(&file)?;
            match self.load(&file, length) {
                Ok(found) => return Ok((Some(found), problems)),
                Err(problem) => {
                    // Out of the way, so that it is neither sent to a peer nor counted as one to fall back to.
                    self.storage.rename(&name, &format!("{name}{DAMAGED}"))?;
                    self.storage.sync_folder()?;
                    problems.push(format!("{name}: {problem}"));
                }
            }
        }
        Ok((None, problems))
    }

    /// The newest snapshot, to be sent to a peer. Its blocks are checked by whoever receives it.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn newest_file(&mut self) -> io::Result<Option<SnapshotFile<S::File>>> {
        let Some(name) = self.names()?.pop() else { return Ok(None) };
        let file = self.storage.open(&name)?;
        let length = self.storage.length(&file)?;
        let (meta, _) = self.load_head(&file)?;
        Ok(Some(SnapshotFile { file, length, meta }))
    }

    /// A piece of a snapshot, at most `most` bytes; empty at the end.
    ///
    /// # Errors
    /// The storage's own, or that what was read is no whole snapshot.
    pub fn read(&mut self, snapshot: &SnapshotFile<S::File>, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let rest = usize::try_from(snapshot.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut piece = vec![0; rest.min(most)];
        self.storage.read_at(&snapshot.file, at, &mut piece)?;
        Ok(piece)
    }

    fn create(&mut self, name: &str) -> io::Result<S::File> {
        if self.storage.list()?.iter().any(|existing| existing == name) {
            self.storage.remove(name)?;
        }
        self.storage.create(name)
    }

    fn finish(&mut self, file: &S::File, unfinished: &str, name: &str) -> io::Result<()> {
        self.storage.sync(file)?;
        self.storage.rename(unfinished, name)?;
        self.storage.sync_folder()?;
        let names = self.names()?;
        for old in names.iter().take(names.len().saturating_sub(KEEP)) {
            self.storage.remove(old)?;
        }
        self.storage.sync_folder()
    }

    /// Complete snapshots, the newest last.
    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = self.storage.list()?;
        names.retain(|name| name.starts_with(PREFIX) && !name.ends_with(UNFINISHED) && !name.ends_with(DAMAGED));
        names.sort();
        Ok(names)
    }

    fn load(&mut self, file: &S::File, length: u64) -> io::Result<(SnapshotMeta, State)> {
        let (meta, mut at) = self.load_head(file)?;
        let mut restore = Restore::new(&self.specs);
        let mut block = Vec::new();
        while at < length {
            let mut header = [0; HEADER_BYTES];
            self.storage.read_at(file, at, &mut header)?;
            block.resize(block_bytes(&header).map_err(io::Error::other)?, 0);
            self.storage.read_at(file, at, &mut block)?;
            restore.push(&block).map_err(io::Error::other)?;
            at += block.len() as u64;
        }
        let state = restore.finish().map_err(io::Error::other)?;
        Ok((meta, state))
    }

    fn load_head(&mut self, file: &S::File) -> io::Result<(SnapshotMeta, u64)> {
        let mut fixed = [0; FIXED_BYTES];
        self.storage.read_at(file, 0, &mut fixed)?;
        let [a, b, c, d, format, length @ ..] = fixed;
        if [a, b, c, d] != MAGIC || format != FORMAT {
            return Err(io::Error::other("it is no snapshot of a format that this version knows"));
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > HEAD_BYTES_MAX {
            return Err(io::Error::other(format!("its head has {length} bytes, the limit is {HEAD_BYTES_MAX}")));
        }
        let mut rest = vec![0; length + 4];
        self.storage.read_at(file, FIXED_BYTES as u64, &mut rest)?;
        let checksum = rest.split_off(length);
        if checksum != crc32c::crc32c_append(crc32c::crc32c(&fixed), &rest).to_le_bytes() {
            return Err(io::Error::other("its head does not fit its checksum"));
        }
        let mut reader = Reader::new(rest.into());
        let meta = reader.snapshot_meta().and_then(|meta| reader.end(meta));
        let meta = meta.ok_or_else(|| io::Error::other("its head cannot be understood"))?;
        Ok((meta, (FIXED_BYTES + length + 4) as u64))
    }
}

/// A snapshot as it stands in a file, piece by piece.
pub(crate) fn snapshot_pieces(meta: &SnapshotMeta, state: &State) -> impl Iterator<Item = Bytes> + Send + use<> {
    std::iter::once(head(meta)).chain(state.snapshot())
}

fn head(meta: &SnapshotMeta) -> Bytes {
    let mut writer = Writer::default();
    writer.snapshot_meta(meta);
    let length = u32::try_from(writer.len()).expect("a membership is far below 4 GiB");
    let mut bytes = MAGIC.to_vec();
    bytes.push(FORMAT);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend(writer.finish().concat());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.into()
}

fn name_of(index: Index) -> String {
    format!("{PREFIX}{:020}", index.0)
}

fn received_name() -> String {
    format!("received{UNFINISHED}")
}

#[cfg(test)]
mod tests {
    use log::memory::MemoryStorage;
    use raft::{LogId, Membership, NodeId, Term};
    use state::{History, LeaseId, TableId};

    use super::*;

    const TABLE: TableId = TableId(0x10);

    fn specs() -> Vec<TableSpec> {
        vec![TableSpec { id: TABLE, name: "test", history: History::Kept }]
    }

    fn meta(index: u64) -> SnapshotMeta {
        let membership = Membership::of_voters([NodeId(1), NodeId(2), NodeId(3)]);
        SnapshotMeta { last: LogId::new(Term(2), Index(index)), membership }
    }

    fn state(rows: u32) -> State {
        let mut state = State::new(&specs());
        for row in 0..rows {
            let mut transaction = state.begin(1);
            transaction.put(TABLE, &row.to_be_bytes(), b"value", LeaseId::NONE);
            transaction.finish();
        }
        state
    }

    #[test]
    fn the_newest_snapshot_comes_back_and_older_ones_go() {
        let mut snapshots = Snapshots::open(MemoryStorage::default(), specs()).expect("opens");
        for index in [10, 20, 30] {
            snapshots.save(&meta(index), &state(100)).expect("saves");
        }
        let (found, problems) = snapshots.newest().expect("reads");
        let (found_meta, found_state) = found.expect("there is one");
        assert_eq!((found_meta, problems.len()), (meta(30), 0));
        assert_eq!(found_state.hash(), state(100).hash());
        assert_eq!(snapshots.names().expect("lists").len(), KEEP);
    }

    #[test]
    fn a_damaged_snapshot_is_passed_over_with_its_name() {
        let mut snapshots = Snapshots::open(MemoryStorage::default(), specs()).expect("opens");
        snapshots.save(&meta(10), &state(10)).expect("saves");
        snapshots.save(&meta(20), &state(20)).expect("saves");
        let name = name_of(Index(20));
        let file = snapshots.storage.open(&name).expect("opens");
        let length = snapshots.storage.length(&file).expect("has a length");
        for at in 0..length {
            let mut byte = [0];
            snapshots.storage.read_at(&file, at, &mut byte).expect("reads");
            snapshots.storage.write_at(&file, at, &[IoSlice::new(&[byte[0] ^ 0x10])]).expect("writes");
            let (found, problems) = snapshots.newest().expect("reads");
            assert_eq!(found.map(|(meta, _)| meta.last.index), Some(Index(10)), "byte {at}");
            assert!(problems[0].starts_with(&name), "byte {at}: {problems:?}");
            snapshots.storage.write_at(&file, at, &[IoSlice::new(&byte)]).expect("writes");
            snapshots.storage.rename(&format!("{name}{DAMAGED}"), &name).expect("was moved out of the way");
        }
    }

    #[test]
    fn what_a_peer_sends_is_kept_only_if_it_is_whole() {
        let mut sender = Snapshots::open(MemoryStorage::default(), specs()).expect("opens");
        sender.save(&meta(10), &state(1000)).expect("saves");
        let file = sender.newest_file().expect("reads").expect("there is one");
        for cut in [0, 1] {
            let mut receiver = Snapshots::open(MemoryStorage::default(), specs()).expect("opens");
            let target = receiver.begin_receiving().expect("creates");
            let mut at = 0;
            while at + cut < file.length {
                let most = usize::try_from((file.length - cut - at).min(1000)).expect("small");
                let piece = sender.read(&file, at, most).expect("reads");
                receiver.receive(&target, at, &piece).expect("writes");
                at += piece.len() as u64;
            }
            let finished = receiver.finish_receiving(&target, at);
            assert_eq!(finished.is_ok(), cut == 0);
            let kept = receiver.newest().expect("reads").0.map(|(meta, state)| (meta, state.hash()));
            assert_eq!(kept, (cut == 0).then(|| (meta(10), state(1000).hash())));
        }
    }
}
