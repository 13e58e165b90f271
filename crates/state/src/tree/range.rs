//! The cursor over a range of a tree, from both ends. Knows nothing of what the values mean.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// The entries of a range, in order, taken from the front by [`Range::next`] and from the back by
/// [`Range::next_back`] until both meet.
///
/// The key lies in a buffer of the cursor and is lent until the next call; the value lives as long as the tree.
#[derive(Debug)]
pub struct Range<'a, V> {
    entries: Option<btree_map::Range<'a, Vec<u8>, V>>,
    map: &'a BTreeMap<Vec<u8>, V>,
    end: Bound<Vec<u8>>,
}

impl<'a, V> Range<'a, V> {
    pub(super) fn new(map: &'a BTreeMap<Vec<u8>, V>, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Self {
        Range {
            entries: encloses(from, to).then(|| map.range::<[u8], _>((from, to))),
            map,
            end: to.map(<[u8]>::to_vec),
        }
    }

    /// The next entry from the front.
    #[expect(
        clippy::should_implement_trait,
        reason = "the key is lent, so this cannot be an Iterator"
    )]
    pub fn next(&mut self) -> Option<(&[u8], &'a V)> {
        let (key, value) = self.entries.as_mut()?.next()?;
        Some((key, value))
    }

    /// The next entry from the back.
    pub fn next_back(&mut self) -> Option<(&[u8], &'a V)> {
        let (key, value) = self.entries.as_mut()?.next_back()?;
        if !matches!(&self.end, Bound::Excluded(end) if end == key) {
            self.end = Bound::Excluded(key.clone());
        }
        Some((key, value))
    }

    /// Moves the front forward so that the next entry is the first one left whose key is `key` or greater. Never moves
    /// it backward. Cheap when that entry is near, because it starts from where the cursor stands.
    pub fn seek(&mut self, key: &[u8]) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        if entries
            .clone()
            .next()
            .is_none_or(|(next, _)| next.as_slice() >= key)
        {
            return;
        }
        let to = self.end.as_ref().map(Vec::as_slice);
        let from = Bound::Included(key);
        self.entries = encloses(from, to).then(|| self.map.range::<[u8], _>((from, to)));
    }

    pub(super) fn count(self) -> usize {
        self.entries.map_or(0, Iterator::count)
    }
}

fn encloses(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(from), Bound::Included(to)) => from <= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from < to,
    }
}
