//! `openraft` on a tokio runtime of one thread: `Raft` handles with the default configuration, a log and a state machine in
//! memory, and a network that calls the other handle. A proposal is a `client_write`; as many tasks write as proposals are to
//! be under way. Its tasks, channels and timers belong to its design and are measured with it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage, RaftStateMachine, Snapshot};
use openraft::{
    BasicNode, Config, EntryPayload, LogId, OptionalSend, RaftLogReader, RaftSnapshotBuilder, SnapshotMeta,
    StorageError, StoredMembership, Vote,
};

use crate::{Load, clock};

openraft::declare_raft_types!(
    /// Payloads are bytes, and applying one answers nothing.
    Types:
        D = Command,
        R = (),
        Node = BasicNode,
);

/// A proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Command(Bytes);

type Handle = openraft::Raft<Types>;
type Entry = openraft::Entry<Types>;
type Failure = StorageError<u64>;

/// Nanoseconds per proposal.
pub(crate) fn round(load: Load) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let nanoseconds = runtime.block_on(async {
        let (leader, all) = led().await;
        propose(&leader, load, load.count / 10).await;
        let began = clock::now();
        propose(&leader, load, load.count).await;
        let took = clock::now() - began;
        for handle in all {
            let _ = handle.shutdown().await;
        }
        took
    });
    nanoseconds / load.count as f64
}

async fn led() -> (Handle, Vec<Handle>) {
    let config = Arc::new(Config::default().validate().expect("the defaults are valid"));
    let network = Network::default();
    let mut handles = Vec::new();
    for id in 1..=3 {
        let (log, machine) = (Log::default(), Machine::default());
        let handle = Handle::new(id, config.clone(), network.clone(), log, machine).await.expect("it starts");
        locked(&network.0).insert(id, handle.clone());
        handles.push(handle);
    }
    let members: BTreeMap<u64, BasicNode> = (1..=3).map(|id| (id, BasicNode::default())).collect();
    handles[0].initialize(members).await.expect("nothing was there before");
    let elected = handles[0].wait(Some(Duration::from_secs(10))).current_leader(1, "the first leads").await;
    elected.expect("the first leads");
    (handles[0].clone(), handles)
}

async fn propose(leader: &Handle, load: Load, count: u64) {
    let writers = load.in_flight as u64;
    let write = |position: u64| {
        let (leader, share) = (leader.clone(), count / writers + u64::from(position < count % writers));
        async move {
            for _ in 0..share {
                let payload = Command(Bytes::from(vec![7; load.payload]));
                leader.client_write(payload).await.expect("it leads");
            }
        }
    };
    let tasks: Vec<_> = (0..writers).map(|position| tokio::spawn(write(position))).collect();
    for task in tasks {
        task.await.expect("a writer finishes");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everybody's handle, by number.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<BTreeMap<u64, Handle>>>);

/// The way to one member.
struct Link {
    network: Network,
    to: u64,
}

impl Link {
    fn peer(&self) -> Handle {
        locked(&self.network.0).get(&self.to).cloned().expect("everybody is there before anybody speaks")
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &BasicNode) -> Link {
        Link { network: self.clone(), to: target }
    }
}

type Answer<T, E = openraft::error::Infallible> = Result<T, RPCError<u64, BasicNode, RaftError<u64, E>>>;

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Answer<AppendEntriesResponse<u64>> {
        let answer = self.peer().append_entries(request).await;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Answer<InstallSnapshotResponse<u64>, InstallSnapshotError> {
        let answer = self.peer().install_snapshot(request).await;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }

    async fn vote(&mut self, request: VoteRequest<u64>, _: RPCOption) -> Answer<VoteResponse<u64>> {
        let answer = self.peer().vote(request).await;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }
}

#[derive(Default)]
struct LogContent {
    purged: Option<LogId<u64>>,
    entries: BTreeMap<u64, Entry>,
    vote: Option<Vote<u64>>,
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<LogContent>>);

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, Failure> {
        Ok(locked(&self.0).entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failure> {
        let log = locked(&self.0);
        let last = log.entries.values().next_back().map(|entry| entry.log_id).or(log.purged);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failure> {
        locked(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failure> {
        Ok(locked(&self.0).vote)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        locked(&self.0).entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), Failure> {
        locked(&self.0).entries.split_off(&from.index);
        Ok(())
    }

    async fn purge(&mut self, to: LogId<u64>) -> Result<(), Failure> {
        let mut log = locked(&self.0);
        log.purged = Some(to);
        log.entries = log.entries.split_off(&(to.index + 1));
        Ok(())
    }
}

#[derive(Clone, Default)]
struct MachineContent {
    applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
}

/// A state machine that only remembers how far it is.
#[derive(Clone, Default)]
struct Machine(Arc<Mutex<MachineContent>>);

impl Machine {
    fn snapshot(&self) -> Snapshot<Types> {
        let MachineContent { applied, membership } = locked(&self.0).clone();
        let snapshot_id = applied.map(|id| id.to_string()).unwrap_or_default();
        let meta = SnapshotMeta { last_log_id: applied, last_membership: membership, snapshot_id };
        Snapshot { meta, snapshot: Box::new(Cursor::new(Vec::new())) }
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failure> {
        Ok(self.snapshot())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>), Failure> {
        let MachineContent { applied, membership } = locked(&self.0).clone();
        Ok((applied, membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, Failure>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut machine = locked(&self.0);
        let mut answers = Vec::new();
        for entry in entries {
            machine.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                machine.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Failure> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        _: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failure> {
        *locked(&self.0) = MachineContent { applied: meta.last_log_id, membership: meta.last_membership.clone() };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failure> {
        Ok(locked(&self.0).applied.is_some().then(|| self.snapshot()))
    }
}
