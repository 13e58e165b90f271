//! The bytes of one record of the log: a write of the consensus core, or the news that something of it was lost. It
//! may not know segments or checksums (the log's own), only what stands inside a record.

use bytes::Bytes;
use raft::{Ballot, Index, LogId, Ticket, Write};

use crate::Batch;
use crate::codec::{Reader, Writer};

const FORMAT: u8 = 1;
const MISSING: u8 = 2;

/// What a record of the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// What the consensus core had written.
    Write(Write<Batch>),
    /// This member once acknowledged everything up to here and lost some of it: see [`raft::Recovered::missing`]. Holds
    /// until its log reaches as far again.
    Missing(LogId),
}

/// What this member promised by all that it wrote, as the note in the log's marks tells it: the newest ballot, and
/// where the log ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// The newest ballot.
    pub ballot: Ballot,
    /// The last entry of the log.
    pub last: LogId,
}

impl Promise {
    /// Takes in what comes behind.
    pub fn add(&mut self, write: &Write<Batch>) {
        if let Some(ballot) = write.ballot {
            self.ballot = ballot;
        }
        let index = Index(write.previous.index.0 + write.append.len() as u64);
        self.last = LogId::new(write.append.last().map_or(write.previous.term, |entry| entry.term), index);
    }

    /// As a note.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.ballot(self.ballot);
        writer.log_id(self.last);
        writer.finish().concat()
    }

    /// From a note; `None` if it is none.
    #[must_use]
    pub fn decode(note: Bytes) -> Option<Promise> {
        let mut reader = Reader::new(note);
        let promise = Promise { ballot: reader.ballot()?, last: reader.log_id()? };
        reader.end(promise)
    }
}

/// Encodes the news that everything up to this entry was once acknowledged, and some of it lost.
#[must_use]
pub fn encode_missing(id: LogId) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.u8(MISSING);
    writer.log_id(id);
    writer.finish().concat()
}

/// Decodes a record of any kind. `None` if it is none that any version up to this one wrote.
#[must_use]
pub fn decode_logged(bytes: Bytes) -> Option<Logged> {
    if bytes.first() != Some(&MISSING) {
        return decode_record(bytes).map(Logged::Write);
    }
    let mut reader = Reader::new(bytes.slice(1..));
    let id = reader.log_id()?;
    reader.end(Logged::Missing(id))
}

/// Encodes a write as one record or several, each with the part of the write that it holds, in pieces, so that
/// payloads are lent and not copied. A record holds at most about `bytes_max` of entries, and always at least one. The
/// ticket is not part of it: it means something only until the next start. Each carries the ballot, if there is one.
#[must_use]
pub fn encode_records(write: Write<Batch>, bytes_max: usize) -> Vec<(Write<Batch>, Vec<Bytes>)> {
    let mut records = Vec::with_capacity(1);
    let mut rest = write;
    loop {
        let mut bytes = 0;
        let fitting = rest.append.iter().take_while(|entry| {
            let fits = bytes < bytes_max;
            bytes += entry.weight();
            fits
        });
        let fitting = fitting.count();
        if fitting == rest.append.len() {
            let record = encode_record(&rest);
            records.push((rest, record));
            return records;
        }
        let append = rest.append.split_off(fitting);
        let last = rest.append.last().expect("at least one entry fits");
        let previous = LogId::new(last.term, Index(rest.previous.index.0 + fitting as u64));
        let (ticket, ballot) = (rest.ticket, rest.ballot);
        let record = encode_record(&rest);
        records.push((rest, record));
        rest = Write { ticket, ballot, cut: None, base: None, previous, append };
    }
}

fn encode_record(write: &Write<Batch>) -> Vec<Bytes> {
    let mut writer = Writer::default();
    writer.u8(FORMAT);
    writer.flag(write.ballot.is_some());
    if let Some(ballot) = write.ballot {
        writer.ballot(ballot);
    }
    writer.u64(write.cut.map_or(0, |index| index.0));
    writer.flag(write.base.is_some());
    if let Some(base) = &write.base {
        writer.snapshot_meta(base);
    }
    writer.log_id(write.previous);
    writer.entries(&write.append);
    writer.finish()
}

/// Decodes a record. `None` if it is none that any version up to this one wrote.
#[must_use]
pub fn decode_record(bytes: Bytes) -> Option<Write<Batch>> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != FORMAT {
        return None;
    }
    let ballot = if reader.flag()? { Some(reader.ballot()?) } else { None };
    let cut = Some(Index(reader.u64()?)).filter(|&index| index != Index::ZERO);
    let base = if reader.flag()? { Some(reader.snapshot_meta()?) } else { None };
    let previous = reader.log_id()?;
    let append = reader.entries()?;
    reader.end(Write { ticket: Ticket::NONE, ballot, cut, base, previous, append })
}

#[cfg(test)]
mod tests {
    use raft::{Body, Entry, Membership, NodeId, Recovered, SnapshotMeta, Term};

    use super::*;

    fn sample() -> Write<Batch> {
        let membership = Membership::of_voters([NodeId(1), NodeId(2), NodeId(3)]);
        let large = Batch::seal(&[Bytes::from(vec![7; 5000])]);
        Write {
            ticket: Ticket::NONE,
            ballot: Some(Ballot { term: Term(3), vote: Some(NodeId(2)) }),
            cut: Some(Index(9)),
            base: Some(SnapshotMeta { last: LogId::new(Term(2), Index(5)), membership: membership.clone() }),
            previous: LogId::new(Term(2), Index(8)),
            append: vec![
                Entry { term: Term(3), body: Body::Noop },
                Entry { term: Term(3), body: Body::Command(large) },
                Entry { term: Term(3), body: Body::Membership(Box::new(membership)) },
            ],
        }
    }

    fn encoded() -> Vec<u8> {
        encode_record(&sample()).concat()
    }

    #[test]
    fn a_write_comes_back_as_it_was() {
        assert_eq!(decode_record(encoded().into()), Some(sample()));
    }

    #[test]
    fn a_write_too_large_for_one_record_becomes_several_that_fold_to_the_same() {
        let batch = Batch::seal(&[Bytes::from(vec![7; 300])]);
        let entry = Entry { term: Term(1), body: Body::Command(batch) };
        let ballot = Some(Ballot { term: Term(1), vote: None });
        let previous = LogId::default();
        let append = vec![entry; 10];
        let write = Write { ticket: Ticket::NONE, ballot, cut: None, base: None, previous, append };
        let records = encode_records(write.clone(), 1000);
        assert!(records.len() > 1);
        let mut whole = Recovered::default();
        whole.absorb(write).expect("the write fits an empty log");
        let mut pieces = Recovered::default();
        for (_, record) in records {
            let piece = decode_record(record.concat().into()).expect("each record stands for itself");
            pieces.absorb(piece).expect("the pieces follow each other");
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn no_cut_and_no_added_byte_is_taken_for_a_record() {
        let bytes = encoded();
        for at in 0..bytes.len() {
            assert_eq!(decode_record(Bytes::copy_from_slice(&bytes[..at])), None, "cut at {at}");
        }
        assert_eq!(decode_record([bytes, vec![0]].concat().into()), None);
    }

    #[test]
    fn a_flipped_byte_never_panics_and_never_changes_a_payload() {
        let bytes = encoded();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            if let Some(write) = decode_record(damaged.into()) {
                assert_eq!(write.append.len(), 3, "byte {at}");
                assert_eq!(write.append[1].body, sample().append[1].body, "byte {at}");
            }
        }
    }
}
