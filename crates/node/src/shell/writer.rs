//! The log thread: turns writes of the consensus core into records, one sync for all that wait. It may not know
//! what the entries mean. While one sync runs the next batch forms, so batches grow with load by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use bytes::Bytes;
use log::{Append, AppendError, Log, Sequence, Storage};
use raft::{Index, LogId, Write};
use tracing::warn;

use crate::handle::Shared;
use crate::member::Event;
use crate::record::{Promise, encode_missing, encode_records};
use crate::{Batch, Options};

/// The consensus group of the keyspace; there is only this one so far.
pub(crate) const GROUP: u32 = 0;

/// Where in the log the entries are, as far as giving back segments needs to know.
///
/// A log that begins in the middle is read from a record R on, as if it began behind R's `previous`. That gives the
/// same result as the whole if (1) what is left holds a record with a base at or behind that place, and a ballot at or
/// behind the newest before R, and (2) no later record reaches back before it. Every record carries the ballot, and for
/// a base at entry C, R is the last record whose `previous` is at or before C: `places` holds just the records that can
/// be that for some C.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Strictly increasing in both.
    places: Vec<(Sequence, Index)>,
    /// What all of it promises together.
    promise: Promise,
    /// The newest record that says that something was lost, as long as it is.
    missing: Option<(Sequence, LogId)>,
}

impl Layout {
    /// A record was added behind the others.
    pub(super) fn add(&mut self, sequence: Sequence, write: &Write<Batch>) {
        self.promise.add(write);
        self.missing = self.missing.filter(|&(_, lost)| self.promise.last < lost);
        let previous = write.previous.index;
        while self.places.last().is_some_and(|&(_, place)| place >= previous) {
            self.places.pop();
        }
        self.places.push((sequence, previous));
    }

    /// A record was added that says that something was lost.
    pub(super) fn add_missing(&mut self, sequence: Sequence, lost: LogId) {
        self.missing = Some((sequence, lost)).filter(|_| self.promise.last < lost);
    }

    /// What was lost and is not back.
    pub(super) fn missing(&self) -> Option<LogId> {
        self.missing.map(|(_, lost)| lost)
    }

    /// The record from which the log must be kept, for a log whose base is at `base`.
    fn keep_from(&self, base: Index) -> Option<Sequence> {
        let position = self.places.partition_point(|&(_, place)| place <= base);
        Some(self.places[position.checked_sub(1)?].0)
    }

    fn forget_before(&mut self, sequence: Sequence) {
        self.places.retain(|&(place, _)| place >= sequence);
    }
}

/// How long the disk takes, from the log thread to the core thread, in nanoseconds. Only for people to read.
#[derive(Debug, Default)]
pub(super) struct SyncTimes {
    newest: AtomicU64,
    /// Since it was last taken; 0 if nothing was written.
    worst: AtomicU64,
}

impl SyncTimes {
    fn note(&self, took: u64) {
        self.newest.store(took, Ordering::Relaxed);
        self.worst.fetch_max(took.max(1), Ordering::Relaxed);
    }

    /// The newest time and the worst one since this was last asked, if there was one.
    pub(super) fn take(&self) -> Option<(u64, u64)> {
        if self.worst.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let worst = self.worst.swap(0, Ordering::Relaxed);
        Some((self.newest.load(Ordering::Relaxed), worst))
    }
}

/// The log, and what its thread knows of it.
pub struct LogWriter<S: Storage> {
    pub(super) log: Log<S>,
    pub(super) layout: Layout,
    /// Bytes of a segment: records and batches stay well below it.
    pub(super) segment_bytes: u64,
    pub(super) times: Arc<SyncTimes>,
}

impl<S: Storage> LogWriter<S> {
    /// How long the disk takes, kept up to date by the log thread.
    pub(super) fn times(&self) -> Arc<SyncTimes> {
        self.times.clone()
    }

    /// The random number that this data folder has from its beginning, by which peers tell it from any other that comes
    /// under the same id. Made of the log's salt, which is in every segment and survives every repair.
    pub(super) fn folder_number(&self, options: &Options) -> u64 {
        let salt = self.log.salt().to_le_bytes();
        let named = crc32c::crc32c_append(crc32c::crc32c(options.ensemble.as_bytes()), &options.id.0.to_le_bytes());
        u64::from(crc32c::crc32c_append(named, &salt)) << 32 | u64::from(crc32c::crc32c_append(!named, &salt))
    }

