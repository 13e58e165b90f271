//! What came of exploring one small world, made for the eye.

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroUsize;
use std::time::Duration;

use raft::testing::{Promise, render};
use stateright::{Checker, Path};

use super::configuration::{Configuration, OWN_ASSERTIONS};
use super::scene::{Action, Scene, Told};

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Report {
    /// The world that was explored.
    pub configuration: Configuration,
    /// How many different scenes there were.
    pub scenes: usize,
    /// How many transitions led to them.
    pub transitions: usize,
    /// The longest path that was taken.
    pub longest: usize,
    /// How long it took.
    pub took: Duration,
    /// What it came to.
    pub verdict: Verdict,
}

/// What exploring came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every promise was kept in every scene within the bounds.
    Exhausted,
    /// Every promise was kept as far as was looked, but there are more scenes within the bounds.
    CutOff,
    /// What must happen somewhere never did: nothing is proven.
    Vacuous(&'static str),
    /// A promise was broken.
    Broken {
        /// Which.
        property: &'static str,
        /// What the failed assertion said.
        said: String,
        /// How it came to that, step by step.
        trace: String,
    },
}

impl Verdict {
    /// Whether nothing speaks against the core.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Exhausted | Self::CutOff)
    }
}

impl Report {
    pub(super) fn of(
        configuration: &Configuration,
        checker: &impl Checker<Configuration>,
        took: Duration,
        most: NonZeroUsize,
    ) -> Self {
        let transitions = checker.state_count();
        let exhausted = transitions < most.get();
        Self {
            configuration: configuration.clone(),
            scenes: checker.unique_state_count(),
            transitions,
            longest: checker.max_depth(),
            took,
            verdict: verdict(configuration, checker, exhausted),
        }
    }
}

fn verdict(world: &Configuration, checker: &impl Checker<Configuration>, exhausted: bool) -> Verdict {
    let mut found = checker.discoveries();
    let promises = Promise::ALL.into_iter().map(Promise::name).chain([OWN_ASSERTIONS]);
    for property in promises {
        if let Some(path) = found.remove(property) {
            let said = path.last_state().breach.clone().unwrap_or_default();
            return Verdict::Broken { property, said, trace: trace(world, path) };
        }
    }
    match world.wanted.iter().find(|wanted| !found.contains_key(wanted.name())) {
        Some(missing) => Verdict::Vacuous(missing.name()),
        None if exhausted => Verdict::Exhausted,
        None => Verdict::CutOff,
    }
}

/// A path through scenes, told like a script.
fn trace(world: &Configuration, path: Path<Scene, Action>) -> String {
    let mut shown = format!("It begins: {}.\n", world.beginning);
    for (scene, action) in path.into_vec() {
        let Some(action) = action else { break };
        shown += &told_before(&scene, action);
        let mut next = scene.clone();
        // The last step fails an assertion; everything before it has been told.
        let performed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next.perform(world, action)));
        shown += &performed.map(|told| told_after(&told)).unwrap_or_default();
    }
    shown
}

/// What happens, in words.
fn told_before(scene: &Scene, action: Action) -> String {
    let wire = &scene.cluster.wire;
    match action {
        Action::Deliver(position) => render::envelope("→", &wire[position]),
        Action::Repeat(position) => render::envelope("→, and again later,", &wire[position]),
        Action::Drop(position) => render::envelope("✗", &wire[position]),
        Action::Write(id) => format!("{id}'s disk finishes a write\n"),
        Action::Crash(id) => format!("{id} dies, loses what it did not finish writing, and starts from its disk\n"),
        Action::Silent(id) => format!("{id} has heard no leader for a while\n"),
        Action::ElectionDue(id) => format!("{id}'s election timer runs out\n"),
        Action::Campaign(id) => format!("nobody has heard a leader for a while, and {id}'s election timer runs out\n"),
        Action::HeartbeatDue(id) => format!("{id}'s heartbeat timer runs out\n"),
        Action::Propose(id) => format!("{id} is asked to append\n"),
        Action::Read(id) => format!("{id} is asked to read\n"),
        Action::Reconfigure(id) => format!("{id} is asked for another membership\n"),
        Action::Transfer(id, to) => format!("{id} is asked to hand over to {to}\n"),
        Action::Compact(id) => format!("{id} makes a snapshot and compacts its log\n"),
        Action::DeliverSnapshot => "a snapshot arrives\n".to_owned(),
        Action::LoseSnapshot => "a snapshot is lost\n".to_owned(),
    }
}

fn told_after(told: &Told) -> String {
    told.iter().map(|(id, effects)| render::effects(*id, effects)).collect()
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { configuration, scenes, transitions, longest, took, verdict } = self;
        writeln!(f, "{}: {}", configuration.name, configuration.beginning)?;
        writeln!(f, "    bounds: {configuration}")?;
        let seconds = took.as_secs_f64();
        writeln!(f, "    {scenes} scenes, {transitions} transitions, paths up to {longest}, {seconds:.1} s")?;
        match verdict {
            Verdict::Exhausted => writeln!(f, "    every promise holds in every scene within the bounds"),
            Verdict::CutOff => {
                writeln!(f, "    every promise holds as far as was looked; there is more within the bounds")
            }
            Verdict::Vacuous(missing) => writeln!(f, "    VACUOUS: never {missing}"),
            Verdict::Broken { property, said, trace } => {
                writeln!(f, "    BROKEN: {property}\n{trace}{said}")
            }
        }
    }
}
