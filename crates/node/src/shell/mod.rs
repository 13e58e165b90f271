//! The shell around the member: threads, sockets and files. Nothing that decides lives here.
//!
//! One core thread runs the member, one log thread writes its records, and everything that waits for a socket is a
//! task on the caller's tokio runtime.

mod acquaintance;
mod core;
pub(crate) mod diary;
mod healing;
mod hello;
pub(crate) mod inbox;
mod links;
mod outbox;
mod recovery;
mod snapshots;
mod transfer;
mod writer;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use self::core::{Clock, Core};
use self::inbox::Inbox;
use self::links::Links;
pub(crate) use self::recovery::{LOG_FOLDER, SNAPSHOT_FOLDER};
pub use self::recovery::{Recovery, RecoveryError, recover_from};
pub(crate) use self::snapshots::snapshot_pieces;
pub use self::snapshots::{SnapshotFile, Snapshots};
use self::transfer::Store;
pub(crate) use self::writer::GROUP;
pub use self::writer::LogWriter;
use crate::handle::Shared;
use crate::hub::Hub;
use crate::member::{Event, Member, Published};
use crate::{Handle, Options, Protocol, Role, Status, View};

/// How long a stopping leader waits for another to take over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);

/// How long a stopping member waits for each of its threads.
const THREAD_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Why a member cannot start, in words for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its own id is not among the members.
    #[error("member {0} is not in the list of members")]
    NotAMember(u64),
    /// An entry of the log would not fit a segment.
    #[error(
        "limits.segment_bytes = {segment_bytes} is too small: it must be at least {least}, eight times what \
         limits.change_bytes and limits.entry_bytes allow for one entry"
    )]
    SegmentTooSmall {
        /// The setting.
        segment_bytes: u64,
        /// What it must be at least.
        least: u64,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The peer address cannot be listened on.
    #[error("cannot listen for peers on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Why a member stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// A member that runs.
pub struct Running {
    handle: Handle,
    shared: Arc<Shared>,
    fatal: watch::Receiver<Option<String>>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    links: Arc<Links>,
}

/// Starts a member: recovers its folder, listens for its peers, and returns when it takes part.
///
/// # Errors
/// [`StartError`] tells what is wrong and where; nothing is left running then.
pub async fn start(options: Options, protocols: Vec<Arc<dyn Protocol>>) -> Result<Running, StartError> {
    let own = options.own().ok_or(StartError::NotAMember(options.id.0))?.clone();
    let least = options.limits.segment_bytes_min();
    if options.limits.segment_bytes < least {
        return Err(StartError::SegmentTooSmall { segment_bytes: options.limits.segment_bytes, least });
    }
    let address = options.listen_peer.clone().unwrap_or_else(|| own.peer.clone());
    let listener = TcpListener::bind(&address).await.map_err(|source| StartError::Listen { address, source })?;

    let seed = random();
    // The upper half of a random number is as random as the whole.
    let salt = u32::try_from(seed >> 32).expect("32 bits are left");
    let recovered = recovery::recover(&options, &own.name, &protocols, salt)?;
    let findings = recovered.findings;
    let clock = Clock::start();
    let limits = options.limits;
    let patience = options.timing.heartbeat;
    let member =
        Member::restore(options.clone(), protocols, recovered.consensus, recovered.state, clock.now(), random());
    let Published { state, index, term, members } = member.published();
    let view = View { state, index, term, members };
    let (shelf, pen, orders) = diary::open(&options.data);
    let shared = Shared::new(Inbox::new(limits), view, member.status(), limits, shelf.clone());
    let (acquaintances, problem) = recovery::peers_folder(&options)?;
    for what in findings.into_iter().chain(problem) {
        shared.inbox.post(Event::DamageFound { what });
    }
    let store = Store::new(recovered.snapshots, shared.clone());
    let folder = recovered.writer.folder_number(&options);
    let links = Links::new(&options, folder, acquaintances, store.clone(), shared.clone());

    let mut tasks = JoinSet::new();
    links.follow(&tokio::runtime::Handle::current(), &member.peers());
    links.start(listener, &mut tasks);
    let (published, follow_published) = watch::channel(shared.view.load_full());
    tasks.spawn(Hub::run(shared.clone(), follow_published));

    let (to_log, writes) = mpsc::channel();
    let log_shared = shared.clone();
    let sync_times = recovered.writer.times();
    let log_thread = move || recovered.writer.run(&writes, &log_shared);
    let (fatal, watch_fatal) = watch::channel(None);
    let core = Core {
        member,
        clock,
        shared: shared.clone(),
        log: to_log,
        links: links.clone(),
        store,
        diary: pen,
        sync_times,
        runtime: tokio::runtime::Handle::current(),
        published,
        fatal,
        patience,
    };
    let diary_thread = move || shelf.keep(&orders);
    let threads = vec![spawn("diary", diary_thread)?, spawn("log", log_thread)?, spawn("core", move || core.run())?];
    info!("member {} of {} takes part", own.name, options.ensemble);
    Ok(Running { handle: Handle::new(shared.clone()), shared, fatal: watch_fatal, threads, tasks, links })
}

impl Running {
    /// The door for front ends.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Resolves when the member had to stop by itself, with the reason.
    pub async fn failed(&mut self) -> Fatal {
        let stopped = self.fatal.wait_for(Option::is_some).await;
        let why = stopped.ok().and_then(|why| why.clone());
        Fatal(why.unwrap_or_else(|| "its core thread is gone".into()))
    }

    /// Stops the member: hands leadership over if it has it, answers everybody who waits, and ends its threads.
    pub async fn stop(mut self) {
        let mut status = self.handle.status_changes();
        let could_hand_over = |now: &Arc<Status>| {
            let successor = now.members.iter().any(|member| member.id != now.id && member.voter && member.connected);
            now.role == Role::Leader && successor
        };
        if could_hand_over(&status.borrow_and_update().clone()) {
            self.shared.inbox.post(Event::StepAside);
            // Whether somebody took over, or nobody is left who could, for they stop too: after this time it stops all
            // the same.
            let _ = timeout(HAND_OVER_WITHIN, status.wait_for(|status| !could_hand_over(status))).await;
        }
        self.shared.inbox.post(Event::Stop);
        for thread in self.threads.drain(..).rev() {
            // The core first, for it feeds the log and the diary. A disk that hangs must not keep the process from ending.
            let _ = timeout(THREAD_ENDS_WITHIN, tokio::task::spawn_blocking(move || thread.join())).await;
        }
        self.shared.hub.close();
        self.links.close_down();
        self.tasks.shutdown().await;
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.into()).spawn(body).map_err(StartError::Thread)
}

/// The system's randomness, through the one door to it that the standard library has.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
