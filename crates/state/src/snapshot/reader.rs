//! Building a state from the blocks of a snapshot, trusting none of them.
//!
//! Each block is checked before anything in it is believed, and everything in it is checked against what came before.
//! Memory grows with what was read, never with what a number claims.

use super::feed::FeedReader;
use super::writer::history_code;
use super::{
    BEGIN, CHECKSUM_BYTES, Corrupt, END, FEED, FORMAT_VERSION, Flaw, HEADER_BYTES, LEASES, MAGIC, ROWS, block_bytes,
    checksum,
};
use crate::codec::Input;
use crate::hash::KeyHash;
use crate::lease::{Lease, LeaseId};
use crate::row::Row;
use crate::state::{FIRST_REVISION, State};
use crate::table::{TableId, TableSpec, weight};
use crate::tree::Loader;

/// A state in the making. Push the blocks in order, then finish.
pub struct Restore {
    state: State,
    /// The kind of the block before; blocks come in the order of their kinds.
    section: u8,
    sequence: u32,
    previous: u64,
    tables: Vec<TableClaim>,
    loading: Option<Loading>,
    last_lease: Option<LeaseId>,
    feed: FeedReader,
    written_hash: u128,
}

/// A table that the snapshot says it has.
struct TableClaim {
    id: TableId,
    rows: u64,
}

/// The table whose rows are being read.
struct Loading {
    position: usize,
    rows: Loader<Row>,
}

impl Restore {
    /// Begins with nothing, for these tables.
    ///
    /// # Panics
    /// As [`State::new`].
    pub fn new(specs: &[TableSpec]) -> Restore {
        Restore {
            state: State::new(specs),
            section: 0,
            sequence: 0,
            previous: 0,
            tables: Vec::new(),
            loading: None,
            last_lease: None,
            feed: FeedReader::default(),
            written_hash: 0,
        }
    }

    /// Takes the next block, exactly one.
    ///
    /// # Errors
    /// If it is damaged, out of place, or contradicts the blocks before. Nothing can be done with this value then.
    pub fn push(&mut self, block: &[u8]) -> Result<(), Corrupt> {
        let sequence = self.sequence;
        let (kind, payload, computed) = self.open(block)?;
        self.enter(kind)?;
        let mut input = Input::new(payload);
        let read = match kind {
            BEGIN => self.begin(&mut input),
            ROWS => self.rows(&mut input),
            LEASES => self.leases(&mut input),
            FEED => self.feed.read(&mut self.state, &mut input),
            _ => self.end(&mut input),
        };
        read.map_err(|flaw| match flaw {
            Flaw::Broken => Corrupt::Length(sequence),
            Flaw::Inconsistent(what) => Corrupt::Inconsistent { sequence, what },
            Flaw::Table(table) => Corrupt::Table(table),
            Flaw::Version(version) => Corrupt::Version(version),
        })?;
        self.previous = computed;
        self.sequence += 1;
        Ok(())
    }

    /// The whole state.
    ///
    /// # Errors
    /// If blocks are missing, or the rows are not those that were written.
    pub fn finish(self) -> Result<State, Corrupt> {
        if self.section != END {
            return Err(Corrupt::Incomplete(self.sequence));
        }
        let restored = self.state.hash();
        if restored != self.written_hash {
            return Err(Corrupt::Hash { written: self.written_hash, restored });
        }
        Ok(self.state)
    }

