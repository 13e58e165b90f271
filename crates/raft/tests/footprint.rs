//! What an idle group costs in memory: a node is to carry thousands of them. In a program of its own, for it counts what
//! the whole process uses; it knows only the public interface.

use conclave_raft::{Config, Effects, Input, Membership, NodeId, Payload, Raft, Recovered};

/// A payload as in production: a counted reference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Command(std::sync::Arc<[u8]>);

impl Payload for Command {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

const GROUPS: usize = 5_000;

/// Bytes that one member of one idle group may take, all in all.
const MOST: usize = 4 * 1024;

/// Pages of memory that this process uses, in bytes.
fn used() -> usize {
    let statistics = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    let pages: usize = statistics.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

/// Three members, the first of which leads and has committed its first entry, all asleep.
fn group() -> Vec<Raft<Command>> {
    let initial = Membership::of_voters((1..=3).map(NodeId));
    let member = |id| {
        let config = Config { hibernate_rounds: 1, ..Config::new(NodeId(id), initial.clone()) };
        Raft::restore(config, Recovered::empty(initial.clone()))
    };
    let mut members: Vec<Raft<Command>> = (1..=3).map(member).collect();
    for member in &mut members[1..] {
        member.step(Input::LeaderSilent);
    }
    members[0].step(Input::ElectionDue);
    for _ in 0..8 {
        settle(&mut members);
        if members.iter().all(Raft::is_asleep) {
            return members;
        }
        members[0].step(Input::HeartbeatDue);
        settle(&mut members);
        members[0].step(Input::ElectionDue);
    }
    panic!("the group does not fall asleep: {:?}", members[0].status());
}

fn settle(members: &mut [Raft<Command>]) {
    loop {
        let mut quiet = true;
        for position in 0..members.len() {
            let Effects { write, send, .. } = members[position].drain();
            quiet &= write.is_none() && send.is_empty();
            if let Some(write) = write {
                members[position].step(Input::Written(write.ticket));
            }
            for outgoing in send {
                let to = usize::try_from(outgoing.envelope.to.0).expect("a small number") - 1;
                members[to].step(Input::Received(outgoing.envelope));
            }
        }
        if quiet {
            return;
        }
    }
}

#[test]
fn an_idle_group_takes_at_most_four_kilobytes_of_each_member() {
    // Whatever the process takes only once is taken before it is looked at.
    let mut groups: Vec<Vec<Raft<Command>>> = (0..50).map(|_| group()).collect();
    groups.reserve(GROUPS);
    let before = used();
    groups.extend((0..GROUPS).map(|_| group()));
    let each = (used() - before) / (GROUPS * 3);
    assert!(groups.iter().flatten().all(Raft::is_asleep));
    assert!(size_of::<Raft<Command>>() <= 1280, "the value itself takes {} bytes", size_of::<Raft<Command>>());
    assert!(each <= MOST, "each member of an idle group takes {each} bytes, {MOST} are allowed");
}
