//! The log while it runs: append, roll, release. How it is opened stands in `recovery.rs`.
//!
//! Order of steps is all that protects it; each sequence below is safe to interrupt between any two steps.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use bytes::Bytes;

use crate::batch::{Append, Encoded, Place};
use crate::disk::Disk;
use crate::error::{AppendError, Failure};
use crate::format::{
    HEADER_BLOCK, Kind, NOTE_MAX, RECORD_HEADER, RELEASE_RECORD, RESERVED, RecordHeader, SegmentHeader, body_checksum,
    padding, record_size, segment_name, spare_name,
};
use crate::mutants::mutated;
use crate::options::Options;
use crate::segment::{Active, Sealed, make_segment, unmade_for_space};
use crate::storage::Storage;

/// How far ahead of the records a new segment is filled with zeros, in bytes: short enough to pass unnoticed in a
/// sync, long enough to be rare.
const WRITE_AHEAD: u64 = 1 << 20;

/// Number of a record: from 1, strictly increasing in the order of the log. The log uses some numbers for records of
/// its own (seals, releases), so the numbers of a user's records may have gaps; those of one batch have none unless it
/// is longer than a segment. The number of an acknowledged record is never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record that was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub group: u32,
    /// Its number.
    pub sequence: Sequence,
    /// Its content.
    pub bytes: Bytes,
}

/// What the log holds, for people and metrics.
#[derive(Clone, Debug)]
pub struct Status {
    /// Sequence of the oldest record that is still held (or will be, if the log is empty).
    pub first: Sequence,
    /// The newest sequence; it and all before it are durable. 0 if there is none.
    pub last: Sequence,
    /// Generation of the segment that is being written.
    pub generation: u64,
    /// Where in that segment the next record goes, in bytes.
    pub position: u64,
    /// Bytes of that segment.
    pub segment_size: u64,
    /// How many segments are live.
    pub segments: usize,
    /// Bytes from the beginning of the oldest live segment to the end of the log: what a restart reads, and what grows
    /// until something is released.
    pub bytes: u64,
    /// How many released segments wait to be used again.
    pub spares: usize,
    /// The failure that ended the log, if any.
    pub failure: Option<Failure>,
}

/// The log of one node. One owner writes; it does its own I/O on the calling thread.
///
/// Invariants:
/// - generations of `sealed`, then that of `active`, are contiguous and ascending;
/// - everything before `next` is durable whenever no call is running;
/// - once `failure` is set nothing is written any more.
pub struct Log<S: Storage> {
    pub(crate) disk: Disk<S>,
    pub(crate) options: Options,
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: Active<S::File>,
    /// Names of released segments of the size in `options`.
    pub(crate) spares: Vec<String>,
    /// The next sequence to give out.
    pub(crate) next: u64,
    /// What the user said of the newest batch, for the marks.
    pub(crate) note: Vec<u8>,
    pub(crate) failure: Option<Failure>,
}

