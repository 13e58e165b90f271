//! Golden scripts: every file in `tests/scripts` shows one behaviour and is named after it.
//!
//! Commands stand above `---`, what they brought about below. `UPDATE_GOLDENFILES=1 cargo test` rewrites the
//! lower halves; read the difference and commit only what you can explain. Lines in `(parentheses)` work in
//! silence.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use crate::effects::Effects;
use crate::input::Input;
use crate::membership::{Learner, Membership};
use crate::testing::{Cluster, render};
use crate::types::{Config, Index, NodeId, Tag};

/// The verbs, each with an example.
#[derive(goldenscript::Command)]
enum Verb {
    /// A new ensemble of voters 1 to 3. `voters 3 append=40 window=100 rounds=2 reads=1 uncommitted=100`
    Voters {
        count: u64,
        #[arg(key)]
        append: Option<usize>,
        #[arg(key)]
        window: Option<usize>,
        #[arg(key)]
        rounds: Option<u32>,
        #[arg(key)]
        reads: Option<usize>,
        #[arg(key)]
        uncommitted: Option<usize>,
        #[arg(key)]
        prefer: Option<u64>,
        #[arg(key)]
        hibernate: Option<u32>,
    },
    /// A member that knows of no ensemble yet. `joiner 4`
    Joiner(u64),
    /// The election timers of these run out. `election_due 1`
    ElectionDue(Vec<u64>),
    /// These have heard nothing for the shortest election timeout. `silent 2 3`
    Silent(Vec<u64>),
    /// The drivers of these know why the group should not sleep. `wake 1`
    Wake(Vec<u64>),
    /// The heartbeat timer runs out. `heartbeat 1`
    Heartbeat(u64),
    /// These lose the connection to the first. `lost 1 2 3`
    Lost { peer: u64, by: Vec<u64> },
    /// These have a connection to the first again. `connected 1 2`
    Connected { peer: u64, by: Vec<u64> },
    /// The first becomes leader in the ordinary way. `elect 1`
    Elect(u64),
    /// Payloads are proposed, drained together. `propose 1 x y`
    Propose { at: u64, payloads: Vec<String> },
    /// So many reads come, drained together. `read 1 2`
    Read { at: u64, count: Option<u64> },
    /// Leadership is to go to another. `transfer 1 2`
    Transfer { at: u64, to: Option<u64> },
    /// The membership is to change. `members 1 voters="1,2,3" learners="4!" prefer=2`
    Members {
        at: u64,
        #[arg(key)]
        voters: String,
        #[arg(key)]
        learners: Option<String>,
        #[arg(key)]
        prefer: Option<u64>,
    },
    /// Messages now on the wire arrive before the receiver is drained. `deliver_together 2`
    DeliverTogether(u64),
    /// Messages now on the wire arrive. `deliver from=1 to=2 count=1`
    Deliver {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Messages now on the wire are lost. `lose to=3`
    Lose {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Messages now on the wire will arrive once more, later. `repeat from=2`
    Repeat {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
    },
    /// What is on the wire. `wire`
    Wire,
    /// The disks of these finish their writes, or so many of them. `write 1 2 count=1`
    Write {
        ids: Vec<u64>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Messages, writes and snapshots go on until there are none. `settle`
    Settle,
    /// Everything between the first and these is lost from now on. `cut 1 2 3`
    Cut { one: u64, others: Vec<u64> },
    /// Everything from the first to the second is lost, but not the other way. `mute 1 2`
    Mute { from: u64, to: u64 },
    /// All links work again. `heal`
    Heal,
    /// The disks of these finish nothing from now on. `stall 1`
    Stall(Vec<u64>),
    /// All disks work again. `unstall`
    Unstall,
    /// A member dies; of its unfinished writes so many survive. `crash 1 survive=1`
    Crash {
        id: u64,
        #[arg(key)]
        survive: Option<usize>,
    },
    /// A member starts from its disk. `restart 1`
    Restart(u64),
    /// A dead member's disk loses entries from here on. `damage 1 3`
    Damage { id: u64, from: u64 },
    /// A member makes a snapshot and compacts its log. `compact 1 5`
    Compact { id: u64, upto: u64 },
    /// Snapshots under way are lost. `lose_snapshots`
    LoseSnapshots,
    /// How members stand. `status` or `status 1`
    Status(#[arg(optional)] Vec<u64>),
}

#[derive(Default)]
struct Script {
    cluster: Option<Cluster<String>>,
    broken: BTreeSet<(NodeId, NodeId)>,
    stalled: BTreeSet<NodeId>,
    tags: u64,
}

impl Script {
    fn cluster(&mut self) -> &mut Cluster<String> {
        self.cluster.as_mut().expect("a script begins with `voters`")
    }

    fn ids(&self) -> Vec<NodeId> {
        self.cluster.iter().flat_map(|cluster| cluster.members.keys().copied()).collect()
    }

    fn input(&mut self, id: u64, input: Input<String>) -> String {
        let effects = self.cluster().input(NodeId(id), input);
        render::effects(NodeId(id), &effects)
    }

    fn each(&mut self, ids: &[u64], input: &Input<String>) -> String {
        ids.iter().map(|&id| self.input(id, input.clone())).collect()
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    /// Positions on the wire of messages from and to these.
    fn matching(&mut self, from: Option<u64>, to: Option<u64>) -> Vec<usize> {
        let fits = |wanted: Option<u64>, id: NodeId| wanted.is_none_or(|wanted| NodeId(wanted) == id);
        let wire = self.cluster().wire.iter().enumerate();
        wire.filter(|(_, e)| fits(from, e.from) && fits(to, e.to)).map(|(position, _)| position).collect()
    }

    /// Lets messages arrive, or be lost.
    fn pass(&mut self, positions: &[usize], lose: bool) -> String {
        let mut shown = String::new();
        for (gone, position) in positions.iter().enumerate() {
            shown += &self.pass_one(position - gone, lose);
        }
        shown
    }

    fn pass_one(&mut self, position: usize, lose: bool) -> String {
        let Some(next) = self.cluster().wire.get(position).cloned() else {
            return String::new();
        };
        let down = !self.cluster().is_running(next.to);
        if lose || down || self.broken.contains(&(next.from, next.to)) {
            self.cluster().wire.remove(position);
            return render::envelope("✗", &next);
        }
        let (delivered, effects) = self.cluster().deliver(position).expect("it was there");
        render::envelope("→", &delivered) + &render::effects(delivered.to, &effects)
    }

    fn deliver_together(&mut self, to: u64) -> String {
        let mut shown = String::new();
        for (gone, position) in self.matching(None, Some(to)).iter().enumerate() {
            if let Some(envelope) = self.cluster().wire.remove(position - gone) {
                shown += &render::envelope("→", &envelope);
                self.cluster().step(NodeId(to), Input::Received(envelope));
            }
        }
        let effects = self.cluster().drain(NodeId(to));
        shown + &render::effects(NodeId(to), &effects)
    }

    fn write(&mut self, id: NodeId, most: usize) -> String {
        let mut shown = String::new();
        for _ in 0..most {
            if self.cluster().members[&id].disk.pending() == 0 {
                break;
            }
            let effects = self.cluster().write(id);
            shown += &render::effects(id, &effects);
        }
        shown
    }

    fn settle(&mut self) -> String {
        let mut shown = String::new();
        for _ in 0..10_000 {
            let mut busy = false;
            for id in self.ids() {
                if !self.stalled.contains(&id) && self.cluster().members[&id].disk.pending() > 0 {
                    busy = true;
                    shown += &self.write(id, usize::MAX);
                }
            }
            if !self.cluster().wire.is_empty() {
                busy = true;
                shown += &self.pass_one(0, false);
            }
            if !self.cluster().snapshots.is_empty() {
                busy = true;
                shown += &self.pass_snapshot(true);
            }
            if !busy {
                return shown;
            }
        }
        panic!("it never comes to rest");
    }

    fn pass_snapshot(&mut self, arrives: bool) -> String {
        let under_way = self.cluster().snapshots[0].clone();
        let arrow = if arrives { "⇒" } else { "✗" };
        let (installed, sent) = self.cluster().deliver_snapshot(0, arrives).expect("it was there");
        let mut shown = format!("{} {arrow} {} snapshot at {}\n", under_way.from, under_way.to, under_way.meta.last);
        shown += &render::effects(under_way.to, &installed);
        shown + &render::effects(under_way.from, &sent)
    }

    fn propose(&mut self, at: u64, payloads: &[String]) -> String {
        for payload in payloads {
            let tag = self.tag();
            self.cluster().step(NodeId(at), Input::Propose(tag, payload.clone()));
        }
        let effects: Effects<String> = self.cluster().drain(NodeId(at));
        render::effects(NodeId(at), &effects)
    }

    fn read(&mut self, at: u64, count: u64) -> String {
        for _ in 0..count {
            let tag = self.tag();
            self.cluster().step(NodeId(at), Input::Read(tag));
        }
        let effects = self.cluster().drain(NodeId(at));
        render::effects(NodeId(at), &effects)
    }

    fn elect(&mut self, id: u64) -> String {
        let others: Vec<u64> = self.ids().iter().map(|id| id.0).filter(|&other| other != id).collect();
        let mut shown = self.each(&others, &Input::LeaderSilent);
        shown += &self.input(id, Input::ElectionDue);
        shown + &self.settle()
    }

    fn status(&mut self, ids: &[u64]) -> String {
        let ids = if ids.is_empty() { self.ids() } else { ids.iter().map(|&id| NodeId(id)).collect() };
        let show = |id| {
            if self.cluster().is_running(id) {
                render::status(&self.cluster().raft(id).status())
            } else {
                format!("{id} is down\n")
            }
        };
        ids.into_iter().map(show).collect()
    }
}

fn parse_ids(list: &str) -> Result<Vec<NodeId>, Box<dyn Error>> {
    list.split(',').filter(|id| !id.is_empty()).map(|id| Ok(NodeId(id.parse()?))).collect()
}

fn parse_membership(voters: &str, learners: Option<&str>, prefer: Option<u64>) -> Result<Membership, Box<dyn Error>> {
    let mut membership = Membership::of_voters(parse_ids(voters)?);
    for learner in learners.unwrap_or_default().split(',').filter(|learner| !learner.is_empty()) {
        let promote = learner.ends_with('!');
        let id = NodeId(learner.trim_end_matches('!').parse()?);
        membership.learners.insert(id, Learner { promote });
    }
    membership.priorities.extend(prefer.map(|id| (NodeId(id), 1)));
    Ok(membership)
}

impl Script {
    fn found(&mut self, verb: &Verb) {
        let Verb::Voters { count, append, window, rounds, reads, uncommitted, prefer, hibernate } = verb else {
            return;
        };
        let mut initial = Membership::of_voters((1..=*count).map(NodeId));
        initial.priorities.extend(prefer.map(|id| (NodeId(id), 1)));
        let configure = |id| {
            let mut config = Config::new(NodeId(id), initial.clone());
            config.max_append_weight = append.unwrap_or(config.max_append_weight);
            config.window_weight = window.unwrap_or(config.window_weight);
            config.preference_rounds = rounds.unwrap_or(config.preference_rounds);
            config.hibernate_rounds = hibernate.unwrap_or(config.hibernate_rounds);
            config.max_reads = reads.unwrap_or(config.max_reads);
            config.max_uncommitted_weight = uncommitted.unwrap_or(config.max_uncommitted_weight);
            config
        };
        *self = Self { cluster: Some(Cluster::new((1..=*count).map(configure))), ..Self::default() };
    }

    /// What people and the network do.
    fn act(&mut self, verb: &Verb) -> Result<String, Box<dyn Error>> {
        Ok(match verb {
            Verb::Cut { one, others } => {
                for other in others {
                    self.broken.extend([(NodeId(*one), NodeId(*other)), (NodeId(*other), NodeId(*one))]);
                }
                String::new()
            }
            Verb::Mute { from, to } => {
                self.broken.insert((NodeId(*from), NodeId(*to)));
                String::new()
            }
            Verb::Heal => {
                self.broken.clear();
                String::new()
            }
            Verb::Stall(ids) => {
                self.stalled.extend(ids.iter().map(|&id| NodeId(id)));
                String::new()
            }
            Verb::Unstall => {
                self.stalled.clear();
                String::new()
            }
            Verb::Crash { id, survive } => {
                self.cluster().crash(NodeId(*id), survive.unwrap_or(0));
                String::new()
            }
            Verb::Restart(id) => {
                let effects = self.cluster().restart(NodeId(*id));
                render::effects(NodeId(*id), &effects)
            }
            Verb::Damage { id, from } => {
                let member = self.cluster().members.get_mut(&NodeId(*id)).ok_or("no such member")?;
                member.disk.damage(Index(*from));
                String::new()
            }
            Verb::Compact { id, upto } => {
                let effects = self.cluster().compact(NodeId(*id), Index(*upto));
                render::effects(NodeId(*id), &effects)
            }
            Verb::Joiner(id) => {
                self.cluster().add(Config::new(NodeId(*id), Membership::default()));
                String::new()
            }
            Verb::Members { at, voters, learners, prefer } => {
                let target = parse_membership(voters, learners.as_deref(), *prefer)?;
                let tag = self.tag();
                self.input(*at, Input::Reconfigure(tag, target))
            }
            Verb::Transfer { at, to } => {
                let tag = self.tag();
                self.input(*at, Input::Transfer(tag, to.map(NodeId)))
            }
            _ => return Err("the verb is handled elsewhere".into()),
        })
    }
}

impl goldenscript::Runner for Script {
    type Command = Verb;

    fn run(&mut self, verb: &Verb, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let shown = match verb {
            Verb::Voters { .. } => {
                self.found(verb);
                String::new()
            }
            Verb::ElectionDue(ids) => self.each(ids, &Input::ElectionDue),
            Verb::Silent(ids) => self.each(ids, &Input::LeaderSilent),
            Verb::Wake(ids) => self.each(ids, &Input::Wake),
            Verb::Heartbeat(id) => self.input(*id, Input::HeartbeatDue),
            Verb::Lost { peer, by } => self.each(by, &Input::ConnectionLost(NodeId(*peer))),
            Verb::Connected { peer, by } => self.each(by, &Input::Connected(NodeId(*peer))),
            Verb::Elect(id) => self.elect(*id),
            Verb::Propose { at, payloads } => self.propose(*at, payloads),
            Verb::Read { at, count } => self.read(*at, count.unwrap_or(1)),
            Verb::Deliver { from, to, count } | Verb::Lose { from, to, count } => {
                let mut positions = self.matching(*from, *to);
                positions.truncate(count.unwrap_or(usize::MAX));
                self.pass(&positions, matches!(verb, Verb::Lose { .. }))
            }
            Verb::Repeat { from, to } => {
                let positions = self.matching(*from, *to);
                let again: Vec<_> = positions.iter().map(|&position| self.cluster().wire[position].clone()).collect();
                self.cluster().wire.extend(again);
                String::new()
            }
            Verb::DeliverTogether(to) => self.deliver_together(*to),
            Verb::Wire => self.cluster().wire.iter().map(|envelope| render::envelope("⋯", envelope)).collect(),
            Verb::Write { ids, count } => {
                let most = count.unwrap_or(usize::MAX);
                ids.iter().map(|&id| self.write(NodeId(id), most)).collect()
            }
            Verb::Settle => self.settle(),
            Verb::LoseSnapshots => {
                let count = self.cluster().snapshots.len();
                (0..count).map(|_| self.pass_snapshot(false)).collect()
            }
            Verb::Status(ids) => self.status(ids),
            _ => self.act(verb)?,
        };
        if let Some(cluster) = &self.cluster {
            cluster.check();
        }
        Ok(shown)
    }
}

#[test]
fn every_script_shows_what_it_is_named_after() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 30, "only {} scripts in {}", paths.len(), folder.display());
    let failure = |path: &std::path::PathBuf| {
        let run = || goldenscript::run(&mut Script::default(), path);
        let why = match std::panic::catch_unwind(run) {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it shows something else".into(),
        };
        Some(format!("{}: {why}", path.file_name().unwrap_or_default().display()))
    };
    let failed: Vec<_> = paths.iter().filter_map(failure).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
