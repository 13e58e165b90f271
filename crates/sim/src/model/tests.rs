//! The bounded model check, and that it can fail.

use std::num::NonZeroUsize;

use raft::testing::{Cluster, Promise};
use raft::{Index, NodeId};

use super::beginnings::led;
use super::{Budget, Configuration, Report, Verdict, configurations};

/// More transitions than any bounded world has.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(5_000_000);

fn explore(world: &Configuration) -> Report {
    super::explore(world, MOST)
}

/// One test for each world, so that a runner can spread them.
fn holds(name: &str) {
    let worlds = configurations(false);
    let world = worlds.iter().find(|world| world.name == name).expect("the world exists");
    let report = explore(world);
    assert_eq!(report.verdict, Verdict::Exhausted, "{report}");
}

#[test]
fn elections_keep_every_promise() {
    holds("elections");
}

#[test]
fn votes_keep_every_promise() {
    holds("votes");
}

#[test]
fn durability_keeps_every_promise() {
    holds("durability");
}

#[test]
fn a_takeover_keeps_every_promise() {
    holds("takeover");
}

#[test]
fn old_entries_keep_every_promise() {
    holds("old entries");
}

#[test]
fn overtaking_keeps_every_promise() {
    holds("overtaking");
}

#[test]
fn reordering_keeps_every_promise() {
    holds("reordering");
}

#[test]
fn disjoint_voters_keep_every_promise() {
    holds("disjoint voters");
}

#[test]
fn fewer_voters_keep_every_promise() {
    holds("fewer voters");
}

#[test]
fn snapshots_keep_every_promise() {
    holds("snapshots");
}

#[test]
fn reads_keep_every_promise() {
    holds("reads");
}

#[test]
fn rounds_of_reads_keep_every_promise() {
    holds("rounds of reads");
}

#[test]
fn hibernation_keeps_every_promise() {
    holds("hibernation");
}

#[test]
fn a_world_in_which_nothing_happens_fails() {
    for mut world in configurations(false) {
        world.budget = Budget::default();
        let report = explore(&world);
        assert!(matches!(report.verdict, Verdict::Vacuous(_)), "{report}");
    }
}

#[test]
fn a_broken_promise_is_told_with_the_way_to_it() {
    let mut world = configurations(false).into_iter().next().expect("there are worlds");
    world.begin = || {
        let mut cluster = led(Cluster::of_voters(3));
        cluster.members.get_mut(&NodeId(1)).expect("it is there").disk.damage(Index(1));
        cluster
    };
    let report = explore(&world);
    let Verdict::Broken { property, trace, .. } = &report.verdict else {
        panic!("a member whose disk forgets what it acknowledged was not noticed: {report}");
    };
    assert_eq!(*property, Promise::MirrorEqualsDisk.name(), "{report}");
    assert_eq!(trace.lines().count(), 2, "the first step shows it: {report}");
}