    /// Works until there is nobody left to work for, or the log fails for good.
    pub(super) fn run(mut self, writes: &Receiver<Write<Batch>>, shared: &Arc<Shared>) {
        while let Ok(first) = writes.recv() {
            let batch: Vec<Write<Batch>> = std::iter::once(first).chain(writes.try_iter()).collect();
            let ticket = batch.last().expect("at least the first").ticket;
            let base = batch.iter().rev().find_map(|write| write.base.as_ref().map(|base| base.last.index));
            let written = self.write(batch).and_then(|()| {
                shared.inbox.post(Event::Written(ticket));
                base.map_or(Ok(()), |base| self.release(base))
            });
            if let Err(failure) = written {
                shared.inbox.post(Event::LogFailed { why: failure.to_string() });
                return;
            }
        }
        // So that the next start can tell the end of the log from a torn one.
        if let Err(failure) = self.log.close() {
            warn!("the log was not closed cleanly: {failure}");
        }
    }

    /// Makes all writes durable, with one sync unless they are more than fits half a segment.
    ///
    /// # Errors
    /// The log's own; after one of them nothing more is written.
    pub fn write(&mut self, batch: Vec<Write<Batch>>) -> Result<(), AppendError> {
        let half = usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX);
        let mut ballot = self.layout.promise.ballot;
        let mut pieces: Vec<(Write<Batch>, Vec<Bytes>)> = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        for mut write in batch {
            ballot = write.ballot.unwrap_or(ballot);
            // In every record, so that no damage to one of them makes this member forget what it promised.
            write.ballot = Some(ballot);
            for piece in encode_records(write, half / 4) {
                let length: usize = piece.1.iter().map(Bytes::len).sum();
                if bytes + length > half && !pieces.is_empty() {
                    self.append(&pieces)?;
                    pieces.clear();
                    bytes = 0;
                }
                bytes += length;
                pieces.push(piece);
            }
        }
        self.append(&pieces)
    }

    /// One write and one sync. The numbers of a batch that fits a segment follow each other.
    fn append(&mut self, pieces: &[(Write<Batch>, Vec<Bytes>)]) -> Result<(), AppendError> {
        let parts: Vec<Vec<&[u8]>> =
            pieces.iter().map(|(_, record)| record.iter().map(|part| &part[..]).collect()).collect();
        let appends: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
        let began = Instant::now();
        let mut promise = self.layout.promise;
        pieces.iter().for_each(|(write, _)| promise.add(write));
        promise.last = promise.last.max(self.layout.missing().unwrap_or_default());
        let last = self.log.append_noted(&appends, &promise.encode())?;
        self.times.note(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let first = last.0 + 1 - pieces.len() as u64;
        for (offset, (write, _)) in pieces.iter().enumerate() {
            self.layout.add(Sequence(first + offset as u64), write);
        }
        Ok(())
    }

    /// Gives back the segments that a log with its base at this entry does not need.
    ///
    /// # Errors
    /// The log's own; after one of them nothing more is written.
    pub fn release(&mut self, base: Index) -> Result<(), AppendError> {
        let Some(keep_from) = self.layout.keep_from(base) else { return Ok(()) };
        if let Some((_, lost)) = self.layout.missing.filter(|&(at, _)| at < keep_from) {
            let record = encode_missing(lost);
            let at = self.log.append(&[Append { group: GROUP, parts: &[&record] }])?;
            self.layout.add_missing(at, lost);
        }
        self.log.release(keep_from)?;
        self.layout.forget_before(keep_from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log::memory::MemoryStorage;
    use raft::{Body, Entry, Membership, NodeId, Recovered, SnapshotMeta, Term, Ticket};

    use super::*;
    use crate::Fold;
    use crate::record::decode_record;

    const SEGMENT: u64 = 64 * 1024;

    fn open(storage: MemoryStorage) -> (LogWriter<MemoryStorage>, Recovered<Batch>) {
        let options = log::Options { segment_size: SEGMENT, ..log::Options::default() };
        let (log, records, _) = Log::open(storage, options).expect("the log opens");
        let mut layout = Layout::default();
        let mut fold = Fold::new(Membership::default());
        for record in records {
            let write = decode_record(record.bytes).expect("the record decodes");
            layout.add(record.sequence, &write);
            fold.add(write).expect("the record fits");
        }
        let folded = fold.finish().expect("the log says where it begins");
        (LogWriter { log, layout, segment_bytes: SEGMENT, times: Arc::default() }, folded)
    }

    fn entry(term: u64, fill: u8, length: usize) -> Entry<Batch> {
        Entry { term: Term(term), body: Body::Command(Batch::seal(&[vec![fill; length].into()])) }
    }

    fn write(previous: (u64, u64), cut: Option<u64>, append: Vec<Entry<Batch>>) -> Write<Batch> {
        let previous = LogId::new(Term(previous.0), Index(previous.1));
        Write { ticket: Ticket(1), ballot: None, cut: cut.map(Index), base: None, previous, append }
    }

    fn base(previous: (u64, u64), term: u64, at: u64) -> Write<Batch> {
        let last = LogId::new(Term(term), Index(at));
        let meta = SnapshotMeta { last, membership: Membership::of_voters([NodeId(1)]) };
        Write { base: Some(meta), ..write(previous, None, Vec::new()) }
    }

    /// A log and what it folds to as a whole, for comparison.
    struct Pair {
        writer: LogWriter<MemoryStorage>,
        whole: Recovered<Batch>,
    }

    impl Pair {
        fn new() -> Pair {
            Pair { writer: open(MemoryStorage::default()).0, whole: Recovered::default() }
        }

        fn write(&mut self, write: Write<Batch>) {
            self.whole.absorb(write.clone()).expect("fits the whole");
            self.writer.write(vec![write]).expect("writes");
        }

        /// Releases, starts anew, and compares with the whole.
        fn release_and_reopen(self, at: u64) -> Pair {
            let Pair { mut writer, whole } = self;
            let segments = writer.log.status().segments;
            writer.release(Index(at)).expect("releases");
            assert!(writer.log.status().segments < segments, "something was given back");
            let (writer, folded) = open(writer.log.close().expect("closes"));
            assert_eq!(folded, whole);
            Pair { writer, whole }
        }
    }

    #[test]
    fn a_log_that_gave_back_its_beginning_is_read_as_the_rest_of_the_whole() {
        let mut pair = Pair::new();
        let voted = raft::Ballot { term: Term(1), vote: Some(NodeId(3)) };
        pair.write(Write { ballot: Some(voted), ..write((0, 0), None, vec![entry(1, 0, 10)]) });
        for index in 1..40 {
            pair.write(write((1, index), None, vec![entry(1, 1, 9000)]));
        }
        // A leader of term 2 replaces the end, reaching back over several records.
        pair.write(write((1, 30), Some(31), vec![entry(2, 2, 9000); 4]));
        pair.write(base((2, 34), 1, 29));
        let mut pair = pair.release_and_reopen(29);
        pair.write(write((2, 34), None, vec![entry(2, 5, 10)]));
    }

    #[test]
    fn a_log_may_give_back_its_beginning_again_and_again() {
        let mut pair = Pair::new();
        for round in 0..5_u64 {
            for index in round * 40..(round + 1) * 40 {
                pair.write(write((u64::from(index > 0), index), None, vec![entry(1, 1, 9000)]));
            }
            // As a member does: behind a snapshot the log begins at the snapshot before that.
            if let Some(at) = (round * 40).checked_sub(15) {
                pair.write(base((1, (round + 1) * 40), 1, at));
                pair = pair.release_and_reopen(at);
            }
        }
    }

    #[test]
    fn a_follower_that_installed_a_snapshot_far_ahead_starts_again() {
        let mut pair = Pair::new();
        for index in 0..40 {
            pair.write(write((u64::from(index > 0), index), None, vec![entry(1, 1, 9000)]));
        }
        let installed =
            Write { cut: Some(Index(1)), previous: LogId::new(Term(2), Index(100)), ..base((2, 100), 2, 100) };
        pair.write(installed);
        let mut pair = pair.release_and_reopen(100);
        pair.write(write((2, 100), None, vec![entry(2, 5, 10)]));
    }

    #[test]
    fn a_log_that_begins_in_the_middle_without_saying_so_is_refused() {
        let mut fold = Fold::new(Membership::default());
        fold.add(write((1, 5), None, vec![entry(1, 1, 10)])).expect("may be the rest of a log");
        let refused = fold.finish().expect_err("nothing said that it may begin there");
        assert!(refused.to_string().contains("begins behind entry 5@1"), "{refused}");
    }

    #[test]
    fn a_batch_larger_than_a_segment_is_written_in_pieces_whose_places_are_known() {
        let (mut writer, _) = open(MemoryStorage::default());
        let writes = (0..60).map(|index| write((u64::from(index > 0), index), None, vec![entry(1, 3, 4000)]));
        let writes: Vec<Write<Batch>> = writes.collect();
        let mut whole = Recovered::<Batch>::default();
        for write in &writes {
            whole.absorb(write.clone()).expect("fits");
        }
        writer.write(writes).expect("writes");
        let places = writer.layout.places.clone();
        let (reopened, folded) = open(writer.log.close().expect("closes"));
        assert_eq!(folded, whole);
        assert_eq!(reopened.layout.places, places);
    }
}
