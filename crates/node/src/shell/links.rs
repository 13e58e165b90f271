//! The ways between members: two connections to each peer (one per lane) for what this member says, two from each
//! peer for what it hears. It may not know what the messages mean.
//!
//! A peer is *connected* while all four stand. When one breaks, all four are closed and made anew: what was under
//! way is lost as a whole, and the member hears of it as one event. Who the peers are, the member says, again whenever
//! that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use log::Folder;
use raft::{Lane, NodeId};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::acquaintance::Acquaintances;
use super::hello::{Hello, HelloError, Purpose};
use super::outbox::Outbox;
use super::transfer::Store;
use crate::handle::Shared;
use crate::member::{Event, Peers};
use crate::message::PeerMessage;
use crate::wire::{decode_frame, encode_frame};
use crate::{MemberAddress, Options};

/// A greeting must come within this time.
const HELLO_WITHIN: Duration = Duration::from_secs(2);
/// A connection attempt is given up after this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// The first pause between two attempts; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A lane that has nothing to say says so this often, and is given up after [`SILENCE_MAX`] without a word:
/// a peer whose machine vanished closes nothing.
const PING_EVERY: Duration = Duration::from_secs(1);
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// The largest frame that is accepted from a peer, in bytes: an append of several entries of bounded size.
const FRAME_MAX: usize = 64 * 1024 * 1024;
const LANES: [Lane; 2] = [Lane::Control, Lane::Bulk];

/// Connections to a member that was removed stay so long, so that it hears of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// All peers of this member.
pub(super) struct Links {
    own: NodeId,
    ensemble: String,
    /// The number of this member's own data folder.
    folder: u64,
    acquaintances: Mutex<Acquaintances<Folder>>,
    /// Where the configuration says that members are: tried when they are not where the ensemble knows them.
    hints: BTreeMap<NodeId, String>,
    circle: ArcSwap<Circle>,
    /// The tasks that keep up connections.
    dialling: Mutex<JoinSet<()>>,
    store: Store,
    shared: Arc<Shared>,
}

/// Who the peers are at present.
#[derive(Default)]
struct Circle {
    peers: BTreeMap<NodeId, Arc<Peer>>,
    ensemble_id: u64,
    /// Whoever has a number up to this one and is no peer was removed.
    last_id: u64,
}

struct Peer {
    address: MemberAddress,
    /// Its tasks, to be ended when it is no peer any more.
    tasks: Mutex<Vec<AbortHandle>>,
    lanes: BTreeMap<Lane, Outbox>,
    standing: Mutex<Connections>,
    /// Counts the times that the connections were closed; every lane watches it.
    generation: watch::Sender<u64>,
    /// It dials, so it is there to be dialled: no lane need wait for its next attempt.
    there: Notify,
}

/// Which of the four connections stand.
#[derive(Default)]
struct Connections {
    standing: BTreeSet<(Lane, Direction)>,
    connected: bool,
}

/// The era of a connection, and the news of its end.
struct Generation {
    number: u64,
    changes: watch::Receiver<u64>,
}

/// Seen from this member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Says,
    Hears,
}

impl Links {
    pub(super) fn new(
        options: &Options,
        folder: u64,
        acquaintances: Acquaintances<Folder>,
        store: Store,
        shared: Arc<Shared>,
    ) -> Arc<Links> {
        let others = options.members.iter().filter(|member| member.id != options.id);
        Arc::new(Links {
            own: options.id,
            ensemble: options.ensemble.clone(),
            folder,
            acquaintances: Mutex::new(acquaintances),
            hints: others.map(|member| (member.id, member.peer.clone())).collect(),
            circle: ArcSwap::default(),
            dialling: Mutex::default(),
            store,
            shared,
        })
    }

    /// Starts listening; ends with the runtime's tasks being aborted.
    pub(super) fn start(self: &Arc<Self>, listener: TcpListener, tasks: &mut JoinSet<()>) {
        tasks.spawn(self.clone().listen(listener));
    }

