//! The log thread: turns writes of the consensus core into records, one sync for all that wait. It may not know
//! what the entries mean. While one sync runs the next batch forms, so batches grow with load by themselves.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use log::{Append, AppendError, Log, Sequence, Storage};
use raft::{Ballot, Index, Write};

use crate::Batch;
use crate::handle::Shared;
use crate::member::Event;
use crate::record::encode_records;

/// The consensus group of the keyspace; there is only this one so far.
pub(super) const GROUP: u32 = 0;

/// Where in the log the entries are, as far as giving back segments needs to know.
///
/// A log that begins in the middle is read from a record R on, as if it began behind R's `previous`. That gives the
/// same result as the whole if (1) what is left holds a record with a base at or behind that place, and a ballot at or
/// behind the newest before R, and (2) no later record reaches back before it. So every record with a base carries the
/// ballot too, and for a base at entry C, R is the last record whose `previous` is at or before C: `places` holds just
/// the records that can be that for some C.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Strictly increasing in both.
    places: Vec<(Sequence, Index)>,
    ballot: Ballot,
}

impl Layout {
    /// A record was added behind the others.
    pub(super) fn add(&mut self, sequence: Sequence, write: &Write<Batch>) {
        if let Some(ballot) = write.ballot {
            self.ballot = ballot;
        }
        let previous = write.previous.index;
        while self.places.last().is_some_and(|&(_, place)| place >= previous) {
            self.places.pop();
        }
        self.places.push((sequence, previous));
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

/// Works until there is nobody left to work for, or the log fails for good.
pub(super) fn run<S: Storage>(
    mut log: Log<S>,
    mut layout: Layout,
    writes: &Receiver<Write<Batch>>,
    shared: &Arc<Shared>,
) {
    while let Ok(first) = writes.recv() {
        let batch: Vec<Write<Batch>> = std::iter::once(first).chain(writes.try_iter()).collect();
        let ticket = batch.last().expect("at least the first").ticket;
        let base = batch.iter().rev().find_map(|write| write.base.as_ref().map(|base| base.last.index));
        let written = write(&mut log, &mut layout, batch).and_then(|()| {
            shared.inbox.post(Event::Written(ticket));
            base.map_or(Ok(()), |base| release(&mut log, &mut layout, base))
        });
        if let Err(failure) = written {
            shared.inbox.post(Event::LogFailed { why: failure.to_string() });
            return;
        }
    }
}

/// Makes all writes durable with one sync.
fn write<S: Storage>(log: &mut Log<S>, layout: &mut Layout, batch: Vec<Write<Batch>>) -> Result<(), AppendError> {
    let mut pieces: Vec<(Write<Batch>, Vec<Bytes>)> = Vec::with_capacity(batch.len());
    let mut ballot = layout.ballot;
    for mut write in batch {
        ballot = write.ballot.unwrap_or(ballot);
        if write.base.is_some() {
            write.ballot = Some(ballot);
        }
        pieces.extend(encode_records(write));
    }
    let parts: Vec<Vec<&[u8]>> =
        pieces.iter().map(|(_, record)| record.iter().map(|part| &part[..]).collect()).collect();
    let appends: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
    let last = log.append(&appends)?;
    let first = last.0 + 1 - pieces.len() as u64;
    for (offset, (write, _)) in pieces.iter().enumerate() {
        layout.add(Sequence(first + offset as u64), write);
    }
    Ok(())
}

/// Gives back the segments that a log with its base at this entry does not need.
fn release<S: Storage>(log: &mut Log<S>, layout: &mut Layout, base: Index) -> Result<(), AppendError> {
    let Some(keep_from) = layout.keep_from(base) else { return Ok(()) };
    log.release(keep_from)?;
    layout.forget_before(keep_from);
    Ok(())
}