    /// A block's kind, payload and checksum, if it is whole and follows the block before.
    fn open<'b>(&self, block: &'b [u8]) -> Result<(u8, &'b [u8], u64), Corrupt> {
        let sequence = self.sequence;
        let payload_begins = block.get(HEADER_BYTES..).unwrap_or_default();
        if sequence == 0 && !payload_begins.starts_with(&MAGIC) {
            return Err(Corrupt::Magic);
        }
        let header = block.first_chunk::<HEADER_BYTES>().ok_or(Corrupt::Length(sequence))?;
        if block_bytes(header)? != block.len() {
            return Err(Corrupt::Length(sequence));
        }
        let (content, sum) = block.split_at(block.len() - CHECKSUM_BYTES);
        let computed = checksum(self.previous, content);
        if sum != computed.to_le_bytes() || header[1..5] != sequence.to_le_bytes() {
            return Err(Corrupt::Checksum(sequence));
        }
        Ok((header[0], &content[HEADER_BYTES..], computed))
    }

    /// Whether a block of this kind may come now; ends the sections it leaves behind.
    fn enter(&mut self, kind: u8) -> Result<(), Corrupt> {
        let sequence = self.sequence;
        let first = sequence == 0;
        let in_place =
            (BEGIN..=END).contains(&kind) && first == (kind == BEGIN) && kind >= self.section && self.section != END;
        if !in_place {
            return Err(Corrupt::Kind { sequence, kind });
        }
        if kind > ROWS {
            self.close_table();
        }
        self.section = kind;
        Ok(())
    }

    fn begin(&mut self, input: &mut Input<'_>) -> Result<(), Flaw> {
        let _magic = input.slice(MAGIC.len())?;
        let version = u16::from_le_bytes(input.array()?);
        if version != FORMAT_VERSION {
            return Err(Flaw::Version(version));
        }
        self.state.revision = input.integer()?;
        self.state.compacted = input.integer()?;
        self.state.time_milliseconds = input.integer()?;
        require(self.state.revision >= FIRST_REVISION, "its revision is below the first")?;
        require(self.state.revision < u64::MAX, "its revision is the last there could be")?;
        require(self.state.compacted <= self.state.revision, "it is compacted ahead of its revision")?;
        let tables = input.integer()?;
        for _ in 0..tables {
            let (id, history) = (TableId(input.byte()?), input.byte()?);
            let rows = input.integer()?;
            let position = self.state.catalog.position(id).ok_or(Flaw::Table(id))?;
            if history_code(self.state.catalog.specs()[position].history) != history {
                return Err(Flaw::Table(id));
            }
            let ascends = self.tables.last().is_none_or(|last| last.id < id);
            require(ascends, "its tables are not in order")?;
            self.tables.push(TableClaim { id, rows });
        }
        require(input.is_empty(), "bytes follow its tables")
    }

    fn rows(&mut self, input: &mut Input<'_>) -> Result<(), Flaw> {
        let id = TableId(input.byte()?);
        let position = self.state.catalog.position(id).ok_or(Flaw::Table(id))?;
        require(self.tables.iter().any(|claim| claim.id == id), "it has rows of a table it did not announce")?;
        match &self.loading {
            Some(loading) if loading.position == position => {}
            Some(loading) if loading.position > position => {
                return Err(Flaw::Inconsistent("its tables are not in order"));
            }
            _ => {
                self.close_table();
                self.loading = Some(Loading { position, rows: Loader::new() });
            }
        }
        let mut key = Vec::new();
        while !input.is_empty() {
            let shared = usize::try_from(input.integer()?).map_err(|_| Flaw::Broken)?;
            require(shared <= key.len(), "a key shares more than there is")?;
            key.truncate(shared);
            key.extend_from_slice(input.counted()?);
            let row = decode_row(input, self.state.revision)?;
            self.load(id, position, &key, row)?;
        }
        Ok(())
    }

    fn load(&mut self, id: TableId, position: usize, key: &[u8], row: Row) -> Result<(), Flaw> {
        let loading = self.loading.as_mut().expect("a table is open while its rows are read");
        self.state.hash.add_row(KeyHash::new(id, key), &row);
        self.state.tables[position].bytes += weight(key, &row);
        let lease = row.lease();
        let pushed = loading.rows.push(key, row);
        pushed.map_err(|_| Flaw::Inconsistent("its keys are not in order"))?;
        self.state.leases.reattach(LeaseId::NONE, lease, id, key);
        Ok(())
    }

    fn close_table(&mut self) {
        if let Some(Loading { position, rows }) = self.loading.take() {
            self.state.tables[position].rows = rows.finish();
        }
    }

    fn leases(&mut self, input: &mut Input<'_>) -> Result<(), Flaw> {
        while !input.is_empty() {
            let id = LeaseId(i64::from_le_bytes(input.array()?));
            let owner = input.byte()?;
            let (ttl_milliseconds, remaining_milliseconds) = (input.integer()?, input.integer()?);
            require(id != LeaseId::NONE, "it has a lease under the number that means none")?;
            require(self.last_lease.is_none_or(|last| last < id), "its leases are not in order")?;
            self.last_lease = Some(id);
            self.state.set_lease(id, Lease { ttl_milliseconds, remaining_milliseconds, owner });
        }
        Ok(())
    }

    fn end(&mut self, input: &mut Input<'_>) -> Result<(), Flaw> {
        self.written_hash = u128::from_le_bytes(input.array()?);
        let (leases, changes) = (input.integer()?, input.integer()?);
        require(input.is_empty(), "bytes follow its end")?;
        require(self.feed.is_complete(), "a revision has fewer changes than it announced")?;
        require(leases == self.state.leases.len() as u64, "leases are missing")?;
        require(changes == self.feed.changes(), "changes are missing")?;
        for claim in &self.tables {
            require(claim.rows == self.state.len(claim.id) as u64, "rows are missing")?;
        }
        self.state.feed.restored(self.state.compacted);
        Ok(())
    }
}

/// A row that is not newer than `newest`.
pub(super) fn decode_row(input: &mut Input<'_>, newest: u64) -> Result<Row, Flaw> {
    let row = Row::from_encoded(input.counted()?).ok_or(Flaw::Inconsistent("a row is malformed"))?;
    require(row.modified() <= newest, "a row is newer than what it belongs to")?;
    Ok(row)
}

pub(super) fn require(holds: bool, what: &'static str) -> Result<(), Flaw> {
    if holds { Ok(()) } else { Err(Flaw::Inconsistent(what)) }
}
