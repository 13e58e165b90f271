//! What clients are told, and when.

use node::NodeId;
use raft::Index;

use super::{Invariant, Ledger, Verdict, ensure};
use crate::registers::{Answer, Reply, RequestId};

/// A decision reaches its client only after everything it saw or made is committed.
///
/// # Errors
/// It comes sooner.
pub fn replies_are_released_after_commit(request: RequestId, reply: &Reply, ledger: &Ledger) -> Verdict {
    const NAME: Invariant = Invariant::RepliesFollowCommit;
    if reply.answer == Answer::Done {
        let done = ledger.receipt(request).map(|(_, revision)| revision);
        return ensure(done == Some(reply.revision), NAME, || {
            format!("request {request} is acknowledged at revision {}, committed is {done:?}", reply.revision)
        });
    }
    let committed = ledger.reference().revision();
    ensure(reply.revision <= committed, NAME, || {
        format!("the answer to {request} rests on revision {}, committed is {committed}", reply.revision)
    })
}

/// A member answers its client only after it applied what the answer rests on.
///
/// # Errors
/// It answers sooner.
pub fn replies_are_applied_where_they_are_given(
    id: NodeId,
    request: RequestId,
    reply: &Reply,
    published_revision: u64,
) -> Verdict {
    ensure(reply.revision <= published_revision, Invariant::RepliesAreApplied, || {
        format!("{id} answers {request} at revision {}, and has applied {published_revision}", reply.revision)
    })
}

/// A request that "was not applied" never is.
///
/// # Errors
/// It was.
pub fn not_applied_is_never_applied(request: RequestId, done: Option<(Index, u64)>) -> Verdict {
    ensure(done.is_none(), Invariant::NotAppliedIsNeverApplied, || {
        format!("request {request} was said not to be applied, it is at {done:?}")
    })
}

/// No request is answered twice, and nothing is answered that was not asked.
///
/// # Errors
/// One is.
pub fn requests_are_answered_once(id: NodeId, tag: u64, waited: bool) -> Verdict {
    ensure(waited, Invariant::RequestsAreAnsweredOnce, || format!("{id} answers {tag}, for which nobody waits"))
}

/// Every request gets an answer in time.
///
/// # Errors
/// Some wait for ever.
pub fn requests_are_answered(id: NodeId, waiting: usize) -> Verdict {
    ensure(waiting == 0, Invariant::RequestsAreAnswered, || format!("{waiting} requests to {id} wait for ever"))
}

/// A read after a barrier sees every write that was acknowledged before the barrier began.
///
/// # Errors
/// It sees less.
pub fn reads_after_a_barrier_are_fresh(id: NodeId, acknowledged_before: u64, seen: u64) -> Verdict {
    ensure(seen >= acknowledged_before, Invariant::ReadsAreFresh, || {
        format!("{id} reads at revision {seen}, {acknowledged_before} was acknowledged before the barrier began")
    })
}
