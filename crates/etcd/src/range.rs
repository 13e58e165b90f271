//! Answers a range: the one place where rows are looked up, filtered, sorted and counted, for reads of a committed
//! view and for reads inside a transaction alike. Knows nothing of who asks, nor how fresh the state is.

use bytes::Bytes;
use state::tree::Range;
use state::{HistoryError, RangeAt, Row, State};

use crate::keys::KeyRange;
use crate::refusal::Refusal;
use crate::table::{KEYS, key_only, key_value, signed, signed_count};
use crate::wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::wire::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};

/// Answers `request` from `state`. The header says the state's revision; the rest of it is the caller's.
///
/// # Errors
/// [`Refusal::FutureRevision`], [`Refusal::Compacted`].
pub(crate) fn answer(state: &State, request: &RangeRequest) -> Result<RangeResponse, Refusal> {
    let revision = revision_to_read(state, request.revision)?;
    let range = KeyRange::new(request.key.clone(), request.range_end.clone());
    let count = count(state, &range, revision)?;
    let mut response = RangeResponse {
        header: Some(ResponseHeader { revision: signed(state.revision()), ..ResponseHeader::default() }),
        count: signed_count(count),
        ..RangeResponse::default()
    };
    if request.count_only || count == 0 {
        return Ok(response);
    }
    let plan = Plan::new(request, revision.is_none());
    let mut found = plan.collect(Rows::new(state, &range, revision)?);
    plan.sort(&mut found);
    if let Some(limit) = plan.limit
        && found.len() > limit
    {
        found.truncate(limit);
        response.more = true;
    }
    let entry = if request.keys_only { key_only } else { key_value };
    response.kvs = found.into_iter().map(|(key, row)| entry(key, &row)).collect();
    Ok(response)
}

/// How many keys answering `request` has to visit: what it costs.
pub(crate) fn cost(state: &State, request: &RangeRequest) -> usize {
    let newest = request.revision <= 0;
    if request.range_end.is_empty() || (request.count_only && newest) {
        return 1;
    }
    let range = KeyRange::new(request.key.clone(), request.range_end.clone());
    let (from, to) = range.bounds();
    let live = state.count(KEYS, from, to);
    // Keys that lived at an old revision are not counted beforehand: the present is a good enough guess.
    Plan::new(request, newest).fetch.map_or(live, |fetch| if newest { fetch.min(live) } else { live })
}

/// The wanted revision, `None` for the newest.
fn revision_to_read(state: &State, wanted: i64) -> Result<Option<u64>, Refusal> {
    match u64::try_from(wanted) {
        Err(_) | Ok(0) => Ok(None),
        Ok(wanted) if wanted > state.revision() => Err(Refusal::FutureRevision),
        Ok(wanted) if wanted < state.compacted() => Err(Refusal::Compacted),
        Ok(wanted) => Ok((wanted < state.revision()).then_some(wanted)),
    }
}

fn count(state: &State, range: &KeyRange, revision: Option<u64>) -> Result<usize, Refusal> {
    let (from, to) = range.bounds();
    match revision {
        None => Ok(state.count(KEYS, from, to)),
        Some(revision) => state.count_at(KEYS, from, to, revision).map_err(|error| of_history(&error)),
    }
}

/// What the API makes of history that is not there.
fn of_history(error: &HistoryError) -> Refusal {
    match error {
        HistoryError::Compacted { .. } => Refusal::Compacted,
        HistoryError::Future { .. } => Refusal::FutureRevision,
    }
}

