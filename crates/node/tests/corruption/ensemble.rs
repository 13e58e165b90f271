//! A small ensemble in one thread, over folders in memory: messages arrive in order and at once, disks write at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use conclave_node::member::{Answer, Effects, Event, Member, RequestTag};
use conclave_node::{
    Context, LogWriter, MemberAddress, NodeId, Now, Options, PeerMessage, Protocol, ProtocolId, Recovery, Role,
    Snapshots, StreamId, Timing, recover_from,
};
use log::memory::MemoryStorage;
use state::{History, LeaseId, State, TableId, TableSpec, Transaction};

const TABLE: TableId = TableId(0x70);
const PROTOCOL: ProtocolId = ProtocolId(7);
const SEGMENT_BYTES: u64 = 16 * 1024;
const STEP_MILLISECONDS: u64 = 10;
const MILLISECOND: u64 = 1_000_000;

/// Puts a request under itself.
struct Notes;

impl Protocol for Notes {
    fn id(&self) -> ProtocolId {
        PROTOCOL
    }

    fn tables(&self) -> &'static [TableSpec] {
        &[TableSpec { id: TABLE, name: "notes", history: History::Kept }]
    }

    fn prepare(&self, _: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes {
        transaction.put(TABLE, &request[..8], request, LeaseId::NONE);
        Bytes::new()
    }

    fn expire(&self, _: &Context, _: &mut Transaction<'_>, _: LeaseId) {}
}

/// The two folders of one member.
#[derive(Clone)]
pub(crate) struct Folders {
    pub(crate) log: MemoryStorage,
    pub(crate) snapshots: MemoryStorage,
}

impl Folders {
    fn new() -> Folders {
        Folders { log: MemoryStorage::new(), snapshots: MemoryStorage::new() }
    }

    pub(crate) fn fork(&self) -> Folders {
        Folders { log: self.log.fork(), snapshots: self.snapshots.fork() }
    }

    /// For the next life of a process.
    fn reopen(&self) -> Folders {
        Folders { log: self.log.kill(), snapshots: self.snapshots.kill() }
    }
}

/// What a start found.
pub(crate) struct Found(Recovery<MemoryStorage>);

impl Found {
    /// All that decides how the member goes on, in a line.
    pub(crate) fn outline(&self) -> String {
        let Recovery { consensus, state, .. } = &self.0;
        let mut outline = format!("{:?} from {:?} to {:?}", consensus.ballot, consensus.base.last, consensus.last());
        let _ = write!(outline, ", loaded {:?}", consensus.loaded.as_ref().map(|meta| meta.last));
        let _ = write!(outline, ", missing {:?}, state {:032x}", consensus.missing, state.hash());
        outline
    }
}

fn options(id: u64, members: u64) -> Options {
    let address = |id: u64| MemberAddress {
        id: NodeId(id),
        name: format!("m{id}"),
        peer: format!("m{id}:1"),
        client: BTreeMap::new(),
        priority: 0,
    };
    let limits = conclave_node::Limits {
        segment_bytes: SEGMENT_BYTES,
        snapshot_log_bytes: 12 * 1024,
        ..conclave_node::Limits::default()
    };
    Options {
        ensemble: "matrix".into(),
        id: NodeId(id),
        members: (1..=members).map(address).collect(),
        join: false,
        listen_peer: None,
        data: PathBuf::from("data"),
        timing: Timing::default(),
        limits,
    }
}

fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![Arc::new(Notes)]
}

/// Does what a start does with the folders.
pub(crate) fn start(folders: &Folders, id: u64, members: u64) -> Result<Found, String> {
    let Folders { log, snapshots } = folders.clone();
    let recovered = recover_from(log, snapshots, &options(id, members), &format!("m{id}"), &protocols(), 7);
    recovered.map(Found).map_err(|refusal| refusal.to_string())
}

struct Process {
    member: Member,
    writer: LogWriter<MemoryStorage>,
    snapshots: Snapshots<MemoryStorage>,
    published: State,
    missed: bool,
}

/// The whole.
pub(crate) struct Ensemble {
    members: u64,
    pub(crate) folders: BTreeMap<u64, Folders>,
    processes: BTreeMap<u64, Process>,
    wire: VecDeque<(u64, u64, PeerMessage)>,
    /// Whoever is in here is not connected to anybody.
    apart: BTreeSet<u64>,
    milliseconds: u64,
    next_request: u64,
    asked: BTreeMap<u64, u64>,
    /// Requests that were answered.
    acknowledged: BTreeSet<u64>,
}

