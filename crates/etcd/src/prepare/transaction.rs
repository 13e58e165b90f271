//! Decides a transaction: compares first, then picks the branches, then checks every operation on them, then carries
//! them out. Knows nothing of malformed requests; those are refused before.
//!
//! All comparisons and checks, those of nested transactions included, see the state before the transaction; its reads
//! see its own writes. Everything happens at one revision.

use std::cmp::Ordering;

use state::{Row, State, Transaction};

use super::{header, keys};
use crate::keys::KeyRange;
use crate::range;
use crate::refusal::Refusal;
use crate::table::{KEYS, signed};
use crate::wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::wire::etcdserverpb::request_op::Request;
use crate::wire::etcdserverpb::response_op::Response;
use crate::wire::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};

/// Whether no branch of the transaction writes.
pub(crate) fn is_read_only(request: &TxnRequest) -> bool {
    operations(request).all(|operation| match &operation.request {
        Some(Request::RequestRange(_)) => true,
        Some(Request::RequestTxn(nested)) => is_read_only(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

/// Whether every read of a read-only transaction is content with what this member knows.
pub(crate) fn is_serializable(request: &TxnRequest) -> bool {
    operations(request).all(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => range.serializable,
        Some(Request::RequestTxn(nested)) => is_serializable(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

fn operations(request: &TxnRequest) -> impl Iterator<Item = &RequestOp> {
    request.success.iter().chain(&request.failure)
}

/// Answers a transaction from a view, if the branches that its comparisons pick only read; `None` if they write.
pub(crate) fn read(state: &State, request: &TxnRequest) -> Option<Result<TxnResponse, Refusal>> {
    let answer = Chosen::new(state, request).read(state)?;
    Some(answer.map(|response| TxnResponse { header: header(state.revision()), ..response }))
}

/// Decides and carries out a transaction.
pub(super) fn write(transaction: &mut Transaction<'_>, request: &TxnRequest) -> Result<TxnResponse, Refusal> {
    let chosen = Chosen::new(transaction.state(), request);
    chosen.verify_puts(transaction.state())?;
    chosen.verify_ranges(transaction.state())?;
    // Reads of an old revision must not see our writes, even where ours is the only newer one.
    let before = chosen.reads_the_past().then(|| transaction.state().clone());
    let response = chosen.carry_out(transaction, before.as_ref());
    Ok(TxnResponse { header: header(transaction.state().revision()), ..response })
}

/// A transaction whose comparisons are made: the operations that will be carried out.
struct Chosen<'r> {
    succeeded: bool,
    steps: Vec<Step<'r>>,
}

enum Step<'r> {
    Range(&'r RangeRequest),
    Put(&'r PutRequest),
    DeleteRange(&'r DeleteRangeRequest),
    Nested(Chosen<'r>),
}

impl<'r> Chosen<'r> {
    fn new(state: &State, request: &'r TxnRequest) -> Chosen<'r> {
        let succeeded = request.compare.iter().all(|compare| holds(state, compare));
        let branch = if succeeded { &request.success } else { &request.failure };
        let step = |operation: &'r RequestOp| match operation.request.as_ref()? {
            Request::RequestRange(request) => Some(Step::Range(request)),
            Request::RequestPut(request) => Some(Step::Put(request)),
            Request::RequestDeleteRange(request) => Some(Step::DeleteRange(request)),
            Request::RequestTxn(request) => Some(Step::Nested(Chosen::new(state, request))),
        };
        Chosen { succeeded, steps: branch.iter().filter_map(step).collect() }
    }

    fn reads_the_past(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Range(request) => request.revision > 0,
            Step::Nested(nested) => nested.reads_the_past(),
            Step::Put(_) | Step::DeleteRange(_) => false,
        })
    }

    /// The real server checks all puts before all ranges, which shows when both are at fault.
    fn verify_puts(&self, state: &State) -> Result<(), Refusal> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Put(request) => {
                keys::key_exists_if_needed(state, request)?;
                keys::lease_exists(state, request)
            }
            Step::Nested(nested) => nested.verify_puts(state),
            Step::Range(_) | Step::DeleteRange(_) => Ok(()),
        })
    }

    fn verify_ranges(&self, state: &State) -> Result<(), Refusal> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Range(request) => revision_is_there(state, request),
            Step::Nested(nested) => nested.verify_ranges(state),
            Step::Put(_) | Step::DeleteRange(_) => Ok(()),
        })
    }

    /// `before` is the state before the transaction, there if any step reads an old revision.
    fn carry_out(&self, transaction: &mut Transaction<'_>, before: Option<&State>) -> TxnResponse {
        let step = |step: &Step<'r>| match step {
            Step::Range(request) => Response::ResponseRange(read_within(transaction, before, request)),
            Step::Put(request) => Response::ResponsePut(keys::apply_put(transaction, request)),
            Step::DeleteRange(request) => Response::ResponseDeleteRange(keys::delete_range(transaction, request)),
            Step::Nested(nested) => Response::ResponseTxn(nested.carry_out(transaction, before)),
        };
        self.respond(self.steps.iter().map(step).collect())
    }

    fn read(&self, state: &State) -> Option<Result<TxnResponse, Refusal>> {
        let mut responses = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let response = match step {
                Step::Range(request) => revision_is_there(state, request)
                    .and_then(|()| range::answer(state, request))
                    .map(Response::ResponseRange),
                Step::Nested(nested) => nested.read(state)?.map(Response::ResponseTxn),
                Step::Put(_) | Step::DeleteRange(_) => return None,
            };
            match response {
                Ok(response) => responses.push(response),
                Err(refusal) => return Some(Err(refusal)),
            }
        }
        Some(Ok(self.respond(responses)))
    }

    /// The header of a nested transaction is there, but empty.
    fn respond(&self, responses: Vec<Response>) -> TxnResponse {
        let header = Some(ResponseHeader::default());
        let responses = responses.into_iter().map(|response| ResponseOp { response: Some(response) }).collect();
        TxnResponse { header, succeeded: self.succeeded, responses }
    }
}

