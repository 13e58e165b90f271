//! Keeps a diary readable and bounded in worth: of things that happen again and again only the 1st, 2nd, 4th, 8th …
//! are written down, each saying which one it is. It may not know what the things are.

use std::collections::BTreeMap;

use crate::Now;
use crate::clock::MILLISECOND;
use crate::diary::DiaryKind;

/// A series ends when it pauses for so long.
const PAUSE: u64 = 60_000 * MILLISECOND;
/// Series that are told apart; beyond it all are forgotten, and the worst is that something is written down again.
const SERIES_MAX: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    series: BTreeMap<(DiaryKind, String), Series>,
}

#[derive(Clone, Copy, Debug)]
struct Series {
    count: u64,
    last: u64,
}

impl Repeats {
    /// Counts this; the number it has in its series if it is to be written down. Texts that differ only in numbers
    /// are the same thing.
    pub(super) fn count(&mut self, kind: DiaryKind, text: &str, now: Now) -> Option<u64> {
        if self.series.len() >= SERIES_MAX {
            self.series.clear();
        }
        let series = self.series.entry((kind, essence(text))).or_insert(Series { count: 0, last: now.nanoseconds });
        if now.nanoseconds.saturating_sub(series.last) > PAUSE {
            series.count = 0;
        }
        series.last = now.nanoseconds;
        series.count += 1;
        series.count.is_power_of_two().then_some(series.count)
    }

    /// These kinds of things begin anew.
    pub(super) fn forget(&mut self, begins_anew: impl Fn(DiaryKind) -> bool) {
        self.series.retain(|&(kind, _), _| !begins_anew(kind));
    }
}

/// The text without its numbers; names keep their digits.
fn essence(text: &str) -> String {
    let without =
        |word: &str| if word.starts_with(|first: char| first.is_ascii_digit()) { "#".into() } else { word.to_owned() };
    text.split(' ').map(without).collect::<Vec<String>>().join(" ")
}
