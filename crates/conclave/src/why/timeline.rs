//! From several diaries to one timeline. Knows no file, no address and no colour.

use std::collections::VecDeque;

use node::{DiaryEntry, DiaryKind};

/// One thing that happened, and who wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Who, by name.
    pub(super) members: Vec<String>,
    /// The first entry about it.
    pub(super) entry: DiaryEntry,
}

/// Several members see one thing within this time, in milliseconds.
const SAME_WITHIN: u64 = 2_000;
/// How many moments back the same thing is looked for.
const LOOK_BACK: usize = 64;

/// Puts the diaries into one order. Each keeps its own, for a clock may be set back, but nobody's story runs backwards;
/// between them the earlier comes first. Of one millisecond, what causes comes before what follows.
pub(super) fn merge(diaries: impl IntoIterator<Item = Vec<DiaryEntry>>) -> Vec<DiaryEntry> {
    let mut rest: Vec<VecDeque<DiaryEntry>> = diaries.into_iter().map(VecDeque::from).collect();
    let mut merged = Vec::with_capacity(rest.iter().map(VecDeque::len).sum());
    loop {
        let next = rest.iter_mut().filter(|diary| !diary.is_empty()).min_by_key(|diary| diary.front().map(order));
        match next.and_then(VecDeque::pop_front) {
            Some(entry) => merged.push(entry),
            None => return merged,
        }
    }
}

fn order(entry: &DiaryEntry) -> (u64, u64, u8) {
    let place = match entry.kind {
        DiaryKind::ConnectionLost | DiaryKind::Stopped | DiaryKind::Fatal => 0,
        DiaryKind::Campaign | DiaryKind::Transfer => 1,
        DiaryKind::Vote | DiaryKind::Refusal => 2,
        DiaryKind::Tally | DiaryKind::PreVoteFailed | DiaryKind::ElectionFailed => 3,
        DiaryKind::Leader => 4,
        _ => 5,
    };
    (entry.unix_milliseconds, entry.term, place)
}

/// Puts together what several members wrote about the same thing.
pub(super) fn group(entries: Vec<DiaryEntry>) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    for entry in entries {
        let same = moments.iter_mut().rev().take(LOOK_BACK).find(|moment| {
            let first = &moment.entry;
            (first.kind, first.term, &first.text) == (entry.kind, entry.term, &entry.text)
                && entry.unix_milliseconds.abs_diff(first.unix_milliseconds) <= SAME_WITHIN
                && !moment.members.contains(&entry.member)
        });
        match same {
            Some(moment) => {
                moment.members.push(entry.member);
                moment.members.sort();
            }
            None => moments.push(Moment { members: vec![entry.member.clone()], entry }),
        }
    }
    moments
}
