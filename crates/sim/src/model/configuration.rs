//! The small worlds that are explored: where each begins, what may happen in it, and what must.

use std::fmt::{self, Display, Formatter};

use raft::testing::{Cluster, Promise};
use raft::{Config, Learner, Membership, NodeId, Raft};
use stateright::{Model, Property};

use super::beginnings::{FIRST, SECOND, THIRD, buried, diverged, idle, led};
use super::scene::{Action, Budget, Scene};

/// A small world.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// What it is about.
    pub name: &'static str,
    /// How it begins, in words.
    pub beginning: &'static str,
    /// The ensemble with which it begins.
    pub(super) begin: fn() -> Cluster<u8>,
    /// What may happen.
    pub budget: Budget,
    /// No term after this one is explored.
    pub last_term: u64,
    /// No scene with more messages than this under way is explored.
    pub most_messages: usize,
    /// Disks finish at once.
    pub prompt_disks: bool,
    /// Silence is noticed by all at once, and pre-votes arrive at once.
    pub prompt_trials: bool,
    /// The membership that is asked for.
    pub target: Membership,
    /// What must happen somewhere.
    pub wanted: &'static [Wanted],
}

/// Something that must happen somewhere in a world, or it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// A leader is elected whom the world did not begin with.
    Elected,
    /// A proposal is acknowledged.
    Committed,
    /// A membership asked for is settled and committed.
    Reconfigured,
    /// A snapshot is installed.
    SnapshotInstalled,
    /// A leader falls asleep.
    FellAsleep,
    /// A read is answered.
    ReadServed,
    /// A proposal is reported as overwritten.
    Overwritten,
}

/// Every world, with small budgets or with larger ones.
#[must_use]
pub fn configurations(deep: bool) -> Vec<Configuration> {
    vec![
        elections(deep),
        votes(deep),
        durability(deep),
        takeover(deep),
        old_entries(deep),
        reordering(deep),
        overtaking(deep),
        disjoint_voters(deep),
        fewer_voters(deep),
        snapshots(deep),
        reads(deep),
        rounds_of_reads(deep),
        hibernation(deep),
    ]
}

/// Every edge of time and every answer to a pre-vote, in any order.
fn elections(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "elections",
        beginning: "three members that just started",
        begin: || Cluster::of_voters(3),
        budget: Budget { elections: 2 + more, ..Budget::default() },
        last_term: 2,
        most_messages: 3 + usize::from(more),
        prompt_disks: true,
        prompt_trials: false,
        target: Membership::default(),
        wanted: &[Wanted::Elected],
    }
}

/// Votes that are still being written, of members that die.
fn votes(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "votes",
        beginning: "three members that just started",
        begin: || Cluster::of_voters(3),
        budget: Budget { elections: 2 + more, crashes: 1, ..Budget::default() },
        last_term: 1 + u64::from(more),
        most_messages: 4,
        prompt_disks: false,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected],
    }
}

/// Entries that are still being written, of members that die.
fn durability(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "durability",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { elections: 1, proposals: 1, crashes: 1 + more, ..Budget::default() },
        last_term: 2,
        most_messages: 3 + usize::from(more),
        prompt_disks: false,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected, Wanted::Committed],
    }
}

/// Leaders that follow each other, and entries of earlier terms that were never committed.
fn takeover(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "takeover",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { elections: 2 + more, proposals: 1, ..Budget::default() },
        last_term: 3 + u64::from(more),
        most_messages: 3 + usize::from(more),
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected, Wanted::Committed, Wanted::Overwritten],
    }
}

/// Entries of several earlier terms, none of them committed, that come to light again (figure 8 of the Raft paper).
fn old_entries(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "old entries",
        beginning: "n1 led and n3 led after it, and nobody heard of what they appended; n1 has just been elected again",
        begin: buried,
        budget: Budget { elections: 2, ..Budget::default() },
        last_term: 4 + u64::from(more),
        most_messages: 4,
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected, Wanted::Overwritten],
    }
}

/// A stream of entries whose messages are repeated, reordered and lost.
fn reordering(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "reordering",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget {
            elections: more,
            proposals: 2,
            heartbeats: more,
            duplicates: 1,
            drops: 1,
            ..Budget::default()
        },
        last_term: 2,
        most_messages: 4 + usize::from(more),
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Committed],
    }
}