impl Ensemble {
    /// Members with empty folders, started.
    pub(crate) fn new(members: u64) -> Ensemble {
        let folders = (1..=members).map(|id| (id, Folders::new())).collect();
        let mut ensemble = Ensemble {
            members,
            folders,
            processes: BTreeMap::new(),
            wire: VecDeque::new(),
            apart: BTreeSet::new(),
            milliseconds: 0,
            next_request: 1,
            asked: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
        };
        for id in ensemble.ids() {
            ensemble.start(id);
        }
        ensemble.run(2_000);
        ensemble
    }

    /// An ensemble with data of which one member, named, knows only the first part.
    pub(crate) fn with_a_follower_left_behind(members: u64) -> (Ensemble, u64) {
        let mut ensemble = Ensemble::new(members);
        ensemble.put(5);
        let leader = ensemble.leader().unwrap();
        let lagging = ensemble.ids().into_iter().rev().find(|&id| id != leader).unwrap();
        ensemble.part(lagging);
        ensemble.fill();
        (ensemble, lagging)
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        (1..=self.members).collect()
    }

    /// Enough for two snapshots, several segments, and a log behind them.
    pub(crate) fn fill(&mut self) {
        self.put(120);
    }

    fn put(&mut self, count: u64) {
        for _ in 0..count {
            let request = self.next_request;
            self.next_request += 1;
            let before = self.acknowledged.len();
            for _ in 0..500 {
                if self.acknowledged.len() > before {
                    break;
                }
                let leader = self.leader();
                if let Some(leader) = leader.filter(|_| !self.asked.contains_key(&request)) {
                    self.asked.insert(request, leader);
                    let mut bytes = request.to_be_bytes().to_vec();
                    bytes.resize(300, 0x5a);
                    self.post(
                        leader,
                        Event::Submit {
                            tag: RequestTag(request),
                            protocol: PROTOCOL,
                            stream: StreamId::NONE,
                            request: bytes.into(),
                        },
                    );
                }
                self.run(STEP_MILLISECONDS);
            }
            assert!(self.acknowledged.len() > before, "a healthy ensemble answers");
        }
    }

    fn leader(&self) -> Option<u64> {
        let leads = |process: &Process| process.member.status().role == Role::Leader;
        self.processes.iter().find(|(_, process)| leads(process)).map(|(&id, _)| id)
    }

    fn part(&mut self, id: u64) {
        self.apart.insert(id);
        for other in self.ids().into_iter().filter(|&other| other != id) {
            self.post(other, Event::ConnectionLost(NodeId(id)));
            self.post(id, Event::ConnectionLost(NodeId(other)));
        }
    }

    /// All processes are killed.
    pub(crate) fn stop(&mut self) {
        self.processes.clear();
        self.wire.clear();
        self.apart.clear();
        for folders in self.folders.values_mut() {
            *folders = folders.reopen();
        }
    }

    /// Another ensemble with the same folders; nothing of it runs.
    pub(crate) fn fork(&self) -> Ensemble {
        Ensemble {
            members: self.members,
            folders: self.folders.iter().map(|(&id, folders)| (id, folders.fork())).collect(),
            processes: BTreeMap::new(),
            wire: VecDeque::new(),
            apart: BTreeSet::new(),
            milliseconds: self.milliseconds,
            next_request: self.next_request,
            asked: BTreeMap::new(),
            acknowledged: self.acknowledged.clone(),
        }
    }

    /// Starts a member, if it is not running and its folder lets it.
    pub(crate) fn start(&mut self, id: u64) {
        if self.processes.contains_key(&id) {
            return;
        }
        let Ok(Found(recovery)) = start(&self.folders[&id], id, self.members) else { return };
        let Recovery { writer, snapshots, consensus, state, .. } = recovery;
        let missed = consensus.missing.is_some();
        let member = Member::restore(options(id, self.members), protocols(), consensus, state, self.now(), id * 31 + 7);
        let published = member.published().state;
        self.processes.insert(id, Process { member, writer, snapshots, published, missed });
        for other in self.ids().into_iter().filter(|&other| other != id) {
            if self.processes.contains_key(&other) {
                self.post(other, Event::Connected(NodeId(id)));
                self.post(id, Event::Connected(NodeId(other)));
            }
        }
    }

    /// Whether this member started without something it had acknowledged.
    pub(crate) fn was_missing(&self, id: u64) -> bool {
        self.processes[&id].missed
    }

    fn now(&self) -> Now {
        Now { nanoseconds: self.milliseconds * MILLISECOND, unix_milliseconds: 1_700_000_000_000 + self.milliseconds }
    }

    fn post(&mut self, id: u64, event: Event) {
        let now = self.now();
        if let Some(process) = self.processes.get_mut(&id) {
            process.member.step(now, event);
        }
    }