/// Unlike a range of its own, one in a transaction may not ask for a negative revision.
fn revision_is_there(state: &State, request: &RangeRequest) -> Result<(), Refusal> {
    match u64::try_from(request.revision) {
        Ok(0) => Ok(()),
        Ok(revision) if revision > state.revision() => Err(Refusal::FutureRevision),
        Ok(revision) if revision >= state.compacted() => Ok(()),
        Ok(_) | Err(_) => Err(Refusal::Compacted),
    }
}

fn read_within(transaction: &Transaction<'_>, before: Option<&State>, request: &RangeRequest) -> RangeResponse {
    let now = transaction.state();
    let state = before.filter(|_| request.revision > 0).unwrap_or(now);
    let mut response =
        range::answer(state, request).expect("the revision was found to be there before the first write");
    response.header = header(now.revision());
    response
}

/// Whether every key of the comparison's range satisfies it. An absent key has zeros everywhere, but no value: no
/// comparison of values holds for it.
fn holds(state: &State, compare: &Compare) -> bool {
    let range = KeyRange::new(compare.key.clone(), compare.range_end.clone());
    let (from, to) = range.bounds();
    let mut rows = state.range(KEYS, from, to);
    let Some((_, first)) = rows.next() else {
        return CompareTarget::try_from(compare.target) != Ok(CompareTarget::Value) && holds_for(compare, None);
    };
    if !holds_for(compare, Some(first)) {
        return false;
    }
    while let Some((_, row)) = rows.next() {
        if !holds_for(compare, Some(row)) {
            return false;
        }
    }
    true
}

/// An absent row compares as zero. Results that nobody knows hold, as they do in the real server.
fn holds_for(compare: &Compare, row: Option<&Row>) -> bool {
    use TargetUnion as Union;
    let target = CompareTarget::try_from(compare.target);
    let union = compare.target_union.as_ref();
    // What is compared with is zero unless it is given under the name of the target.
    let ordering = match (target, union) {
        (Ok(CompareTarget::Value), union) => {
            let wanted: &[u8] = if let Some(Union::Value(wanted)) = union { wanted } else { &[] };
            row.map_or(&[][..], Row::value).cmp(wanted)
        }
        (Ok(target), union) => {
            let wanted = match (target, union) {
                (CompareTarget::Version, Some(Union::Version(wanted)))
                | (CompareTarget::Create, Some(Union::CreateRevision(wanted)))
                | (CompareTarget::Mod, Some(Union::ModRevision(wanted)))
                | (CompareTarget::Lease, Some(Union::Lease(wanted))) => *wanted,
                _ => 0,
            };
            row.map_or(0, |row| number(target, row)).cmp(&wanted)
        }
        (Err(_), _) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

/// The number that a target names. A value is none.
fn number(target: CompareTarget, row: &Row) -> i64 {
    match target {
        CompareTarget::Version => signed(row.version()),
        CompareTarget::Create => signed(row.created()),
        CompareTarget::Mod => signed(row.modified()),
        CompareTarget::Lease => row.lease().0,
        CompareTarget::Value => 0,
    }
}
