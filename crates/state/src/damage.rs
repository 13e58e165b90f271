//! Damage on purpose, in debug builds only: proof that what watches over equal states does see a difference.
//!
//! It does not know who watches.

use crate::hash::KeyHash;
use crate::row::{Header, Row};
use crate::state::State;
use crate::table::TableId;

/// How a row goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// As if this member had applied something else than the others: the running hash differs from theirs at once.
    Divergence,
    /// As if memory had failed: the running hash knows nothing of it until the row is next written or everything
    /// is read again ([`State::recompute_hash`]).
    Decay,
}

impl State {
    /// Turns one bit of one row's value; says whether there is such a bit. Nothing else of the state follows, nobody
    /// is told, and the row's numbers stay as they were.
    pub fn damage(&mut self, table: TableId, key: &[u8], bit: usize, damage: Damage) -> bool {
        let position = self.position(table);
        let Some(row) = self.get(table, key).cloned() else {
            return false;
        };
        let mut value = row.value().to_vec();
        let Some(byte) = value.get_mut(bit / 8) else {
            return false;
        };
        *byte ^= 1 << (bit % 8);
        let header =
            Header { created: row.created(), modified: row.modified(), version: row.version(), lease: row.lease() };
        let wrong = Row::build(header, &[&value]);
        if damage == Damage::Divergence {
            let key_hash = KeyHash::new(table, key);
            self.hash.subtract_row(key_hash, &row);
            self.hash.add_row(key_hash, &wrong);
        }
        self.tables[position].rows.insert(key, wrong);
        true
    }
}
