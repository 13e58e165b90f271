//! Tables: what a protocol declares, and the rows of one table with what is kept of its past.
//!
//! A table knows its own rows and bytes. It knows nothing of leases, of the feed or of the running hash: those
//! belong to the state, which tells them about every row that a table puts or deletes.

use std::fmt;

use crate::history::Past;
use crate::lease::LeaseId;
use crate::row::{Header, Row};
use crate::tree::Tree;

/// A table's number. `0x00..=0x0f` belong to this crate and cannot be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

impl TableId {
    /// The first number a protocol may use.
    pub const FIRST: TableId = TableId(0x10);
}

impl fmt::Display for TableId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#04x}", self.0)
    }
}

/// What of a table's past is kept, until compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Old rows are readable at old revisions, and changes tell the row before and the row after.
    Kept,
    /// Only the feed remembers: changes tell what happened and the row after it. No reads at old revisions.
    EventsOnly,
    /// Nothing: a change of a row is no revision, and enters no feed. For settings beside the data, whose change no
    /// reader of the data is to notice.
    Unversioned,
}

/// What a protocol says of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Its number, at least [`TableId::FIRST`], unique among all tables.
    pub id: TableId,
    /// Its name, for people.
    pub name: &'static str,
    /// What of its past is kept.
    pub history: History,
}

/// Every declared table, and where in the state it lies. Never changes once it is made.
#[derive(Debug)]
pub(crate) struct Catalog {
    specs: Vec<TableSpec>,
    positions: [Option<u8>; 256],
}

impl Catalog {
    /// # Panics
    /// If a number is reserved or declared twice: the list of tables is part of the program.
    pub(crate) fn new(specs: &[TableSpec]) -> Catalog {
        let mut specs = specs.to_vec();
        specs.sort_by_key(|spec| spec.id);
        let mut positions = [None; 256];
        for (position, spec) in specs.iter().enumerate() {
            assert!(spec.id >= TableId::FIRST, "table {} ({}) is in the reserved range", spec.id, spec.name);
            let place = &mut positions[usize::from(spec.id.0)];
            assert!(place.is_none(), "table {} ({}) is declared twice", spec.id, spec.name);
            *place = Some(u8::try_from(position).expect("at most 240 tables can be declared"));
        }
        Catalog { specs, positions }
    }

    /// In order of their numbers.
    pub(crate) fn specs(&self) -> &[TableSpec] {
        &self.specs
    }

    pub(crate) fn position(&self, id: TableId) -> Option<usize> {
        self.positions[usize::from(id.0)].map(usize::from)
    }

    /// What is kept of a declared table's past.
    pub(crate) fn history(&self, id: TableId) -> History {
        let position = self.position(id).expect("a change is of a declared table");
        self.specs[position].history
    }

    /// Whether a change of a declared table's rows is a revision.
    pub(crate) fn is_versioned(&self, id: TableId) -> bool {
        self.history(id) != History::Unversioned
    }
}

/// The rows of one table. Clone is two pointers.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) rows: Tree<Row>,
    /// `None` for tables of which only events are kept.
    pub(crate) past: Option<Past>,
    /// Keys and encoded rows, live ones only.
    pub(crate) bytes: u64,
}

/// A row that took the place of another.
pub(crate) struct Replaced {
    pub(crate) before: Option<Row>,
    pub(crate) after: Row,
}

impl Table {
    pub(crate) fn new(history: History) -> Table {
        let past = match history {
            History::Kept => Some(Past::default()),
            History::EventsOnly | History::Unversioned => None,
        };
        Table { rows: Tree::new(), past, bytes: 0 }
    }

    /// Puts a row at `revision`, deriving its header from the row it replaces.
    pub(crate) fn put(&mut self, key: &[u8], value: &[&[u8]], lease: LeaseId, revision: u64) -> Replaced {
        let header = match self.rows.get(key) {
            Some(row) => Header { created: row.created(), modified: revision, version: row.version() + 1, lease },
            None => Header { created: revision, modified: revision, version: 1, lease },
        };
        let after = Row::build(header, value);
        let before = self.rows.insert(key, after.clone());
        self.bytes += weight(key, &after);
        if let Some(before) = &before {
            self.bytes -= weight(key, before);
            assert!(before.modified() <= revision, "a row is from revision {}, after {revision}", before.modified());
        }
        if let Some(past) = &mut self.past {
            past.superseded_by_put(key, before.as_ref(), revision);
        }
        Replaced { before, after }
    }

    /// Deletes a row at `revision`, if it is there.
    pub(crate) fn delete(&mut self, key: &[u8], revision: u64) -> Option<Row> {
        let before = self.rows.remove(key)?;
        self.bytes -= weight(key, &before);
        if let Some(past) = &mut self.past {
            past.superseded_by_delete(key, &before, revision);
        }
        Some(before)
    }
}

/// What a live row counts towards the quota.
pub(crate) fn weight(key: &[u8], row: &Row) -> u64 {
    (key.len() + row.encoded().len()) as u64
}
