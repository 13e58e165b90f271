//! Snapshots on their way: from this member's state into a file, from a file to a peer, from a peer into a file.
//! It may not know when that is due, or what becomes of it.
//!
//! A snapshot travels on a connection of its own, so that it delays neither heartbeats nor entries, a piece at a time.
//! After the greeting come its length (8, little-endian) and its bytes; the receiver answers 1 when it has checked and
//! kept them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::Folder;
use raft::{LogId, NodeId, SnapshotMeta};
use state::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::hello::HelloError;
use super::links::Links;
use super::snapshots::{SnapshotFile, Snapshots};
use crate::handle::Shared;
use crate::member::Event;

const PIECE_BYTES: usize = 256 * 1024;
const KEPT: u8 = 1;
/// A piece must get on within this time, or the other side is taken for gone.
const PIECE_WITHIN: Duration = Duration::from_secs(10);
/// The receiver must have checked and kept the whole within this time.
const KEPT_WITHIN: Duration = Duration::from_secs(300);
/// After a failure the leader is told only after a pause, for it asks for the next attempt at once.
const PAUSE: Duration = Duration::from_secs(1);

/// The member's snapshots, for whoever has to do with them; only one at a time.
#[derive(Clone)]
pub(super) struct Store {
    snapshots: Arc<Mutex<Snapshots<Folder>>>,
    receiving: Arc<tokio::sync::Mutex<()>>,
    shared: Arc<Shared>,
}

impl Store {
    pub(super) fn new(snapshots: Snapshots<Folder>, shared: Arc<Shared>) -> Store {
        Store { snapshots: Arc::new(Mutex::new(snapshots)), receiving: Arc::default(), shared }
    }

    /// Writes a state into a file, away from the core thread, and reports.
    pub(super) async fn save(self, meta: SnapshotMeta, state: State) {
        let covered = meta.clone();
        let saved = self.with(move |snapshots| snapshots.save(&meta, &state)).await;
        self.shared.inbox.post(match saved {
            Ok(()) => Event::SnapshotWritten { meta: covered },
            Err(problem) => Event::SnapshotFailed { why: problem.to_string() },
        });
    }

    /// Sends the newest snapshot to a peer, and reports.
    pub(super) async fn send(self, links: Arc<Links>, to: NodeId) {
        let (at, sent) = match self.with(Snapshots::newest_file).await {
            Ok(Some(file)) => (file.meta.last, self.send_file(&links, to, file).await),
            Ok(None) => (LogId::default(), Err(HelloError::Broken(io::Error::other("there is no snapshot yet")))),
            Err(problem) => (LogId::default(), Err(problem.into())),
        };
        match &sent {
            Ok(()) => info!("sent the snapshot of entry {at} to {}", links.name(to)),
            Err(problem) => {
                warn!("could not send a snapshot to {}: {problem}", links.name(to));
                sleep(PAUSE).await;
            }
        }
        self.shared.inbox.post(Event::SnapshotSent { to, at, delivered: sent.is_ok() });
    }

    async fn send_file(
        &self,
        links: &Links,
        to: NodeId,
        file: SnapshotFile<<Folder as log::Storage>::File>,
    ) -> Result<(), HelloError> {
        let mut stream = links.dial_for_snapshot(to).await?;
        stream.write_u64_le(file.length).await?;
        let file = Arc::new(file);
        let mut at = 0;
        while at < file.length {
            let source = file.clone();
            let piece = self.with(move |snapshots| snapshots.read(&source, at, PIECE_BYTES)).await?;
            within(PIECE_WITHIN, stream.write_all(&piece)).await?;
            at += piece.len() as u64;
        }
        match within(KEPT_WITHIN, stream.read_u8()).await? {
            KEPT => Ok(()),
            _ => Err(HelloError::Refused("it could not keep the snapshot".into())),
        }
    }

    /// Receives a snapshot from a peer that announced one, and hands it to the member.
    pub(super) async fn receive(&self, from: &str, stream: &mut TcpStream) -> io::Result<()> {
        let Ok(_only_one) = self.receiving.try_lock() else {
            return Err(io::Error::other("another snapshot is just being received"));
        };
        let length = within(PIECE_WITHIN, stream.read_u64_le()).await?;
        let file = Arc::new(self.with(Snapshots::begin_receiving).await?);
        let mut at = 0;
        let mut piece = vec![0; PIECE_BYTES];
        while at < length {
            let most = usize::try_from(length - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let count = within(PIECE_WITHIN, stream.read(&mut piece[..most])).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (target, received) = (file.clone(), piece[..count].to_vec());
            self.with(move |snapshots| snapshots.receive(&target, at, &received)).await?;
            at += count as u64;
        }
        let (meta, state) = self.with(move |snapshots| snapshots.finish_receiving(&file, length)).await?;
        info!("received the snapshot of entry {} from {from}: {length} bytes", meta.last);
        self.shared.inbox.post(Event::SnapshotReceived { meta, state: Box::new(state) });
        stream.write_u8(KEPT).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Snapshots<Folder>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let snapshots = self.snapshots.clone();
        let worked = spawn_blocking(move || work(&mut snapshots.lock().expect("no holder of the snapshots panics")));
        worked.await.map_err(io::Error::other)?
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