/// A stream of entries whose messages overtake each other, to followers that are still writing.
fn overtaking(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "overtaking",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { proposals: 3, heartbeats: more, ..Budget::default() },
        last_term: 1,
        most_messages: 3 + usize::from(more),
        prompt_disks: false,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Committed],
    }
}

/// A change after which no voter of before has a vote.
fn disjoint_voters(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "disjoint voters",
        beginning: "n1 is the only voter and leads, n2 and n3 are caught-up learners; they are to replace it",
        begin: || {
            let learners = [SECOND, THIRD].map(|id| (id, Learner { promote: false }));
            let initial = Membership { learners: learners.into(), ..Membership::of_voters([FIRST]) };
            led(Cluster::new([FIRST, SECOND, THIRD].map(|id| Config::new(id, initial.clone()))))
        },
        budget: Budget { elections: 2, changes: 1, proposals: more, crashes: 1, ..Budget::default() },
        last_term: 2 + u64::from(more),
        most_messages: 4 + usize::from(more),
        prompt_disks: false,
        prompt_trials: true,
        target: Membership::of_voters([SECOND, THIRD]),
        wanted: &[Wanted::Elected, Wanted::Reconfigured],
    }
}

/// A change that removes the leader.
fn fewer_voters(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "fewer voters",
        beginning: "n1 leads three voters, all hold its first entry; it is to leave",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { elections: 1 + more, changes: 1, proposals: more, crashes: more, ..Budget::default() },
        last_term: 2 + u64::from(more),
        most_messages: 4 + usize::from(more),
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::of_voters([SECOND, THIRD]),
        wanted: &[Wanted::Elected, Wanted::Reconfigured],
    }
}

/// A member that needs a snapshot, with an entry of its own that was never committed.
fn snapshots(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "snapshots",
        beginning: "n1 leads and committed an entry with n2; n3 was cut off, with another entry in its place",
        begin: diverged,
        budget: Budget { proposals: more, crashes: 1, compactions: 1, heartbeats: 1, ..Budget::default() },
        last_term: 3,
        most_messages: 4 + usize::from(more),
        prompt_disks: false,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::SnapshotInstalled],
    }
}

/// Reads while leaders follow each other.
fn reads(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "reads",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { elections: 1, reads: 1 + more, proposals: 1, heartbeats: more, ..Budget::default() },
        last_term: 2,
        most_messages: 4 + usize::from(more),
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected, Wanted::Committed, Wanted::ReadServed],
    }
}

/// Reads before and after a leader was replaced that has not heard of it.
fn rounds_of_reads(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "rounds of reads",
        beginning: "n1 leads, all hold its first entry",
        begin: || led(Cluster::of_voters(3)),
        budget: Budget { elections: 1, reads: 2, heartbeats: more, ..Budget::default() },
        last_term: 2,
        most_messages: 4 + usize::from(more),
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::Elected, Wanted::ReadServed],
    }
}

/// Members that fall asleep, are woken in any order, and replace a leader that may sleep on.
fn hibernation(deep: bool) -> Configuration {
    let more = u8::from(deep);
    Configuration {
        name: "hibernation",
        beginning: "n1 leads, there was nothing to do for a round, and after one more it asks the others to sleep",
        begin: idle,
        budget: Budget { elections: 2, proposals: more, reads: 1, ..Budget::default() },
        last_term: 2,
        most_messages: 4,
        prompt_disks: true,
        prompt_trials: true,
        target: Membership::default(),
        wanted: &[Wanted::FellAsleep, Wanted::Elected, Wanted::ReadServed],
    }
}

fn leads(id: NodeId, raft: &Raft<u8>) -> bool {
    raft.status().leader == Some(id)
}

