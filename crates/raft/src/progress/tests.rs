//! What a leader knows of a peer, whatever is said to it in whatever order: it never
//! believes in more than was acknowledged, takes that back only when the peer says that it is gone, and its window counts
//! what is under way.

use proptest::prelude::*;

use super::{Flow, Peer};
use crate::types::Index;

/// Where the leader's log ends.
const LAST: u64 = 20;

/// Something that can happen to a peer, with places that may be stale or make no sense.
#[derive(Clone, Debug)]
enum Step {
    Send(u64),
    Appended(u64),
    Rejected { previous: u64, agree: u64 },
    Resume,
    Interrupt,
    SnapshotSent(Option<u64>),
    NeedSnapshot,
    Nudge,
    EndRound,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..6u64).prop_map(Step::Send),
        (0..=LAST).prop_map(Step::Appended),
        (1..=LAST, 0..LAST).prop_map(|(previous, agree)| Step::Rejected { previous, agree: agree.min(previous - 1) }),
        Just(Step::Resume),
        Just(Step::Interrupt),
        prop::option::of(0..=LAST).prop_map(Step::SnapshotSent),
        Just(Step::NeedSnapshot),
        Just(Step::Nudge),
        Just(Step::EndRound),
    ];
    prop::collection::vec(step, 0..60)
}

fn perform(peer: &mut Peer, step: &Step) {
    match *step {
        Step::Send(count) => {
            if let Flow::Stream { next, inflight, .. } = &mut peer.flow
                && next.0 + count <= LAST + 1
            {
                *next = Index(next.0 + count);
                inflight.sent(next.previous(), 10);
            }
        }
        Step::Appended(matched) => peer.appended(Index(matched), Index::ZERO),
        Step::Rejected { previous, agree } => peer.rejected(Index(previous), Index(agree)),
        Step::Resume => peer.resume(),
        Step::Interrupt => peer.interrupt(),
        Step::SnapshotSent(at) => peer.snapshot_sent(at.map(Index)),
        Step::NeedSnapshot => peer.flow = Flow::Snapshot,
        Step::Nudge => drop(peer.needs_nudge()),
        Step::EndRound => peer.end_round(Index(LAST)),
    }
}

proptest! {
    #[test]
    fn what_is_known_is_never_guessed_and_goes_back_only_by_the_peers_own_word(steps in steps()) {
        let mut peer = Peer::new(Index(LAST));
        let mut acknowledged = Index::ZERO;
        for step in &steps {
            if let Step::Appended(matched) = step {
                acknowledged = acknowledged.max(Index(*matched));
            }
            let before = peer.matched();
            perform(&mut peer, step);
            peer.check(Index(LAST));
            prop_assert!(peer.matched() <= acknowledged, "after {:?}", step);
            let denied = matches!(step, Step::Rejected { previous, .. } if Index(*previous) <= before);
            prop_assert!(peer.matched() >= before || denied, "after {:?}", step);
        }
    }

    #[test]
    fn who_acknowledges_everything_has_everything(steps in steps()) {
        let mut peer = Peer::new(Index(LAST));
        steps.iter().for_each(|step| perform(&mut peer, step));
        peer.heard();
        peer.appended(Index(LAST), Index::ZERO);
        prop_assert!(peer.has_everything(Index(LAST)), "{:?}", peer);
    }
}
