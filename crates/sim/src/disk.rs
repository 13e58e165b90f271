//! A member's disk: its real log and its real snapshots, by the member's own code, over folders in memory that forget
//! what was not synced; and the log thread in front of it, which takes simulated time. It may not know when anything
//! happens, only in which order.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use log::Operation;
use log::memory::MemoryStorage;
use node::member::SnapshotOrder;
use node::{Batch, LogWriter, Options, Protocol, Recovery, Snapshots, encode_records, recover_from};
use raft::{Recovered, SnapshotMeta, Ticket, Write};
use state::State;

use crate::chance::Chance;
use crate::sabotage::Sabotage;

/// The most operations on files that one append takes: two writes, a sync, a mark, and a roll to a new segment.
const OPERATIONS_OF_AN_APPEND: u64 = 16;
/// The most operations on files that a snapshot of a simulated state takes.
const OPERATIONS_OF_A_SNAPSHOT: u64 = 16;
/// A snapshot is handed on in pieces of this many bytes.
const PIECE_BYTES: usize = 4096;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It was stopped in an orderly way: what it handed to the log thread is written.
    Stopped,
    /// It was killed: what it wrote stays in the system's cache, and reaches the disk.
    Killed,
    /// The power failed: what was not synced is lost in any part.
    PowerLost,
}

/// One member's disk and the threads that write to it.
pub struct Disk {
    log_folder: MemoryStorage,
    snapshot_folder: MemoryStorage,
    writer: Option<LogWriter<MemoryStorage>>,
    snapshots: Option<Snapshots<MemoryStorage>>,
    /// Waits for the write that is under way.
    queue: VecDeque<Write<Batch>>,
    under_way: Vec<Write<Batch>>,
    /// What was under way when a process died or its log failed: a start may find any first part of it.
    doubtful: Vec<Write<Batch>>,
    saving: Option<SnapshotOrder>,
    record_bytes_max: usize,
    sabotage: Option<Sabotage>,
}

/// What came of a write.
pub enum Written {
    /// All up to this ticket is durable; the writes are handed on to whoever keeps count. Giving back space may have
    /// failed all the same.
    Durable(Ticket, Vec<Write<Batch>>, Option<String>),
    /// The log failed.
    Failed(String),
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(segment_bytes: u64, sabotage: Option<Sabotage>) -> Disk {
        Disk {
            log_folder: MemoryStorage::new(),
            snapshot_folder: MemoryStorage::new(),
            writer: None,
            snapshots: None,
            queue: VecDeque::new(),
            under_way: Vec::new(),
            doubtful: Vec::new(),
            saving: None,
            // As the member's log writer cuts records.
            record_bytes_max: usize::try_from(segment_bytes / 8).unwrap_or(usize::MAX),
            sabotage,
        }
    }

    /// Hands a write to the log thread.
    pub fn submit(&mut self, write: Write<Batch>) {
        self.queue.push_back(write);
    }

    /// Lets the log thread begin with everything that waits, if it is idle. The first value is true if it began; the
    /// second is what it (wrongly) acknowledges at once.
    pub fn begin(&mut self) -> (bool, Option<Ticket>) {
        if !self.under_way.is_empty() || self.queue.is_empty() || self.writer.is_none() {
            return (false, None);
        }
        self.under_way = self.queue.drain(..).collect();
        let lie = self.sabotage == Some(Sabotage::AcknowledgeBeforeSync);
        (true, self.under_way.last().filter(|_| lie).map(|write| write.ticket))
    }

    /// The log thread is done with what it began.
    pub fn finish(&mut self) -> Written {
        let writes = std::mem::take(&mut self.under_way);
        let ticket = writes.last().expect("nothing begins with nothing").ticket;
        let writer = self.writer.as_mut().expect("only an open log is written to");
        let kept: Vec<Write<Batch>> = match self.sabotage {
            Some(Sabotage::NeverWrite) => return Written::Durable(ticket, writes, None),
            Some(Sabotage::ForgetVotes) => {
                writes.iter().cloned().map(|write| Write { ballot: None, ..write }).collect()
            }
            _ => writes.clone(),
        };
        match append(writer, kept) {
            Ok(released) => Written::Durable(ticket, writes, released.err()),
            Err(why) => {
                self.doubtful = pieces(writes, self.record_bytes_max);
                Written::Failed(why)
            }
        }
    }

    /// Begins to write down a snapshot.
    pub fn begin_snapshot(&mut self, order: SnapshotOrder) {
        assert!(self.saving.is_none(), "a member orders one snapshot at a time");
        self.saving = Some(order);
    }