    /// These are the members from now on: others are dialled no more, and refused when they dial. To be called by one
    /// thread only.
    pub(super) fn follow(self: &Arc<Self>, runtime: &Handle, peers: &Peers) {
        let before = self.circle.load_full();
        let mut circle = Circle { ensemble_id: peers.ensemble_id, last_id: peers.last_id, ..Circle::default() };
        for address in peers.list.iter().filter(|address| address.id != self.own) {
            // Its priority or its clients' addresses are nothing to break a connection for.
            let same = |peer: &&Arc<Peer>| (&peer.address.peer, &peer.address.name) == (&address.peer, &address.name);
            let known = before.peers.get(&address.id).filter(same);
            let peer = known.cloned().unwrap_or_else(|| Arc::new(Peer::new(address.clone())));
            circle.peers.insert(address.id, peer);
        }
        self.circle.store(Arc::new(circle));
        for (id, peer) in &before.peers {
            match self.circle.load().peers.get(id) {
                Some(present) if Arc::ptr_eq(present, peer) => {}
                // It moved: what stands with its old self is of no use.
                Some(_) => self.part_with(peer),
                None => {
                    let (links, peer) = (self.clone(), peer.clone());
                    let farewell = async move {
                        sleep(FAREWELL).await;
                        links.part_with(&peer);
                    };
                    self.dialling().spawn_on(farewell, runtime);
                }
            }
        }
        for (id, peer) in &self.circle.load().peers {
            if !before.peers.get(id).is_some_and(|before| Arc::ptr_eq(before, peer)) {
                let dial = |lane| self.dialling().spawn_on(self.clone().dial(peer.clone(), lane), runtime);
                *peer.tasks() = LANES.map(dial).into();
            }
        }
    }

    /// Ends all connections: the member stops.
    pub(super) fn close_down(&self) {
        self.dialling().abort_all();
    }

    fn part_with(&self, peer: &Peer) {
        peer.tasks().drain(..).for_each(|task| task.abort());
        self.close_all(peer, &mut peer.lock());
    }

    fn dialling(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut dialling = self.dialling.lock().expect("no holder of the tasks panics");
        while dialling.try_join_next().is_some() {}
        dialling
    }

    fn peer(&self, id: NodeId) -> Option<Arc<Peer>> {
        self.circle.load().peers.get(&id).cloned()
    }

    /// Sends messages, in order for each peer and lane. Without a connection they are dropped: whoever sends knows what
    /// that means.
    pub(super) fn send(&self, messages: &[(NodeId, PeerMessage)]) {
        if messages.is_empty() {
            return;
        }
        let circle = self.circle.load();
        let limit = self.shared.limits.peer_queue_bytes;
        for (to, message) in messages {
            let Some(peer) = circle.peers.get(to) else { continue };
            if peer.lanes[&message.lane()].push(|| encode_frame(message), limit) {
                let name = &peer.address.name;
                warn!("{name} does not keep up: limits.peer_queue_bytes = {limit} is reached, reconnecting");
                self.close_all(peer, &mut peer.lock());
            }
        }
        circle.peers.values().flat_map(|peer| peer.lanes.values()).for_each(Outbox::flush);
    }

    /// A connection of its own to a peer, on which a snapshot may be sent.
    pub(super) async fn dial_for_snapshot(&self, to: NodeId) -> Result<TcpStream, HelloError> {
        let peer = self.peer(to).ok_or_else(|| io::Error::other("it is no member"))?;
        match self.greet(&peer, &peer.address.peer, Purpose::Snapshot).await {
            Err(HelloError::Broken(problem)) => match self.hints.get(&to) {
                Some(hint) if *hint != peer.address.peer => self.greet(&peer, hint, Purpose::Snapshot).await,
                _ => Err(problem.into()),
            },
            greeted => greeted,
        }
    }