/// How many rows to read, which to keep, and in which order to give them.
struct Plan {
    /// Walk from the last key to the first: the one order that needs no sorting besides the natural one.
    backward: bool,
    /// Read no more than this many; `None` reads all.
    fetch: Option<usize>,
    filter: Filter,
    /// What to sort by after reading; `None` leaves the order of the walk.
    sort: Option<(SortTarget, Direction)>,
    /// Give no more than this many.
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

impl Plan {
    fn new(request: &RangeRequest, newest: bool) -> Plan {
        let (target, order) = (request.sort_target(), request.sort_order());
        let natural = target == SortTarget::Key && order != SortOrder::Descend;
        // Old revisions can be walked in one direction only.
        let backward = target == SortTarget::Key && order == SortOrder::Descend && newest;
        let direction = match order {
            SortOrder::Descend => Direction::Descending,
            SortOrder::None | SortOrder::Ascend => Direction::Ascending,
        };
        let filter = Filter::new(request);
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // A target without an order sorts only what the limit leaves of the keys: the real server does so.
        let limited_walk = natural || backward || order == SortOrder::None;
        Plan {
            backward,
            fetch: limit.filter(|_| limited_walk && filter.passes_all()).map(|limit| limit.saturating_add(1)),
            filter,
            sort: (!natural && !backward).then_some((target, direction)),
            limit,
        }
    }

    fn collect(&self, mut rows: Rows<'_>) -> Vec<(Bytes, Row)> {
        let most = self.fetch.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        while found.len() < most
            && let Some((key, row)) = rows.next(self.backward)
        {
            if self.filter.keeps(row) {
                found.push((Bytes::copy_from_slice(key), row.clone()));
            }
        }
        found
    }

    /// Rows that are equal in what is sorted by stay in the order of their keys.
    fn sort(&self, found: &mut [(Bytes, Row)]) {
        let Some((target, direction)) = self.sort else { return };
        let compare = |(left_key, left): &(Bytes, Row), (right_key, right): &(Bytes, Row)| match target {
            SortTarget::Key => left_key.cmp(right_key),
            SortTarget::Version => left.version().cmp(&right.version()),
            SortTarget::Create => left.created().cmp(&right.created()),
            SortTarget::Mod => left.modified().cmp(&right.modified()),
            SortTarget::Value => left.value().cmp(right.value()),
        };
        match direction {
            Direction::Ascending => found.sort_by(compare),
            Direction::Descending => found.sort_by(|left, right| compare(right, left)),
        }
    }
}

/// Rows between two bounds, now or as they were.
enum Rows<'a> {
    Now(Range<'a, Row>),
    Then(Box<RangeAt<'a>>),
}

impl<'a> Rows<'a> {
    fn new(state: &'a State, range: &KeyRange, revision: Option<u64>) -> Result<Rows<'a>, Refusal> {
        let (from, to) = range.bounds();
        match revision {
            None => Ok(Rows::Now(state.range(KEYS, from, to))),
            Some(revision) => {
                let rows = state.range_at(KEYS, from, to, revision).map_err(|error| of_history(&error))?;
                Ok(Rows::Then(Box::new(rows)))
            }
        }
    }

    fn next(&mut self, backward: bool) -> Option<(&[u8], &Row)> {
        match self {
            Rows::Now(rows) => {
                if backward {
                    rows.next_back()
                } else {
                    rows.next()
                }
            }
            Rows::Then(rows) => rows.next(),
        }
    }
}

/// The four bounds on revisions; 0 in the request is no bound.
struct Filter {
    modified: (i64, i64),
    created: (i64, i64),
}

impl Filter {
    fn new(request: &RangeRequest) -> Filter {
        let bounds =
            |min: i64, max: i64| (if min == 0 { i64::MIN } else { min }, if max == 0 { i64::MAX } else { max });
        Filter {
            modified: bounds(request.min_mod_revision, request.max_mod_revision),
            created: bounds(request.min_create_revision, request.max_create_revision),
        }
    }

    fn passes_all(&self) -> bool {
        let all = (i64::MIN, i64::MAX);
        self.modified == all && self.created == all
    }

    fn keeps(&self, row: &Row) -> bool {
        let within = |(min, max): (i64, i64), revision: u64| (min..=max).contains(&signed(revision));
        within(self.modified, row.modified()) && within(self.created, row.created())
    }
}

#[cfg(test)]
mod tests;