    /// Lets so much time go by.
    pub(crate) fn run(&mut self, milliseconds: u64) {
        let until = self.milliseconds + milliseconds;
        while self.milliseconds < until {
            self.milliseconds += STEP_MILLISECONDS;
            for id in self.ids() {
                let due = self.now().nanoseconds;
                if self.processes.get(&id).is_some_and(|process| process.member.deadline() <= due) {
                    self.post(id, Event::Tick);
                }
            }
            while self.turn() {}
        }
    }

    /// Everybody drains, everything arrives. Whether anything did.
    fn turn(&mut self) -> bool {
        for id in self.ids() {
            let now = self.now();
            if let Some(process) = self.processes.get_mut(&id) {
                let effects = process.member.drain(now);
                self.carry_out(id, effects);
            }
        }
        let arriving = std::mem::take(&mut self.wire);
        let any = !arriving.is_empty();
        for (from, to, message) in arriving {
            self.post(to, Event::Peer { from: NodeId(from), message });
        }
        any
    }

    fn carry_out(&mut self, id: u64, effects: Effects) {
        assert_eq!(effects.fatal, None, "member {id} stops by itself");
        let reachable = |to: u64| !self.apart.contains(&id) && !self.apart.contains(&to);
        let messages = effects.send.into_iter().filter(|(to, _)| reachable(to.0));
        self.wire.extend(messages.map(|(to, message)| (id, to.0, message)));
        let now = self.now();
        let process = self.processes.get_mut(&id).unwrap();
        let base = effects.write.iter().rev().find_map(|write| write.base.as_ref().map(|base| base.last.index));
        if let Some(ticket) = effects.write.last().map(|write| write.ticket) {
            process.writer.write(effects.write).unwrap();
            process.member.step(now, Event::Written(ticket));
            if let Some(base) = base {
                process.writer.release(base).unwrap();
            }
        }
        if let Some(order) = effects.save_snapshot {
            process.snapshots.save(&order.meta, &order.state).unwrap();
            process.member.step(now, Event::SnapshotWritten { meta: order.meta });
        }
        if let Some(published) = effects.publish {
            process.published = published.state;
        }
        for (tag, answer) in effects.answers {
            if matches!(answer, Ok(Answer::Decided(_))) {
                self.acknowledged.insert(tag.0);
            }
        }
        for to in effects.send_snapshot {
            self.carry_snapshot(id, to.0);
        }
    }

    fn carry_snapshot(&mut self, from: u64, to: u64) {
        let now = self.now();
        let sender = self.processes.get_mut(&from).unwrap();
        let file = sender.snapshots.newest_file().unwrap();
        let carried = file.map(|file| {
            let length = usize::try_from(file.length).unwrap();
            (file.meta.last, sender.snapshots.read(&file, 0, length).unwrap())
        });
        let Some((at, bytes)) = carried else { return };
        let receiver = self.processes.get_mut(&to).filter(|_| !self.apart.contains(&to));
        let kept = receiver.is_some_and(|receiver| {
            let file = receiver.snapshots.begin_receiving().unwrap();
            receiver.snapshots.receive(&file, 0, &bytes).unwrap();
            let Ok((meta, state)) = receiver.snapshots.finish_receiving(&file, bytes.len() as u64) else {
                return false;
            };
            receiver.member.step(now, Event::SnapshotReceived { meta, state: Box::new(state) });
            true
        });
        self.post(from, Event::SnapshotSent { to: NodeId(to), at, delivered: kept });
    }

    /// Whoever would answer a read, answers with everything that was acknowledged.
    pub(crate) fn check_answers(&self, told: &str) {
        for (id, process) in &self.processes {
            let core = process.member.raft().status();
            if process.member.status().role == Role::Leader && core.commit == process.member.raft().last().index {
                self.check_state(*id, process, told);
            }
        }
    }

    fn check_state(&self, id: u64, process: &Process, told: &str) {
        for request in &self.acknowledged {
            let row = process.published.get(TABLE, &request.to_be_bytes());
            assert!(row.is_some(), "{told}: member {id} has lost request {request}");
        }
    }

    /// There is a leader, everybody who runs has everything, and it goes on.
    pub(crate) fn check_converged(&mut self, told: &str) {
        self.put(3);
        self.run(1_000);
        assert!(self.leader().is_some(), "{told}: no leader");
        let hashes: BTreeSet<u128> = self.processes.values().map(|process| process.published.hash()).collect();
        assert!(hashes.len() == 1, "{told}: the members differ");
        for (&id, process) in &self.processes {
            self.check_state(id, process, told);
            assert!(process.member.raft().status().missing.is_none(), "{told}: member {id} still misses something");
        }
    }
}
