//! The quota: what makes the state grow is refused above the hard mark, and people are warned above the soft one.
//!
//! What does not make it grow is always let through: deletions, ends of leases, compaction, and replacing a row by one that
//! is no larger. So there is nothing to disarm: as soon as something was deleted, writes go on by themselves.
//!
//! It knows bytes, and nothing of what they are for.

use state::State;

use crate::{DiaryKind, Limits};

/// A change that would make the state grow, and what stands against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverQuota {
    /// Bytes that the state would have grown to.
    pub(super) bytes: u64,
    /// `quota.hard_bytes`.
    pub(super) limit: u64,
}

/// Whether one request might reach the hard mark, so that the state before it should be kept.
pub(super) fn is_near(limits: &Limits, state: &State) -> bool {
    // What a request changes is bounded by its delta, which holds every row that it puts.
    state.bytes().saturating_add(limits.change_bytes as u64) > limits.quota_hard_bytes
}

/// Lets the change from one state to the other through, unless it grows beyond the hard mark.
pub(super) fn admit(limits: &Limits, before: &State, after: &State) -> Result<(), OverQuota> {
    let (bytes, limit) = (after.bytes(), limits.quota_hard_bytes);
    let grown = bytes.saturating_sub(before.bytes());
    // Writing a row again makes its numbers wider now and then. That is no reason to refuse what is no larger.
    let rewritten = grown <= HEADER_BYTES && bytes <= limit + limit / 64 + HEADER_BYTES && rows(after) <= rows(before);
    if bytes <= limit || grown == 0 || rewritten { Ok(()) } else { Err(OverQuota { bytes, limit }) }
}

/// What the numbers of one row take at most, beside its value.
const HEADER_BYTES: u64 = 32;

fn rows(state: &State) -> usize {
    state.specs().iter().map(|table| state.len(table.id)).sum()
}

/// How full the state was when that was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fill {
    #[default]
    Room,
    AboveSoft,
    Full,
}

impl Fill {
    /// Looks again; what is to be written in the diary if that changed. A mark counts as left only a little below it, so
    /// that a state that stays near it does not fill the diary.
    pub(super) fn look(&mut self, limits: &Limits, bytes: u64) -> Option<(DiaryKind, String)> {
        let (soft, hard) = (limits.quota_soft_bytes, limits.quota_hard_bytes);
        let left = |mark: u64| bytes < mark - mark / 32;
        let now = match *self {
            _ if bytes >= hard => Fill::Full,
            Fill::Full if !left(hard) => Fill::Full,
            _ if bytes >= soft => Fill::AboveSoft,
            Fill::AboveSoft | Fill::Full if !left(soft) => Fill::AboveSoft,
            _ => Fill::Room,
        };
        if now == *self {
            return None;
        }
        *self = now;
        let text = match now {
            Fill::Full => format!(
                "holds {bytes} bytes of keys and rows, quota.hard_bytes = {hard} is reached: what would make it grow is \
                 refused until something is deleted"
            ),
            Fill::AboveSoft => format!(
                "holds {bytes} bytes of keys and rows, above quota.soft_bytes = {soft}; at quota.hard_bytes = {hard} \
                 writes that make it grow are refused"
            ),
            Fill::Room => format!("holds {bytes} bytes of keys and rows, below quota.soft_bytes = {soft} again"),
        };
        Some((DiaryKind::Quota, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_once_when_they_are_crossed_and_once_when_they_are_left() {
        let limits = Limits { quota_soft_bytes: 320, quota_hard_bytes: 640, ..Limits::default() };
        let mut fill = Fill::default();
        let mut told = Vec::new();
        for bytes in [0, 319, 320, 315, 330, 640, 700, 630, 619, 311, 310, 309, 640, 0] {
            if let Some((kind, _)) = fill.look(&limits, bytes) {
                assert_eq!(kind, DiaryKind::Quota);
                told.push((bytes, fill));
            }
        }
        let expected = [
            (320, Fill::AboveSoft),
            (640, Fill::Full),
            (619, Fill::AboveSoft),
            (309, Fill::Room),
            (640, Fill::Full),
            (0, Fill::Room),
        ];
        assert_eq!(told, expected);
    }
}
