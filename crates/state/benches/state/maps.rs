//! What is measured, the same for the tree, for `BTreeMap` and for `imbl::OrdMap`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use conclave_state::tree::Tree;

/// A row as the tables have it: one shared allocation.
pub(crate) type Row = Arc<[u8]>;

/// Makes a row of 100 bytes.
pub(crate) fn row(number: usize) -> Row {
    let mut row = [0; 100];
    row[..8].copy_from_slice(&number.to_le_bytes());
    Arc::from(row)
}

/// A map from keys to rows.
pub(crate) trait Map: Default {
    fn put(&mut self, key: &[u8], row: Row);
    fn take(&mut self, key: &[u8]);
    fn get(&self, key: &[u8]) -> &Row;
    /// Reads the last byte of each key and the first of each row, of at most `limit` entries from a key on; returns how
    /// many there are.
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize;
    /// Keeps the present state readable while the next batch is written.
    fn publish(&self) -> Option<Self>;
}

fn read(key: &[u8], row: &Row, sum: &mut u64) {
    *sum += u64::from(*key.last().expect("no key is empty")) + u64::from(row[0]);
}

impl Map for Tree<Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        self.insert(key, row);
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        let mut entries = self.range(Bound::Included(from), Bound::Unbounded);
        let mut count = 0;
        while count < limit
            && let Some((key, row)) = entries.next()
        {
            read(key, row, sum);
            count += 1;
        }
        count
    }
    fn publish(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Map for BTreeMap<Vec<u8>, Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        match self.get_mut(key) {
            Some(old) => *old = row,
            None => {
                self.insert(key.to_vec(), row);
            }
        }
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        self.range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .take(limit)
            .map(|(key, row)| read(key, row, sum))
            .count()
    }
    fn publish(&self) -> Option<Self> {
        None
    }
}

impl Map for imbl::OrdMap<Vec<u8>, Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        self.insert(key.to_vec(), row);
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        self.range::<_, [u8]>((Bound::Included(from), Bound::Unbounded))
            .take(limit)
            .map(|(key, row)| read(key, row, sum))
            .count()
    }
    fn publish(&self) -> Option<Self> {
        Some(self.clone())
    }
}
