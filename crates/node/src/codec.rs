//! The bytes of everything the member itself writes: small fixed fields copied together, payloads lent.
//!
//! Layouts are little-endian. This file knows the primitive fields and the parts of consensus that both the log
//! (`record`) and the peers (`wire`) speak of; it may not know sockets or files. Whatever is read here may be
//! garbage: every reader answers `None`, never panics, and allocates no more than its input is long.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use raft::{Ballot, Body, Entry, Index, Learner, LogId, Membership, NodeId, SnapshotMeta, Term};

use crate::Batch;

/// Bytes in several parts, so that payloads need not be copied to stand between fields.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    parts: Vec<Bytes>,
    fields: BytesMut,
    length: usize,
}

/// Payloads at least this long are lent; shorter ones are cheaper to copy than to hand on.
const LEND_FROM: usize = 1024;

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.length += 1;
        self.fields.put_u8(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.length += 4;
        self.fields.put_u32_le(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.length += 8;
        self.fields.put_u64_le(value);
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.length += 16;
        self.fields.put_u128_le(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("whatever is counted here is bounded far below 2^32"));
    }

    pub(crate) fn payload(&mut self, value: &Bytes) {
        self.count(value.len());
        self.length += value.len();
        if value.len() < LEND_FROM {
            self.fields.put_slice(value);
        } else {
            self.parts.push(self.fields.split().freeze());
            self.parts.push(value.clone());
        }
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.length += value.len();
        self.fields.put_slice(value.as_bytes());
    }

    pub(crate) fn texts(&mut self, values: &BTreeMap<String, String>) {
        self.count(values.len());
        for (key, value) in values {
            self.text(key);
            self.text(value);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        if !self.fields.is_empty() {
            self.parts.push(self.fields.freeze());
        }
        self.parts
    }

    pub(crate) fn log_id(&mut self, id: LogId) {
        self.u64(id.term.0);
        self.u64(id.index.0);
    }

    pub(crate) fn ballot(&mut self, ballot: Ballot) {
        self.u64(ballot.term.0);
        self.flag(ballot.vote.is_some());
        self.u64(ballot.vote.map_or(0, |vote| vote.0));
    }

    pub(crate) fn membership(&mut self, membership: &Membership) {
        for group in [&membership.voters, &membership.outgoing] {
            self.count(group.len());
            group.iter().for_each(|id| self.u64(id.0));
        }
        self.count(membership.learners.len());
        for (id, learner) in &membership.learners {
            self.u64(id.0);
            self.flag(learner.promote);
        }
        self.count(membership.priorities.len());
        for (id, &priority) in &membership.priorities {
            self.u64(id.0);
            self.u8(priority);
        }
        self.count(membership.notes.len());
        self.length += membership.notes.len();
        self.fields.put_slice(&membership.notes);
    }

    pub(crate) fn snapshot_meta(&mut self, meta: &SnapshotMeta) {
        self.log_id(meta.last);
        self.membership(&meta.membership);
    }

    pub(crate) fn entries(&mut self, entries: &[Entry<Batch>]) {
        self.count(entries.len());
        for entry in entries {
            self.u64(entry.term.0);
            match &entry.body {
                Body::Noop => self.u8(0),
                Body::Command(batch) => {
                    self.u8(1);
                    self.payload(batch.bytes());
                }
                Body::Membership(membership) => {
                    self.u8(2);
                    self.membership(membership);
                }
            }
        }
    }
}

/// Reads what a [`Writer`] wrote, or garbage.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?[..].try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?[..].try_into().ok()?))
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(self.take(16)?[..].try_into().ok()?))
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A number of things that follow, each of at least `smallest` bytes: never more than the rest can hold.
    pub(crate) fn count(&mut self, smallest: usize) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        (count.checked_mul(smallest)? <= self.bytes.len()).then_some(count)
    }

    pub(crate) fn payload(&mut self) -> Option<Bytes> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.payload()?.to_vec()).ok()
    }

    pub(crate) fn texts(&mut self) -> Option<BTreeMap<String, String>> {
        let count = self.count(8)?;
        (0..count).map(|_| Some((self.text()?, self.text()?))).collect()
    }

    /// The value, if nothing follows it.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.bytes.is_empty().then_some(value)
    }

    pub(crate) fn node(&mut self) -> Option<NodeId> {
        self.u64().map(NodeId)
    }

    pub(crate) fn log_id(&mut self) -> Option<LogId> {
        Some(LogId { term: Term(self.u64()?), index: Index(self.u64()?) })
    }

    pub(crate) fn ballot(&mut self) -> Option<Ballot> {
        let term = Term(self.u64()?);
        let voted = self.flag()?;
        let vote = self.node()?;
        Some(Ballot { term, vote: voted.then_some(vote) })
    }

    pub(crate) fn membership(&mut self) -> Option<Membership> {
        let mut membership = Membership::default();
        for group in [&mut membership.voters, &mut membership.outgoing] {
            for _ in 0..self.count(8)? {
                group.insert(self.node()?);
            }
        }
        for _ in 0..self.count(9)? {
            membership.learners.insert(self.node()?, Learner { promote: self.flag()? });
        }
        for _ in 0..self.count(9)? {
            membership.priorities.insert(self.node()?, self.u8()?);
        }
        membership.notes = self.payload()?[..].into();
        membership.validate().is_ok().then_some(membership)
    }

    pub(crate) fn snapshot_meta(&mut self) -> Option<SnapshotMeta> {
        Some(SnapshotMeta { last: self.log_id()?, membership: self.membership()? })
    }

    pub(crate) fn entries(&mut self) -> Option<Vec<Entry<Batch>>> {
        let count = self.count(9)?;
        let mut entries = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let term = Term(self.u64()?);
            let body = match self.u8()? {
                0 => Body::Noop,
                1 => Body::Command(Batch::open(self.payload()?).ok()?),
                2 => Body::Membership(Box::new(self.membership()?)),
                _ => return None,
            };
            entries.push(Entry { term, body });
        }
        Some(entries)
    }
}
