//! A member's disk: the real log over a folder in memory that forgets what was not synced, and the log thread in front
//! of it, which takes simulated time. It may not know when anything happens, only in which order.
//!
//! Beside the real thing it keeps what was *acknowledged*, so that the invariants can compare what a start finds with
//! what was promised.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use log::identity::{Identity, Opened};
use log::memory::MemoryStorage;
use log::{Append, Log, Operation, open_identity};
use node::{Batch, Options, Protocol, decode_record, encode_records};
use raft::{Membership, Recovered, Ticket, Write};
use state::{State, TableSpec};

use crate::chance::Chance;
use crate::sabotage::Sabotage;

/// The consensus group of the keyspace, as the member's own log thread writes it.
const GROUP: u32 = 0;
/// The most operations on files that one append takes: two writes, a sync, a mark, and a roll to a new segment.
const OPERATIONS_OF_AN_APPEND: u64 = 16;

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

/// What a start finds.
pub struct Recovery {
    /// The log, folded.
    pub consensus: Recovered<Batch>,
    /// The state that goes with it.
    pub state: State,
    /// Whether a torn tail was cut.
    pub cut: bool,
    /// Every record's digest, in order.
    pub records: Vec<u64>,
}

/// One member's disk and the thread that writes to it.
pub struct Disk {
    storage: MemoryStorage,
    log: Option<Log<MemoryStorage>>,
    /// Waits for the write that is under way.
    queue: VecDeque<Write<Batch>>,
    under_way: Vec<Write<Batch>>,
    /// Digests of all records that were acknowledged.
    acknowledged: Vec<u64>,
    /// Digests of the records that were under way when the process died or the log failed: any first part of them
    /// may be found.
    doubtful: Vec<u64>,
    sabotage: Option<Sabotage>,
}

/// What came of a write.
pub enum Written {
    /// All up to this ticket is durable; the writes are handed on to whoever keeps count.
    Durable(Ticket, Vec<Write<Batch>>),
    /// The log failed.
    Failed(String),
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(sabotage: Option<Sabotage>) -> Disk {
        Disk {
            storage: MemoryStorage::new(),
            log: None,
            queue: VecDeque::new(),
            under_way: Vec::new(),
            acknowledged: Vec::new(),
            doubtful: Vec::new(),
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
        if !self.under_way.is_empty() || self.queue.is_empty() || self.log.is_none() {
            return (false, None);
        }
        self.under_way = self.queue.drain(..).collect();
        let lie = self.sabotage == Some(Sabotage::AcknowledgeBeforeSync);
        (true, self.under_way.last().filter(|_| lie).map(|write| write.ticket))
    }

    /// The log thread is done with what it began.
    pub fn finish(&mut self) -> Written {
        let log = self.log.as_mut().expect("only an open log is written to");
        let writes = std::mem::take(&mut self.under_way);
        let ticket = writes.last().expect("nothing begins with nothing").ticket;
        let records = encode(&writes);
        let digests = records.iter().map(|record| digest(record));
        if self.sabotage == Some(Sabotage::NeverWrite) {
            return Written::Durable(ticket, writes);
        }
        match append(log, &records) {
            Ok(()) => {
                self.acknowledged.extend(digests);
                Written::Durable(ticket, writes)
            }
            Err(why) => {
                self.doubtful = digests.collect();
                Written::Failed(why)
            }
        }
    }

    /// The next operation of this kind fails.
    pub fn fail_next(&mut self, operation: Operation, error: io::ErrorKind) {
        self.storage.fail_next(operation, error);
    }

    /// Limits the disk to `bytes`, or lifts the limit.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.storage.set_capacity(bytes);
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        let length = |name: &String| self.storage.content(name).map_or(0, |content| content.len() as u64);
        self.storage.names().iter().map(length).sum()
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
        if let Some(log) = &mut self.log
            && !self.under_way.is_empty()
        {
            let records = encode(&self.under_way);
            let digests = records.iter().map(|record| digest(record)).collect();
            if death != Death::Stopped {
                self.storage.halt_after(chance.below(OPERATIONS_OF_AN_APPEND));
            }
            // Whether it got as far as that or not: nobody is left to be told.
            let _ = append(log, &records);
            self.doubtful = digests;
        }
        self.log = None;
        self.queue.clear();
        self.under_way.clear();
        self.storage = match death {
            Death::Stopped | Death::Killed => self.storage.kill(),
            Death::PowerLost => self.storage.crash(chance.next()),
        };
    }

    /// The start itself is to be interrupted after so many operations on files.
    pub fn interrupt_start_after(&mut self, operations: u64) {
        self.storage.halt_after(operations);
    }

    /// Does what a member's start does with its folder.
    ///
    /// # Errors
    /// What the member would say and end with.
    pub fn recover(
        &mut self,
        options: &Options,
        protocols: &[Arc<dyn Protocol>],
        salt: u32,
    ) -> Result<Recovery, String> {
        let identity =
            Identity { ensemble: options.ensemble.clone(), member: options.id.0, name: format!("m{}", options.id.0) };
        let opened = open_identity(&mut self.storage, &identity).map_err(|error| error.to_string())?;
        let log_options = log::Options {
            segment_size: options.limits.segment_bytes,
            salt,
            must_exist: opened == Opened::Known,
            ..log::Options::default()
        };
        let (log, records, report) = Log::open(self.storage.clone(), log_options).map_err(|error| error.to_string())?;
        let members = options.members.iter().map(|member| member.id);
        let mut consensus = Recovered::empty(Membership::of_voters(members));
        let mut digests = Vec::with_capacity(records.len());
        for record in records {
            digests.push(digest(&[record.bytes.clone()]));
            let write = decode_record(record.bytes)
                .ok_or_else(|| format!("record {} of the log cannot be understood", record.sequence))?;
            consensus.absorb(write).map_err(|why| format!("record {}: {why}", record.sequence))?;
        }
        self.log = Some(log);
        let specs: Vec<TableSpec> = protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect();
        Ok(Recovery { consensus, state: State::new(&specs), cut: report.cut.is_some(), records: digests })
    }

    /// What was acknowledged, and what may be there besides.
    #[must_use]
    pub fn promised(&self) -> (&[u64], &[u64]) {
        (&self.acknowledged, &self.doubtful)
    }

    /// From now on exactly this is promised: what a start has found and shown to consensus.
    pub fn promise(&mut self, records: Vec<u64>) {
        self.acknowledged = records;
        self.doubtful.clear();
    }
}

fn encode(writes: &[Write<Batch>]) -> Vec<Vec<Bytes>> {
    writes.iter().cloned().flat_map(encode_records).map(|(_, record)| record).collect()
}

fn append(log: &mut Log<MemoryStorage>, records: &[Vec<Bytes>]) -> Result<(), String> {
    let parts: Vec<Vec<&[u8]>> = records.iter().map(|record| record.iter().map(|part| &part[..]).collect()).collect();
    let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
    log.append(&batch).map(|_| ()).map_err(|error| error.to_string())
}

/// Tells records apart (FNV-1a over all parts, as if they were one piece).
fn digest(parts: &[Bytes]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    parts.iter().flat_map(|part| part.iter()).fold(0xcbf2_9ce4_8422_2325, step)
}