impl Wanted {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Elected => "elected",
            Self::Committed => "committed",
            Self::Reconfigured => "reconfigured",
            Self::SnapshotInstalled => "snapshot installed",
            Self::FellAsleep => "fell asleep",
            Self::ReadServed => "read served",
            Self::Overwritten => "overwritten",
        }
    }

    fn property(self) -> Property<Configuration> {
        let condition: fn(&Configuration, &Scene) -> bool = match self {
            Self::Elected => |world, scene| scene.cluster.ledger.elections() > (world.begin)().ledger.elections(),
            Self::Committed => {
                |world, scene| scene.left.proposals < world.budget.proposals && scene.cluster.ledger.acknowledged() > 0
            }
            Self::Reconfigured => |_, scene| scene.cluster.ledger.reconfigurations() > 0,
            Self::SnapshotInstalled => |_, scene| scene.installed,
            Self::FellAsleep => {
                |_, scene| scene.cluster.running().any(|(id, raft)| raft.is_asleep() && leads(id, raft))
            }
            Self::ReadServed => |_, scene| scene.served,
            Self::Overwritten => |_, scene| scene.cluster.ledger.overwritten() > 0,
        };
        Property::sometimes(self.name(), condition)
    }
}

/// What no promise is named for: an invariant that the core asserts of itself.
pub(super) const OWN_ASSERTIONS: &str = "the core's own assertions";

/// The promise as a property. (Properties are plain functions, so each needs its own.)
fn kept(promise: Promise) -> Property<Configuration> {
    fn keeps(scene: &Scene, promise: Promise) -> bool {
        scene.breach.as_deref().and_then(Promise::broken_by) != Some(promise)
    }
    let condition: fn(&Configuration, &Scene) -> bool = match promise {
        Promise::OneLeaderPerTerm => |_, scene| keeps(scene, Promise::OneLeaderPerTerm),
        Promise::LogMatching => |_, scene| keeps(scene, Promise::LogMatching),
        Promise::LeaderCompleteness => |_, scene| keeps(scene, Promise::LeaderCompleteness),
        Promise::StateMachineSafety => |_, scene| keeps(scene, Promise::StateMachineSafety),
        Promise::CommittedIsDurable => |_, scene| keeps(scene, Promise::CommittedIsDurable),
        Promise::AcknowledgedSurvives => |_, scene| keeps(scene, Promise::AcknowledgedSurvives),
        Promise::FreshReads => |_, scene| keeps(scene, Promise::FreshReads),
        Promise::RefusedIsRefused => |_, scene| keeps(scene, Promise::RefusedIsRefused),
        Promise::MirrorEqualsDisk => |_, scene| keeps(scene, Promise::MirrorEqualsDisk),
    };
    Property::always(promise.name(), condition)
}

impl Model for Configuration {
    type State = Scene;
    type Action = Action;

    fn init_states(&self) -> Vec<Scene> {
        vec![Scene::new((self.begin)(), self.budget)]
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Action>) {
        scene.actions(self, actions);
    }

    fn next_state(&self, scene: &Scene, action: Action) -> Option<Scene> {
        scene.after(self, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let own =
            |_: &Self, scene: &Scene| scene.breach.as_deref().is_none_or(|breach| Promise::broken_by(breach).is_some());
        let mut properties: Vec<_> = Promise::ALL.into_iter().map(kept).collect();
        properties.push(Property::always(OWN_ASSERTIONS, own));
        properties.extend(self.wanted.iter().map(|wanted| wanted.property()));
        properties
    }

    fn within_boundary(&self, scene: &Scene) -> bool {
        let in_terms = scene.cluster.running().all(|(_, raft)| raft.status().ballot.term.0 <= self.last_term);
        in_terms && scene.cluster.wire.len() <= self.most_messages
    }
}

impl Display for Configuration {
    /// The bounds, in one line.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Budget { elections, heartbeats, proposals, reads, crashes, .. } = self.budget;
        let Budget { drops, duplicates, changes, compactions, transfers, .. } = self.budget;
        let counted = [
            (elections, "election timeouts"),
            (heartbeats, "heartbeats"),
            (proposals, "proposals"),
            (reads, "reads"),
            (crashes, "crashes"),
            (drops, "drops"),
            (duplicates, "duplicates"),
            (changes, "changes of membership"),
            (compactions, "compactions"),
            (transfers, "transfers"),
        ];
        for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{what} {count}, ")?;
        }
        write!(f, "terms to {}, messages under way {}", self.last_term, self.most_messages)?;
        f.write_str(if self.prompt_disks { ", disks at once" } else { ", disks at any time" })?;
        f.write_str(if self.prompt_trials { ", pre-votes at once" } else { ", pre-votes as messages" })
    }
}
