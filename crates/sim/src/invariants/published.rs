//! What members publish.

use node::NodeId;
use node::member::Published;
use raft::Index;
use state::{LeaseId, State};

use super::{Invariant, Ledger, Verdict, View, ensure};

/// Members that applied the same entries have the same state.
///
/// # Errors
/// Their hashes differ.
pub fn states_are_equal(id: NodeId, published: &Published, ledger: &Ledger) -> Verdict {
    let index = Index(published.index);
    let own = (published.state.hash(), published.state.revision());
    let decided = ledger.at(index).map(|decided| (decided.hash, decided.revision));
    ensure(decided == Some(own), Invariant::StatesAreEqual, || {
        format!("{id} after entry {index}: hash and revision {own:x?}, after what was decided {decided:x?}")
    })
}

/// What a process publishes never goes back.
///
/// # Errors
/// It does.
pub fn published_states_move_forward(id: NodeId, view: &View, published: &Published) -> Verdict {
    let (index, revision) = (published.index, published.state.revision());
    let forward = index > view.published.0 && revision >= view.published.1;
    ensure(forward, Invariant::PublishedStatesMoveForward, || {
        format!("{id} publishes entry {index}, revision {revision} after {:?}", view.published)
    })
}

/// Whoever follows the feed of published states sees every revision once, in order, with what was decided there.
///
/// # Errors
/// Something is missing, doubled or different.
pub fn the_feed_has_no_gap(id: NodeId, view: &View, published: &Published, ledger: &Ledger) -> Verdict {
    const NAME: Invariant = Invariant::FeedHasNoGap;
    let from = view.published.1 + 1;
    // A watcher that lost its place is told so: what is compacted is no gap.
    let Ok(own) = published.state.changes(from) else { return Ok(()) };
    let Ok(mut decided) = ledger.reference().changes(from) else { return Ok(()) };
    let mut seen = from - 1;
    for change in own {
        ensure(change.revision == seen || change.revision == seen + 1, NAME, || {
            format!("{id}: revision {} follows {seen} in the feed", change.revision)
        })?;
        seen = change.revision;
        let equal = decided.next() == Some(change);
        ensure(equal, NAME, || format!("{id}: the feed differs from what was decided at revision {seen}"))?;
    }
    let last = published.state.revision();
    ensure(seen == last, NAME, || format!("{id}: the feed ends at {seen}, the state is at {last}"))
}

/// No row is attached to a lease that is not there.
///
/// # Errors
/// One is.
pub fn ended_leases_hold_nothing(lease: i64, state: &State) -> Verdict {
    let left = state.lease_rows(LeaseId(lease)).next().is_some();
    ensure(!left || state.lease(LeaseId(lease)).is_some(), Invariant::EndedLeasesHoldNothing, || {
        format!("lease {lease} ended, rows are still attached to it")
    })
}

/// The running hash is what counting anew gives.
///
/// # Errors
/// It is not.
pub fn running_hashes_are_true(id: NodeId, state: &State) -> Verdict {
    let (running, anew) = (state.hash(), state.recompute_hash());
    ensure(running == anew, Invariant::RunningHashesAreTrue, || format!("{id}: the hash is {running:x}, anew {anew:x}"))
}

/// A member stops by itself only when its log failed or its state was damaged.
///
/// # Errors
/// It stops for another reason.
pub fn members_stop_only_with_a_reason(id: NodeId, why: &str, reason: bool) -> Verdict {
    ensure(reason, Invariant::MembersStopOnlyWithReason, || format!("{id}: {why}"))
}