    /// A peer's name, for people.
    pub(super) fn name(&self, id: NodeId) -> String {
        self.peer(id).map_or_else(|| format!("member {}", id.0), |peer| peer.address.name.clone())
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        // Ends with this task, so that nothing outlives the member.
        let mut heard = JoinSet::new();
        loop {
            while heard.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, address)) => {
                    let links = self.clone();
                    heard.spawn(async move {
                        if let Err(problem) = links.hear(stream).await {
                            debug!("peer connection from {address} ended: {problem}");
                        }
                    });
                }
                Err(problem) => {
                    warn!("cannot accept a peer: {problem}");
                    sleep(PAUSE_MIN).await;
                }
            }
        }
    }

    /// One connection on which a peer speaks.
    async fn hear(self: Arc<Self>, mut stream: TcpStream) -> Result<(), HelloError> {
        stream.set_nodelay(true)?;
        let hello = timeout(HELLO_WITHIN, Hello::receive(&mut stream)).await.map_err(|_| HelloError::Late)??;
        let from = hello.from;
        let (peer, purpose) = match self.admit(hello) {
            Ok(admitted) => admitted,
            Err(problem) => {
                match problem {
                    HelloError::NotAMember(_) => debug!("refused a peer: {problem}"),
                    _ => warn!("refused a peer: {problem}"),
                }
                Hello::refuse(&mut stream, &problem).await?;
                return Err(problem);
            }
        };
        Hello::welcome(&mut stream).await?;
        let lane = match purpose {
            Purpose::Lane(lane) => lane,
            Purpose::Snapshot => return Ok(self.store.receive(&peer.address.name, &mut stream).await?),
        };
        let mut generation = self.stands(&peer, lane, Direction::Hears);
        peer.there.notify_waiters();
        let ended = tokio::select! {
            ended = self.read_frames(from, &mut stream) => ended,
            _ = generation.changes.changed() => return Ok(()),
        };
        self.close(&peer, &generation);
        ended.map_err(HelloError::Broken)
    }

    /// Whether whoever greets is a peer of this member.
    fn admit(&self, hello: Hello) -> Result<(Arc<Peer>, Purpose), HelloError> {
        if hello.to != self.own || hello.ensemble != self.ensemble {
            return Err(HelloError::Stranger { hello, own: self.own, ensemble: self.ensemble.clone() });
        }
        let circle = self.circle.load();
        if ![0, circle.ensemble_id].contains(&hello.ensemble_id) && circle.ensemble_id != 0 {
            return Err(HelloError::OtherEnsemble { hello, own: circle.ensemble_id });
        }
        match circle.peers.get(&hello.from) {
            Some(peer) => {
                let mut acquaintances = self.acquaintances.lock().expect("no holder of the acquaintances panics");
                match acquaintances.meet(hello.from, hello.folder) {
                    Ok(()) => Ok((peer.clone(), hello.purpose)),
                    Err(why) => Err(HelloError::NotItself { from: hello.from, why }),
                }
            }
            None if hello.from.0 <= circle.last_id => Err(HelloError::Removed(hello)),
            None => Err(HelloError::NotAMember(hello)),
        }
    }

    async fn read_frames(&self, from: NodeId, stream: &mut TcpStream) -> io::Result<()> {
        let mut received = BytesMut::with_capacity(64 * 1024);
        loop {
            while let Some(message) = decode_frame(&mut received, FRAME_MAX).map_err(io::Error::other)? {
                let weight = message.weight();
                self.shared.inbox.post_peer(Event::Peer { from, message }, weight).await;
            }
            let read = timeout(SILENCE_MAX, stream.read_buf(&mut received)).await;
            if read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// Keeps up the connection on which this member speaks to a peer on one lane.
    async fn dial(self: Arc<Self>, peer: Arc<Peer>, lane: Lane) {
        let hint = self.hints.get(&peer.address.id).filter(|hint| **hint != peer.address.peer);
        let addresses = std::iter::once(&peer.address.peer).chain(hint);
        let mut pause = PAUSE_MIN;
        let mut last_problem = String::new();
        for address in addresses.cycle() {
            match self.greet(&peer, address, Purpose::Lane(lane)).await {
                Ok(stream) => {
                    pause = PAUSE_MIN;
                    last_problem.clear();
                    self.say(&peer, lane, stream).await;
                }
                Err(problem) => {
                    if matches!(problem, HelloError::Expelled(_)) {
                        self.shared.inbox.post(Event::Expelled { by: peer.address.id });
                    }
                    let problem = format!("no connection to {} at {address}: {problem}", peer.address.name);
                    if problem != last_problem && lane == Lane::Control {
                        info!("{problem}");
                        last_problem = problem;
                    }
                }
            }
            // Whoever is there is dialled at once, but not again and again.
            let _ = timeout(pause, peer.there.notified()).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn greet(&self, peer: &Peer, address: &str, purpose: Purpose) -> Result<TcpStream, HelloError> {
        let connecting = timeout(CONNECT_WITHIN, TcpStream::connect(address));
        let mut stream = connecting.await.map_err(|_| HelloError::Late)??;
        stream.set_nodelay(true)?;
        let hello = Hello {
            ensemble: self.ensemble.clone(),
            ensemble_id: self.circle.load().ensemble_id,
            from: self.own,
            to: peer.address.id,
            purpose,
            folder: self.folder,
        };
        timeout(HELLO_WITHIN, hello.send(&mut stream)).await.map_err(|_| HelloError::Late)??;
        Ok(stream)
    }

    async fn say(&self, peer: &Peer, lane: Lane, stream: TcpStream) {
        let stream = Arc::new(stream);
        let mut generation = self.stands(peer, lane, Direction::Says);
        tokio::select! {
            // The peer never speaks here: whatever this ends with, the connection has ended.
            () = ended(&stream) => {}
            _ = peer.lanes[&lane].serve(&stream, PING_EVERY) => {}
            _ = generation.changes.changed() => {}
        }
        self.close(peer, &generation);
    }

    /// The member knows of the connection to this peer: from now on messages are taken. Not before, so that nothing
    /// that belongs behind lost messages is sent on a new connection.
    pub(super) fn open(&self, to: NodeId) {
        let Some(peer) = self.peer(to) else { return };
        let connections = peer.lock();
        if connections.connected {
            peer.lanes.values().for_each(Outbox::open);
        }
    }

    /// One of the four connections stands; it is to be closed when the generation that this gives is over.
    fn stands(&self, peer: &Peer, lane: Lane, direction: Direction) -> Generation {
        let mut connections = peer.lock();
        if !connections.standing.insert((lane, direction)) {
            // The peer dials anew before its old connection was seen to break.
            self.close_all(peer, &mut connections);
            connections.standing.insert((lane, direction));
        }
        if connections.standing.len() == LANES.len() * 2 && !connections.connected {
            connections.connected = true;
            self.shared.inbox.post(Event::Connected(peer.address.id));
        }
        let changes = peer.generation.subscribe();
        let number = *changes.borrow();
        Generation { number, changes }
    }

    /// Closes all four connections of a peer, unless those of this generation are closed already.
    fn close(&self, peer: &Peer, generation: &Generation) {
        let mut connections = peer.lock();
        if *peer.generation.borrow() == generation.number {
            self.close_all(peer, &mut connections);
        }
    }

    /// To be called under the lock, so that whatever stands from then on belongs to the next generation.
    fn close_all(&self, peer: &Peer, connections: &mut Connections) {
        peer.lanes.values().for_each(Outbox::close);
        if std::mem::take(connections).connected {
            self.shared.inbox.post(Event::ConnectionLost(peer.address.id));
        }
        peer.generation.send_modify(|generation| *generation += 1);
    }
}

impl Peer {
    fn new(address: MemberAddress) -> Peer {
        Peer {
            address,
            tasks: Mutex::default(),
            lanes: LANES.map(|lane| (lane, Outbox::default())).into(),
            standing: Mutex::default(),
            generation: watch::Sender::new(0),
            there: Notify::new(),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().expect("no holder of a peer's tasks panics")
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.standing.lock().expect("no holder of a peer's connections panics")
    }
}

/// Resolves when the other side says something or closes.
async fn ended(stream: &TcpStream) {
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut [0]) {
            Err(spurious) if spurious.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