impl<S: Storage> Log<S> {
    /// Appends a batch and returns when it is durable: the sequence of its last record (of the last record of all, if
    /// the batch is empty). The others have the numbers before it.
    ///
    /// One vectored write and one sync; two small writes more where a segment is full. A batch that does not fit in
    /// what is left of the segment goes to the next; only one that is longer than a segment is written in pieces.
    pub fn append(&mut self, batch: &[Append<'_>]) -> Result<Sequence, AppendError> {
        let note = self.note.clone();
        self.append_noted(batch, &note)
    }

    /// As [`append`](Log::append), with a note of at most [`NOTE_MAX`](crate::NOTE_MAX) bytes that goes into the mark
    /// behind the batch. If the batch is damaged later, [`salvage`](crate::salvage) may find the note: what the user
    /// must know of records that it will never read again.
    ///
    /// # Panics
    /// The note is too long.
    pub fn append_noted(&mut self, batch: &[Append<'_>], note: &[u8]) -> Result<Sequence, AppendError> {
        assert!(note.len() <= NOTE_MAX, "a note of {} bytes, the limit is {NOTE_MAX}", note.len());
        self.alive()?;
        self.check_lengths(batch)?;
        let mut rest = batch;
        while let Some(first) = rest.first() {
            let total: u64 = rest.iter().map(|record| record_size(record.length())).sum();
            let empty = self.active.position == HEADER_BLOCK;
            if record_size(first.length()) > self.room() || (total > self.room() && !empty) {
                self.roll().map_err(|error| after(error, batch.len() - rest.len()))?;
            }
            let (piece, others) = rest.split_at(self.fitting(rest));
            if others.is_empty() {
                // Not before: a mark in the middle of the batch must not speak of all of it.
                self.note = note.to_vec();
            }
            self.put(Kind::Data, piece)?;
            rest = others;
        }
        Ok(self.last())
    }

    /// Gives back the segments all of whose records are below `before`, for reuse. Records below `before` in the
    /// oldest segment that stays are found again by the next open. Durable when it returns.
    ///
    /// Order: a release record is made durable; then the files are renamed (or removed), then the folder is synced.
    /// Open finishes what a crash interrupts.
    pub fn release(&mut self, before: Sequence) -> Result<(), AppendError> {
        self.alive()?;
        let next_first = |position: usize| self.sealed.get(position + 1).map_or(self.active.header.first, |s| s.first);
        let count = (0..self.sealed.len()).take_while(|&position| next_first(position) <= before.0).count();
        if count == 0 {
            return Ok(());
        }
        let oldest = self.sealed.get(count).map_or(self.active.header.generation, |segment| segment.generation);
        // A release may use the space that other records leave free, but only once in a segment.
        if self.active.position + RELEASE_RECORD + RECORD_HEADER > self.active.header.size {
            self.roll()?;
        }
        self.put(Kind::Release, &[Append { group: 0, parts: &[&oldest.to_le_bytes()] }])?;
        let released: Vec<Sealed> = self.sealed.drain(..count).collect();
        let result = self.recycle(&released);
        self.note(result).map_err(AppendError::Failed)
    }

    /// Makes the end of the log recognisable as such (see the crate's rule of the tail) and returns the storage.
    pub fn close(mut self) -> Result<S, AppendError> {
        self.alive()?;
        self.disk.sync(&self.active.file)?;
        Ok(self.disk.storage)
    }

    /// The salt that the log has from its beginning.
    pub fn salt(&self) -> u32 {
        self.active.header.salt
    }

    /// What the log holds.
    pub fn status(&self) -> Status {
        Status {
            first: Sequence(self.sealed.front().map_or(self.active.header.first, |segment| segment.first)),
            last: self.last(),
            generation: self.active.header.generation,
            position: self.active.position,
            segment_size: self.active.header.size,
            segments: self.sealed.len() + 1,
            bytes: self.sealed.iter().map(|segment| segment.size).sum::<u64>() + self.active.position,
            spares: self.spares.len(),
            failure: self.failure.clone(),
        }
    }

    fn last(&self) -> Sequence {
        Sequence(self.next - 1)
    }

    /// Where the next batch goes.
    fn end(&self) -> Place<'_> {
        Place { segment: &self.active.header, next: self.next, chain: self.active.chain }
    }

    fn alive(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Remembers the first failure, for good.
    fn note<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result {
            self.failure.get_or_insert_with(|| failure.clone());
        }
        result
    }

    fn check_lengths(&self, batch: &[Append<'_>]) -> Result<(), AppendError> {
        let limit = self.options.record_max();
        match batch.iter().position(|record| record.length() > limit) {
            None => Ok(()),
            Some(position) => Err(AppendError::TooLarge {
                position,
                length: batch[position].length(),
                limit,
                segment_size: self.options.segment_size,
            }),
        }
    }

    /// Bytes left in the active segment for ordinary records.
    fn room(&self) -> u64 {
        (self.active.header.size - RESERVED).saturating_sub(self.active.position)
    }

    /// How many of the records fit in the active segment.
    fn fitting(&self, records: &[Append<'_>]) -> usize {
        let mut room = self.room();
        let fits = |record: &&Append<'_>| {
            let left = room.checked_sub(record_size(record.length()));
            room = left.unwrap_or(0);
            left.is_some()
        };
        records.iter().take_while(fits).count()
    }

    /// Writes the records behind the last, durably.
    fn put(&mut self, kind: Kind, records: &[Append<'_>]) -> Result<(), Failure> {
        let encoded = Encoded::new(kind, records, &self.end());
        let result = self.write(&encoded, records);
        self.note(result)
    }

    fn write(&mut self, encoded: &Encoded, records: &[Append<'_>]) -> Result<(), Failure> {
        let end = self.active.position + encoded.size;
        let kept_free = if encoded.kind == Kind::Seal { 0 } else { RECORD_HEADER };
        assert!(end + kept_free <= self.active.header.size, "records were written beyond their segment");
        let slices = encoded.slices(records);
        self.disk.write_at(&self.active.file, self.active.position, &slices)?;
        self.write_ahead(end, encoded.size)?;
        if !mutated("append-without-sync") {
            self.disk.sync(&self.active.file)?;
        }
        self.active.position = end;
        self.active.chain = encoded.chain;
        self.next = encoded.next;
        if encoded.kind == Kind::Seal { Ok(()) } else { self.mark() }
    }

    /// Writes zeros behind a batch that ends at `end`, if nothing was ever written there, so that the syncs of the
    /// next ones need not touch the file system's metadata (which costs as much again as the sync itself). They become
    /// durable with this batch. A long batch pays for its own metadata: writing its space twice would not pay.
    fn write_ahead(&mut self, end: u64, size: u64) -> Result<(), Failure> {
        if end <= self.active.written {
            return Ok(());
        }
        self.active.written = end;
        if size <= WRITE_AHEAD / 4 {
            let until = self.active.header.size.min(end + WRITE_AHEAD);
            let zeros = vec![0; usize::try_from(until - end).expect("at most WRITE_AHEAD")];
            self.disk.write_at(&self.active.file, end, &[IoSlice::new(&zeros)])?;
            self.active.written = until;
        }
        Ok(())
    }

    /// Leaves word behind the last record that it was durable. Not synced: a crash may lose it, the next batch
    /// overwrites it, and nothing depends on it but how much damage can be told from a torn tail.
    pub(crate) fn mark(&mut self) -> Result<(), Failure> {
        let SegmentHeader { generation, salt, .. } = self.active.header;
        let last = self.next - 1;
        let room = self.active.header.size - self.active.position;
        let fits = record_size(self.note.len() as u64) <= room;
        let note: &[u8] = if fits { &self.note } else { &[] };
        let mark = RecordHeader {
            kind: Kind::Mark,
            group: 0,
            sequence: last,
            durable: last,
            generation,
            length: u32::try_from(note.len()).expect("at most NOTE_MAX"),
            previous: self.active.chain,
            body: body_checksum(salt, &[note]),
        };
        let header = mark.encode(salt);
        let parts = [&header[..], note, padding(note.len())].map(IoSlice::new);
        self.disk.write_at(&self.active.file, self.active.position, &parts)
    }

    /// Goes on in a new segment.
    ///
    /// Order: the new segment is durable under its name before the seal of the old one is, and the seal before
    /// anything is appended to the new one. So a sealed segment without a successor has lost it, and an unsealed one
    /// with an empty successor was interrupted here.
    fn roll(&mut self) -> Result<(), AppendError> {
        let empty = [Append { group: 0, parts: &[] }];
        let seal = Encoded::new(Kind::Seal, &empty, &self.end());
        let old = self.active.header;
        let header = SegmentHeader {
            generation: old.generation + 1,
            size: self.options.segment_size,
            first: seal.next,
            oldest: self.sealed.front().map_or(old.generation, |segment| segment.generation),
            previous: seal.chain,
            salt: old.salt,
        };
        let spare = self.spares.pop();
        let next = match make_segment(&mut self.disk, header, spare.as_deref()) {
            Err(failure) if spare.is_none() && unmade_for_space(&failure) => {
                return Err(AppendError::Full { failure, appended: 0 });
            }
            result => self.note(result)?,
        };
        let result = self.write(&seal, &empty);
        self.note(result)?;
        self.sealed.push_back(Sealed { generation: old.generation, first: old.first, size: old.size });
        self.active = next;
        Ok(())
    }

    /// Takes files that are no longer part of the log out of it.
    pub(crate) fn recycle(&mut self, released: &[Sealed]) -> Result<(), Failure> {
        for segment in released {
            let name = segment_name(segment.generation);
            let wanted = self.spares.len() < self.options.spares_max.max(1);
            if wanted && segment.size == self.options.segment_size {
                let spare = spare_name(segment.generation);
                self.disk.rename(&name, &spare)?;
                self.spares.push(spare);
            } else {
                self.disk.remove(&name)?;
            }
        }
        self.disk.sync_folder()
    }
}

fn after(error: AppendError, appended: usize) -> AppendError {
    match error {
        AppendError::Full { failure, .. } => AppendError::Full { failure, appended },
        other => other,
    }
}
