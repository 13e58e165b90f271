//! Reading the feed of a snapshot, and with it the past of the tables.
//!
//! Changes come in the order in which they happened, so what they superseded is filed as it was then, except that
//! what is below the compaction point, or was superseded there, is not filed at all.

use super::reader::{decode_row, require};
use super::{AFTER_DELETED, AFTER_HERE, AFTER_LIVE, BEFORE_EARLIER, BEFORE_HERE, BEFORE_NONE, CHANGE, Flaw, MOMENT};
use crate::codec::Input;
use crate::feed::{Change, ChangeKind};
use crate::history::{Past, Restored};
use crate::key::Key;
use crate::row::Row;
use crate::state::State;
use crate::table::TableId;

/// Which bits of a change's flags tell of the row after; the others tell of the row before.
const AFTER_BITS: u8 = 3;

/// How far the feed was read.
#[derive(Default)]
pub(super) struct FeedReader {
    open: Option<OpenMoment>,
    last_revision: Option<u64>,
    changes: u64,
}

/// The revision whose changes are being read.
struct OpenMoment {
    revision: u64,
    time_milliseconds: u64,
    missing: u64,
    changes: Vec<Change>,
}

impl FeedReader {
    /// How many changes were read.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether every revision has the changes that it announced.
    pub(super) fn is_complete(&self) -> bool {
        self.open.is_none()
    }

    pub(super) fn read(&mut self, state: &mut State, input: &mut Input<'_>) -> Result<(), Flaw> {
        while !input.is_empty() {
            match (input.byte()?, self.open.take()) {
                (MOMENT, None) => self.open = Some(self.open_moment(state, input)?),
                (CHANGE, Some(mut moment)) => {
                    moment.changes.push(read_change(state, moment.revision, input)?);
                    moment.missing -= 1;
                    self.changes += 1;
                    self.open = Some(moment);
                }
                _ => {
                    return Err(Flaw::Inconsistent("a revision has more or fewer changes than it announced"));
                }
            }
            if let Some(moment) = self.open.take_if(|moment| moment.missing == 0) {
                let catalog = &state.catalog;
                let history = |table| catalog.history(table);
                state.feed.push(moment.revision, moment.time_milliseconds, moment.changes, history);
            }
        }
        Ok(())
    }

    fn open_moment(&mut self, state: &State, input: &mut Input<'_>) -> Result<OpenMoment, Flaw> {
        let revision = input.integer()?;
        let time_milliseconds = input.integer()?;
        let missing = input.integer()?;
        require(self.last_revision.is_none_or(|last| last < revision), "its feed is not in order")?;
        let readable = state.compacted..=state.revision;
        require(readable.contains(&revision), "its feed has a revision that cannot be read")?;
        require(missing > 0, "its feed has a revision without changes")?;
        self.last_revision = Some(revision);
        Ok(OpenMoment { revision, time_milliseconds, missing, changes: Vec::new() })
    }
}

fn read_change(state: &mut State, revision: u64, input: &mut Input<'_>) -> Result<Change, Flaw> {
    let (flags, table) = (input.byte()?, TableId(input.byte()?));
    let key = input.counted()?;
    let position = state.catalog.position(table).ok_or(Flaw::Table(table))?;
    let compacted = state.compacted;
    let tables = &mut state.tables[position];

    let before_code = flags & !AFTER_BITS;
    let before = match (before_code, &tables.past) {
        (BEFORE_NONE, _) => None,
        (BEFORE_HERE, Some(_)) => Some(decode_row(input, revision)?),
        (BEFORE_EARLIER, Some(past)) => {
            let earlier = past.at(key, revision.saturating_sub(1));
            Some(earlier.cloned().ok_or(Flaw::Inconsistent("a change names an earlier row that is not there"))?)
        }
        _ => {
            return Err(Flaw::Inconsistent("a change has a row before of an unknown kind"));
        }
    };
    let after_code = flags & AFTER_BITS;
    let after = match after_code {
        AFTER_DELETED => None,
        AFTER_HERE => Some(decode_row(input, revision)?),
        AFTER_LIVE => {
            let live = tables.rows.get(key).cloned();
            Some(live.ok_or(Flaw::Inconsistent("a change names a live row that is not there"))?)
        }
        _ => {
            return Err(Flaw::Inconsistent("a change has a row after of an unknown kind"));
        }
    };
    require(
        after.as_ref().is_none_or(|after| after.modified() == revision),
        "a change and its row are of different revisions",
    )?;
    if let Some(past) = &mut tables.past {
        require(before.is_some() || after.is_some(), "a row was deleted that was not there")?;
        let filed_before = before.clone().filter(|_| before_code == BEFORE_HERE && revision > compacted);
        let filed_after = match (&after, after_code) {
            (Some(row), AFTER_HERE) => Restored::Version(row.clone()),
            (None, _) if revision > compacted => Restored::Tombstone,
            _ => Restored::Nothing,
        };
        file(past, key, revision, filed_before, filed_after);
    }
    let kind = if after.is_some() { ChangeKind::Put } else { ChangeKind::Delete };
    Ok(Change { revision, table, kind, key: Key::from(key), before, after })
}

/// Files what a change at `revision` superseded, and what it left behind if that is not current any more.
fn file(past: &mut Past, key: &[u8], revision: u64, before: Option<Row>, after: Restored) {
    if let Some(before) = before
        && before.modified() < revision
    {
        past.restore(key, before.modified(), Restored::Version(before.clone()));
    }
    past.restore(key, revision, after);
}
