//! How the small worlds begin: ensembles to which something has happened already, each told in its comment. Knows nothing
//! of what may happen next.

use raft::testing::Cluster;
use raft::{Config, Envelope, Input, Membership, Message, NodeId, Tag, Term};

pub(super) const FIRST: NodeId = NodeId(1);
pub(super) const SECOND: NodeId = NodeId(2);
pub(super) const THIRD: NodeId = NodeId(3);

/// The same ensemble with n1 as its leader, and at rest.
pub(super) fn led(mut cluster: Cluster<u8>) -> Cluster<u8> {
    for id in [SECOND, THIRD] {
        cluster.input(id, Input::LeaderSilent);
    }
    cluster.input(FIRST, Input::ElectionDue);
    settle(&mut cluster, &[]);
    cluster
}

/// n3 led and appended what nobody else has; n1 leads now and committed something in its place.
pub(super) fn diverged() -> Cluster<u8> {
    let mut cluster = Cluster::of_voters(3);
    for id in [FIRST, SECOND] {
        cluster.input(id, Input::LeaderSilent);
    }
    cluster.input(THIRD, Input::ElectionDue);
    settle(&mut cluster, &[]);
    cluster.input(THIRD, Input::Propose(Tag(1), 101));
    settle(&mut cluster, &[THIRD]);
    cluster.input(SECOND, Input::LeaderSilent);
    cluster.input(FIRST, Input::ElectionDue);
    settle(&mut cluster, &[THIRD]);
    cluster.input(FIRST, Input::Propose(Tag(2), 102));
    settle(&mut cluster, &[THIRD]);
    cluster
}

/// n1 led and appended what nobody else has; n3 led after it and did the same; n1 was elected once more, by n2, and
/// nothing of what it sent has arrived. Entries travel one by one.
pub(super) fn buried() -> Cluster<u8> {
    let initial = Membership::of_voters([FIRST, SECOND, THIRD]);
    let config = |id| Config { max_append_weight: 1, ..Config::new(id, initial.clone()) };
    let mut cluster = led(Cluster::new([FIRST, SECOND, THIRD].map(config)));
    cluster.input(FIRST, Input::Propose(Tag(1), 101));
    settle(&mut cluster, &[FIRST]);
    cluster.input(SECOND, Input::LeaderSilent);
    cluster.input(THIRD, Input::ElectionDue);
    settle_but_for_appends(&mut cluster, &[FIRST]);
    cluster.wire.clear();
    // Nobody answers n3, so it stands down.
    cluster.input(THIRD, Input::ElectionDue);
    for id in [SECOND, THIRD] {
        cluster.input(id, Input::LeaderSilent);
    }
    // n1 notices that it is alone, then that its term is over, and campaigns.
    while cluster.raft(FIRST).status().ballot.term < Term(3) {
        cluster.input(FIRST, Input::ElectionDue);
        settle_but_for_appends(&mut cluster, &[]);
    }
    cluster
}

/// n1 leads a group that hibernates after one idle round, and the round that is ending was one.
pub(super) fn idle() -> Cluster<u8> {
    let initial = Membership::of_voters([FIRST, SECOND, THIRD]);
    let config = |id| Config { hibernate_rounds: 1, ..Config::new(id, initial.clone()) };
    let mut cluster = led(Cluster::new([FIRST, SECOND, THIRD].map(config)));
    cluster.input(FIRST, Input::ElectionDue);
    cluster.input(FIRST, Input::HeartbeatDue);
    settle(&mut cluster, &[]);
    cluster
}

/// Lets messages arrive and disks finish until nothing is under way; whoever is cut off hears and says nothing.
fn settle(cluster: &mut Cluster<u8>, cut_off: &[NodeId]) {
    settle_what(cluster, cut_off, |_| true);
}

/// The same, but appends stay under way.
fn settle_but_for_appends(cluster: &mut Cluster<u8>, cut_off: &[NodeId]) {
    settle_what(cluster, cut_off, |message| !matches!(message, Message::Append { .. }));
}

fn settle_what(cluster: &mut Cluster<u8>, cut_off: &[NodeId], arrives: fn(&Message<u8>) -> bool) {
    let ids: Vec<NodeId> = cluster.members.keys().copied().collect();
    loop {
        let writing = ids.iter().copied().find(|id| cluster.members[id].disk.pending() > 0);
        if let Some(id) = writing {
            cluster.write(id);
        } else if let Some(next) = cluster.wire.iter().position(|envelope| arrives(&envelope.message)) {
            let Envelope { from, to, .. } = cluster.wire[next];
            if cut_off.contains(&from) || cut_off.contains(&to) {
                cluster.wire.remove(next);
            } else {
                cluster.deliver(next);
            }
        } else {
            return;
        }
    }
}
