//! Whatever a peer says, in whatever state: the core survives it. What honest peers would then make of it is
//! another matter; here only the receiver must keep its own invariants and not panic.

use proptest::prelude::*;

use crate::input::Input;
use crate::membership::{Learner, Membership};
use crate::message::{Envelope, Message, VoteRefusal};
use crate::raft::Raft;
use crate::testing::Cluster;
use crate::types::{Body, Entry, Index, LogId, NodeId, SnapshotMeta, Tag, Term};

/// Mostly small numbers, which get far; sometimes those at the end of all numbers.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0u64..7, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

fn ids() -> impl Strategy<Value = LogId> {
    (numbers(), numbers()).prop_map(|(term, index)| LogId::new(Term(term), Index(index)))
}

fn memberships() -> impl Strategy<Value = Membership> {
    let set = || prop::collection::btree_set((0u64..5).prop_map(NodeId), 0..4);
    (set(), set(), set()).prop_map(|(voters, outgoing, learners)| {
        let learners = learners.into_iter().map(|id| (id, Learner { promote: true })).collect();
        Membership { voters, outgoing, learners, ..Membership::default() }
    })
}

fn entries() -> impl Strategy<Value = Vec<Entry<u8>>> {
    let boxed = |membership| Body::Membership(Box::new(membership));
    let body = prop_oneof![Just(Body::Noop), any::<u8>().prop_map(Body::Command), memberships().prop_map(boxed)];
    prop::collection::vec((numbers(), body).prop_map(|(term, body)| Entry { term: Term(term), body }), 0..4)
}

fn refusals() -> impl Strategy<Value = Option<VoteRefusal>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(VoteRefusal::LeaderAlive(None)))]
}

fn messages() -> impl Strategy<Value = Message<u8>> {
    prop_oneof![
        ids().prop_map(|last| Message::AskPreVote { last }),
        (numbers(), refusals()).prop_map(|(asked, refusal)| Message::PreVote { asked: Term(asked), refusal }),
        (ids(), any::<bool>()).prop_map(|(last, transfer)| Message::AskVote { last, transfer }),
        (numbers(), refusals()).prop_map(|(asked, refusal)| Message::Vote { asked: Term(asked), refusal }),
        (ids(), entries(), numbers()).prop_map(|(previous, entries, commit)| Message::Append {
            previous,
            entries,
            commit: Index(commit)
        }),
        numbers().prop_map(|matched| Message::Appended { matched: Index(matched) }),
        (numbers(), ids()).prop_map(|(previous, hint)| Message::Rejected { previous: Index(previous), hint }),
        (ids(), numbers()).prop_map(|(commit, round)| Message::Heartbeat { commit, round }),
        numbers().prop_map(|round| Message::Alive { round }),
        ids().prop_map(|commit| Message::Commit { commit }),
        ids().prop_map(|commit| Message::Sleep { commit }),
        prop::sample::select(vec![Message::Overtaken, Message::CampaignNow, Message::Asleep, Message::Wake]),
    ]
}

fn inputs() -> impl Strategy<Value = Input<u8>> {
    let received = (0u64..6, 1u64..4, numbers(), messages()).prop_map(|(from, to, term, message)| {
        Input::Received(Envelope { from: NodeId(from), to: NodeId(to), term: Term(term), message })
    });
    let install = (ids(), memberships())
        .prop_filter("a driver verifies snapshots", |(last, _)| last.term.0 < 7 && last.index.0 < 7)
        .prop_map(|(last, membership)| Input::Install(SnapshotMeta { last, membership }));
    prop_oneof![
        30 => received,
        2 => Just(Input::ElectionDue),
        2 => Just(Input::LeaderSilent),
        1 => Just(Input::HeartbeatDue),
        1 => (0u64..5).prop_map(|id| Input::ConnectionLost(NodeId(id))),
        1 => (0u64..5).prop_map(|id| Input::Connected(NodeId(id))),
        2 => any::<u8>().prop_map(|payload| Input::Propose(Tag(1), payload)),
        1 => memberships().prop_map(|target| Input::Reconfigure(Tag(2), target)),
        1 => Just(Input::Read(Tag(3))),
        1 => prop::option::of((0u64..5).prop_map(NodeId)).prop_map(|to| Input::Transfer(Tag(4), to)),
        1 => numbers().prop_map(|index| Input::Compact(Index(index))),
        1 => install,
        1 => (0u64..5, ids(), any::<bool>())
            .prop_map(|(to, at, delivered)| Input::SnapshotSent { to: NodeId(to), at, delivered }),
    ]
}

/// A leader, a follower, or a member that just started, of a settled ensemble with a short log.
fn some_member(which: u64) -> Raft<u8> {
    let mut cluster = Cluster::of_voters(3);
    if which > 0 {
        cluster.input(NodeId(2), Input::LeaderSilent);
        cluster.input(NodeId(1), Input::ElectionDue);
        for tag in 0..40 {
            cluster.deliver(0);
            for id in 1..=3 {
                cluster.write(NodeId(id));
            }
            if tag % 20 == 19 {
                cluster.input(NodeId(1), Input::Propose(Tag(tag), 1));
            }
        }
    }
    cluster.raft(NodeId(which.max(1))).clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_message_makes_a_member_panic(
        which in 0u64..3,
        steps in prop::collection::vec((inputs(), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut raft = some_member(which);
        let mut written = None;
        for (mut input, drains, writes) in steps {
            if let Input::Received(envelope) = &mut input {
                envelope.to = raft.status().id;
            }
            raft.step(input);
            raft.check();
            if drains {
                written = raft.drain().write.map(|write| write.ticket).or(written);
                raft.check();
            }
            if let Some(ticket) = written.filter(|_| writes) {
                raft.step(Input::Written(ticket));
                raft.check();
            }
        }
    }
}
