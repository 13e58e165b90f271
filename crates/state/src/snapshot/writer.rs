//! Drawing the blocks of a snapshot from a state.
//!
//! The writer holds a clone of the state and remembers only the last key it wrote: each block finds its place anew,
//! which costs one descent for some 64 KiB.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    AFTER_DELETED, AFTER_HERE, AFTER_LIVE, BEFORE_EARLIER, BEFORE_HERE, BEFORE_NONE, BEGIN, CHANGE, CHECKSUM_BYTES,
    END, FEED, FORMAT_VERSION, HEADER_BYTES, LEASES, MAGIC, MAX_BLOCK_BYTES, MOMENT, ROWS, checksum,
};
use crate::codec::{put_counted, put_integer};
use crate::feed::Change;
use crate::lease::LeaseId;
use crate::state::State;
use crate::table::History;

/// A block is closed once its payload has so many bytes.
const PAYLOAD_BYTES: usize = 64 << 10;

/// The blocks of a snapshot, in order.
pub struct Blocks {
    state: State,
    place: Place,
    sequence: u32,
    previous: u64,
}

/// What comes next.
enum Place {
    Begin,
    /// Rows of the table at this position behind this key.
    Rows {
        position: usize,
        after: Option<Vec<u8>>,
    },
    Leases {
        after: Option<LeaseId>,
    },
    /// Changes from this one of this revision on.
    Feed {
        revision: u64,
        change: usize,
    },
    End,
    Done,
}

impl Blocks {
    pub(super) fn new(state: State) -> Blocks {
        Blocks { state, place: Place::Begin, sequence: 0, previous: 0 }
    }

    /// One block, or nothing if the section that comes next is empty or at its end.
    fn step(&mut self) -> Option<Bytes> {
        let mut block = vec![0; HEADER_BYTES];
        let kind = match std::mem::replace(&mut self.place, Place::Done) {
            Place::Begin => self.begin(&mut block),
            Place::Rows { position, after } => self.rows(&mut block, position, after.as_deref()),
            Place::Leases { after } => self.leases(&mut block, after),
            Place::Feed { revision, change } => self.feed(&mut block, revision, change),
            Place::End => self.end(&mut block),
            Place::Done => return None,
        };
        (block.len() > HEADER_BYTES).then(|| self.close(block, kind))
    }

    fn close(&mut self, mut block: Vec<u8>, kind: u8) -> Bytes {
        let payload = u32::try_from(block.len() - HEADER_BYTES).expect("rows and changes are bounded");
        assert!(block.len() + CHECKSUM_BYTES <= MAX_BLOCK_BYTES, "a block of {} bytes", block.len());
        block[0] = kind;
        block[1..5].copy_from_slice(&self.sequence.to_le_bytes());
        block[5..HEADER_BYTES].copy_from_slice(&payload.to_le_bytes());
        self.previous = checksum(self.previous, &block);
        block.extend_from_slice(&self.previous.to_le_bytes());
        self.sequence += 1;
        Bytes::from(block)
    }

    fn begin(&mut self, block: &mut Vec<u8>) -> u8 {
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        put_integer(block, self.state.revision);
        put_integer(block, self.state.compacted);
        put_integer(block, self.state.time_milliseconds);
        put_integer(block, self.state.tables.len() as u64);
        for (spec, table) in self.state.specs().iter().zip(&self.state.tables) {
            block.push(spec.id.0);
            block.push(history_code(spec.history));
            put_integer(block, table.rows.len() as u64);
        }
        self.place = Place::Rows { position: 0, after: None };
        BEGIN
    }

    fn rows(&mut self, block: &mut Vec<u8>, position: usize, after: Option<&[u8]>) -> u8 {
        let Some(table) = self.state.tables.get(position) else {
            self.place = Place::Leases { after: None };
            return ROWS;
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = table.rows.range(from, Bound::Unbounded);
        let mut last: Vec<u8> = Vec::new();
        self.place = Place::Rows { position: position + 1, after: None };
        while let Some((key, row)) = rows.next() {
            if block.len() == HEADER_BYTES {
                block.push(self.state.catalog.specs()[position].id.0);
            }
            let shared = key.iter().zip(&last).take_while(|(left, right)| left == right).count();
            put_integer(block, shared as u64);
            put_counted(block, &[&key[shared..]]);
            put_counted(block, &[row.encoded()]);
            last.clear();
            last.extend_from_slice(key);
            if block.len() >= PAYLOAD_BYTES {
                self.place = Place::Rows { position, after: Some(last) };
                break;
            }
        }
        ROWS
    }

    fn leases(&mut self, block: &mut Vec<u8>, after: Option<LeaseId>) -> u8 {
        self.place = Place::Feed { revision: self.state.compacted, change: 0 };
        for (id, lease) in self.state.leases.after(after) {
            block.extend_from_slice(&id.0.to_le_bytes());
            block.push(lease.owner);
            put_integer(block, lease.ttl_milliseconds);
            put_integer(block, lease.remaining_milliseconds);
            if block.len() >= PAYLOAD_BYTES {
                self.place = Place::Leases { after: Some(id) };
                break;
            }
        }
        LEASES
    }

    fn feed(&mut self, block: &mut Vec<u8>, mut revision: u64, mut change: usize) -> u8 {
        self.place = Place::End;
        while let Some((at, moment)) = self.state.feed.first_from(revision) {
            if change == 0 {
                block.push(MOMENT);
                put_integer(block, at);
                put_integer(block, moment.time_milliseconds);
                put_integer(block, moment.changes.len() as u64);
            }
            for change_here in &moment.changes[change..] {
                self.change(block, change_here);
                change += 1;
                if block.len() >= PAYLOAD_BYTES && change < moment.changes.len() {
                    self.place = Place::Feed { revision: at, change };
                    return FEED;
                }
            }
            (revision, change) = (at + 1, 0);
            if block.len() >= PAYLOAD_BYTES {
                self.place = Place::Feed { revision, change };
                return FEED;
            }
        }
        FEED
    }

    fn change(&self, block: &mut Vec<u8>, change: &Change) {
        let live = self.state.get(change.table, &change.key);
        let after = match &change.after {
            None => AFTER_DELETED,
            Some(after) if live.is_some_and(|live| live.is_same(after)) => AFTER_LIVE,
            Some(_) => AFTER_HERE,
        };
        let earlier = self.state.compacted..change.revision;
        let before = match &change.before {
            None => BEFORE_NONE,
            Some(before) if earlier.contains(&before.modified()) => BEFORE_EARLIER,
            Some(_) => BEFORE_HERE,
        };
        block.extend_from_slice(&[CHANGE, after | before, change.table.0]);
        put_counted(block, &[&change.key]);
        if let (BEFORE_HERE, Some(row)) = (before, &change.before) {
            put_counted(block, &[row.encoded()]);
        }
        if let (AFTER_HERE, Some(row)) = (after, &change.after) {
            put_counted(block, &[row.encoded()]);
        }
    }

    fn end(&mut self, block: &mut Vec<u8>) -> u8 {
        block.extend_from_slice(&self.state.hash().to_le_bytes());
        put_integer(block, self.state.leases.len() as u64);
        put_integer(block, self.state.feed.changes(self.state.compacted).count() as u64);
        END
    }
}

impl Iterator for Blocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !matches!(self.place, Place::Done) {
            if let Some(block) = self.step() {
                return Some(block);
            }
        }
        None
    }
}

pub(super) fn history_code(history: History) -> u8 {
    match history {
        History::Kept => 0,
        History::EventsOnly => 1,
        History::Unversioned => 2,
    }
}
