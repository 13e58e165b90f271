//! Which entries of the diary `/diary` answers. Knows no transport.

use node::DiaryEntry;
use serde::Deserialize;

/// The header that says how many lines of the diary were damaged and left out.
pub(super) const DAMAGED: &str = "conclave-diary-damaged";

/// What somebody wants to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Wanted {
    /// Only what was written after this moment, in milliseconds since 1970.
    after: Option<u64>,
    /// How many entries.
    limit: Option<usize>,
}

/// Entries that are answered if nobody says how many.
const LIMIT: usize = 1000;

/// Without `after` the newest entries. With it the oldest ones behind it, so that the time of the last entry is where
/// to go on; for the sake of that, entries of the same millisecond are never torn apart.
pub(super) fn select(mut entries: Vec<DiaryEntry>, wanted: &Wanted) -> Vec<DiaryEntry> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    let Some(after) = wanted.after else {
        return entries.split_off(entries.len().saturating_sub(limit));
    };
    entries.retain(|entry| entry.unix_milliseconds > after);
    // A clock may have been set back in between.
    entries.sort_by_key(|entry| entry.unix_milliseconds);
    if let Some(last) = limit.checked_sub(1).and_then(|last| entries.get(last)) {
        let last = last.unix_milliseconds;
        entries.truncate(entries.partition_point(|entry| entry.unix_milliseconds <= last));
    } else if limit == 0 {
        entries.clear();
    }
    entries
}

#[cfg(test)]
mod tests {
    use node::{DiaryKind, Facts};

    use super::*;

    fn chosen(times: &[u64], after: Option<u64>, limit: Option<usize>) -> Vec<u64> {
        let entry = |&unix_milliseconds: &u64| DiaryEntry {
            unix_milliseconds,
            member: "m1".to_owned(),
            term: 1,
            kind: DiaryKind::Vote,
            text: String::new(),
            facts: Facts::default(),
        };
        let selected = select(times.iter().map(entry).collect(), &Wanted { after, limit });
        selected.iter().map(|entry| entry.unix_milliseconds).collect()
    }

    #[test]
    fn the_newest_are_answered_unless_somebody_pages_on() {
        let times = [10, 20, 20, 30, 40];
        assert_eq!(chosen(&times, None, None), times);
        assert_eq!(chosen(&times, None, Some(2)), [30, 40]);
        assert_eq!(chosen(&times, Some(10), None), [20, 20, 30, 40]);
        assert_eq!(chosen(&times, Some(10), Some(1)), [20, 20], "one moment is not torn apart");
        assert_eq!(chosen(&times, Some(20), Some(1)), [30]);
        assert_eq!(chosen(&times, Some(20), Some(0)), [0; 0]);
        assert_eq!(chosen(&times, Some(40), Some(9)), [0; 0]);
    }
}