    /// The snapshot is written down, or could not be.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn finish_snapshot(&mut self) -> Result<SnapshotMeta, String> {
        let order = self.saving.take().expect("only an ordered snapshot is finished");
        let snapshots = self.snapshots.as_mut().expect("only a running process writes snapshots");
        snapshots.save(&order.meta, &order.state).map_err(|why| why.to_string())?;
        Ok(order.meta)
    }

    /// The snapshot is not written down.
    ///
    /// # Errors
    /// Always.
    pub fn abandon_snapshot(&mut self) -> Result<SnapshotMeta, String> {
        self.saving = None;
        Err("given up".into())
    }

    /// The newest snapshot, as it travels: `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn newest_snapshot(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(snapshots) = &mut self.snapshots else { return Ok(None) };
        let Some(file) = snapshots.newest_file()? else { return Ok(None) };
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < file.length {
            bytes.extend(snapshots.read(&file, bytes.len() as u64, PIECE_BYTES)?);
        }
        Ok(Some(bytes))
    }

    /// Receives the first `length` bytes of a peer's snapshot, and keeps it if that is all of it.
    ///
    /// # Errors
    /// It was not whole, or could not be written.
    pub fn receive_snapshot(&mut self, bytes: &[u8], length: usize) -> io::Result<(SnapshotMeta, State)> {
        let Some(snapshots) = &mut self.snapshots else { return Err(io::ErrorKind::NotConnected.into()) };
        let file = snapshots.begin_receiving()?;
        let mut at = 0;
        for piece in bytes[..length].chunks(PIECE_BYTES) {
            snapshots.receive(&file, at, piece)?;
            at += piece.len() as u64;
        }
        if length < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        snapshots.finish_receiving(&file, at)
    }

    /// The next operation of this kind on the log fails.
    pub fn fail_next(&mut self, operation: Operation, error: io::ErrorKind) {
        self.log_folder.fail_next(operation, error);
    }

    /// The next operation of this kind on a snapshot fails.
    pub fn fail_next_of_snapshot(&mut self, operation: Operation, error: io::ErrorKind) {
        self.snapshot_folder.fail_next(operation, error);
    }

    /// Leaves room for so many more bytes in each folder, or lifts the limit.
    pub fn set_room(&mut self, bytes: Option<u64>) {
        for folder in [&self.log_folder, &self.snapshot_folder] {
            let length = |name: &String| folder.content(name).map_or(0, |content| content.len() as u64);
            let used: u64 = folder.names().iter().map(length).sum();
            folder.set_capacity(bytes.map(|bytes| used + bytes));
        }
    }

    /// Whether a write is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The process ends, perhaps in the middle of a write.
    pub fn die(&mut self, death: Death, chance: &mut Chance) {
        if death == Death::Stopped {
            self.under_way.extend(self.queue.drain(..));
        }
        if let Some(mut writer) = self.writer.take()
            && !self.under_way.is_empty()
        {
            let writes = std::mem::take(&mut self.under_way);
            self.doubtful = pieces(writes.clone(), self.record_bytes_max);
            if death != Death::Stopped {
                self.log_folder.halt_after(chance.below(OPERATIONS_OF_AN_APPEND));
            }
            // Whether it got as far as that or not: nobody is left to be told.
            let _ = append(&mut writer, writes);
        }
        if let (Some(mut snapshots), Some(order)) = (self.snapshots.take(), self.saving.take()) {
            self.snapshot_folder.halt_after(chance.below(OPERATIONS_OF_A_SNAPSHOT));
            let _ = snapshots.save(&order.meta, &order.state);
        }
        self.queue.clear();
        self.under_way.clear();
        for folder in [&mut self.log_folder, &mut self.snapshot_folder] {
            *folder = match death {
                Death::Stopped | Death::Killed => folder.kill(),
                Death::PowerLost => folder.crash(chance.next()),
            };
        }
    }

    /// The start itself is to be interrupted after so many operations on the log.
    pub fn interrupt_start_after(&mut self, operations: u64) {
        self.log_folder.halt_after(operations);
    }

    /// Does what a member's start does with its folders.
    ///
    /// # Errors
    /// What the member would say and end with.
    pub fn recover(
        &mut self,
        options: &Options,
        protocols: &[Arc<dyn Protocol>],
        salt: u32,
    ) -> Result<(Recovered<Batch>, State), String> {
        let name = format!("m{}", options.id.0);
        let folders = (self.log_folder.clone(), self.snapshot_folder.clone());
        let Recovery { writer, snapshots, consensus, state, .. } =
            recover_from(folders.0, folders.1, options, &name, protocols, salt).map_err(|why| why.to_string())?;
        self.writer = Some(writer);
        self.snapshots = Some(snapshots);
        Ok((consensus, state))
    }

    /// What a start may find beyond what was acknowledged, in order: any first part of it. From now on there is
    /// nothing of the kind, for what a start has found is acknowledged.
    pub fn take_doubtful(&mut self) -> Vec<Write<Batch>> {
        std::mem::take(&mut self.doubtful)
    }
}

/// The writes as records cut them.
fn pieces(writes: Vec<Write<Batch>>, record_bytes_max: usize) -> Vec<Write<Batch>> {
    let records = writes.into_iter().flat_map(|write| encode_records(write, record_bytes_max));
    records.map(|(piece, _)| piece).collect()
}

/// What the log thread does with a batch. The outer result is about writing, the inner one about giving back space.
fn append(writer: &mut LogWriter<MemoryStorage>, writes: Vec<Write<Batch>>) -> Result<Result<(), String>, String> {
    let base = writes.iter().rev().find_map(|write| write.base.as_ref().map(|base| base.last.index));
    writer.write(writes).map_err(|why| why.to_string())?;
    Ok(base.map_or(Ok(()), |base| writer.release(base)).map_err(|why| why.to_string()))
}
