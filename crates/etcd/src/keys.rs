//! What part of the key space a request means: one key, a half-open interval, or everything from a key on.
//! Knows nothing of rows, revisions or requests.

use std::ops::Bound;

use bytes::Bytes;

/// As `range_end`: no upper bound.
const FROM_KEY_ON: &[u8] = b"\0";

/// A set of keys as the API spells it in `key` and `range_end`.
///
/// An interval whose end is not above its start is empty, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRange {
    /// `range_end` is empty.
    Single(Bytes),
    /// From the first key up to, not including, the second.
    Between(Bytes, Bytes),
    /// `range_end` is a single zero byte.
    From(Bytes),
}

impl KeyRange {
    /// Reads `key` and `range_end` of a request.
    pub(crate) fn new(key: Bytes, range_end: Bytes) -> KeyRange {
        match &*range_end {
            [] => KeyRange::Single(key),
            FROM_KEY_ON => KeyRange::From(key),
            _ => KeyRange::Between(key, range_end),
        }
    }

    /// As the API spells it: `key` and `range_end`.
    pub(crate) fn spelt(&self) -> (Bytes, Bytes) {
        match self {
            KeyRange::Single(key) => (key.clone(), Bytes::new()),
            KeyRange::Between(start, end) => (start.clone(), end.clone()),
            KeyRange::From(start) => (start.clone(), Bytes::from_static(FROM_KEY_ON)),
        }
    }

    /// The bounds for an ordered map.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        match self {
            KeyRange::Single(key) => (Bound::Included(key), Bound::Included(key)),
            // An inverted interval is made empty here, so that no map has to have an opinion on it.
            KeyRange::Between(start, end) => (Bound::Included(start), Bound::Excluded(end.max(start))),
            KeyRange::From(start) => (Bound::Included(start), Bound::Unbounded),
        }
    }

    /// Whether `key` belongs to the set.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::Single(single) => key == single,
            KeyRange::Between(start, end) => **start <= *key && *key < **end,
            KeyRange::From(start) => **start <= *key,
        }
    }

    /// Whether no key can belong to the set.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, KeyRange::Between(start, end) if end <= start)
    }
}

/// The smallest key above all keys with this prefix; `None` if there is none (nothing but `0xff`).
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(Bytes::from(end))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(key: &'static [u8], end: &'static [u8]) -> KeyRange {
        KeyRange::new(Bytes::from_static(key), Bytes::from_static(end))
    }

    #[test]
    fn the_end_decides_the_kind() {
        assert!(range(b"a", b"").contains(b"a"));
        assert!(!range(b"a", b"").contains(b"a\0"));
        assert!(range(b"b", b"\0").contains(b"\xff\xff"));
        assert!(!range(b"b", b"\0").contains(b"a"));
        assert!(range(b"\0", b"\0").contains(b"\0"));
        assert!(range(b"a", b"b").contains(b"a\xff"));
        assert!(!range(b"a", b"b").contains(b"b"));
        assert!(range(b"b", b"a").is_empty());
        assert!(range(b"b", b"b").is_empty());
        assert!(!range(b"b", b"\0").is_empty());
    }

    #[test]
    fn a_prefix_ends_where_its_last_raisable_byte_does() {
        assert_eq!(after_prefix(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(after_prefix(b"a\xff").as_deref(), Some(&b"b"[..]));
        assert_eq!(after_prefix(b"\xff\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)], 0..4)
    }

    proptest! {
        #[test]
        fn bounds_and_contains_agree(keys in proptest::collection::btree_set(key(), 0..20), start in key(), end in key()) {
            let range = KeyRange::new(start.into(), end.into());
            let by_bounds: BTreeSet<&[u8]> =
                keys.iter().map(Vec::as_slice).collect::<BTreeSet<_>>().range::<[u8], _>(range.bounds()).copied().collect();
            let by_contains: BTreeSet<&[u8]> = keys.iter().map(Vec::as_slice).filter(|key| range.contains(key)).collect();
            prop_assert_eq!(by_bounds, by_contains);
        }

        #[test]
        fn a_prefix_holds_what_begins_with_it(prefix in key(), key in key()) {
            let within = prefix <= key && after_prefix(&prefix).is_none_or(|end| key < end);
            prop_assert_eq!(within, key.starts_with(&prefix));
        }
    }
}
