//! The front end: clients' connections, and how their requests reach the member and their answers come back.
//!
//! It moves bytes, keeps order and decides nothing: what a request does is decided by the leader, what a read shows
//! by the committed state, what an event is by the connection's watches.

mod client;
mod commands;
mod connection;
mod front;
mod handshake;
mod pulse;
mod reading;
mod reconfigure;
mod rewatch;
mod sweep;
mod tally;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use node::{Handle, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::options::Options;
use front::Front;

pub use commands::Reports;
pub use words::WORDS;

/// How long to wait after the operating system refused to hand over a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The front end of one member, before it serves and while it does.
#[derive(Clone)]
pub struct Service {
    front: Arc<Front>,
}

/// Serves ZooKeeper clients on one port until told to stop, as [`Service::serve`] does.
pub async fn serve(listener: TcpListener, handle: Handle, options: Options, shutdown: watch::Receiver<bool>) {
    match listener.local_addr() {
        Ok(address) => Service::new(handle, options, address).serve(listener, None, shutdown).await,
        Err(error) => warn!(%error, "the client port is gone before it was used"),
    }
}

impl Service {
    /// A front end for clients that connect to this address.
    #[must_use]
    pub fn new(handle: Handle, options: Options, address: SocketAddr) -> Service {
        Service { front: Front::new(handle, options, address) }
    }

    /// What the front end tells of itself, for tools.
    #[must_use]
    pub fn reports(&self) -> Reports {
        Reports::new(self.front.clone())
    }

    /// Serves clients until told to stop, encrypted ones on a port of their own as well; then closes their
    /// connections. Their sessions live on until their timeouts, so that clients can go on with another member.
    pub async fn serve(self, plain: TcpListener, secure: Option<TcpListener>, mut shutdown: watch::Receiver<bool>) {
        let front = self.front;
        if let Some(address) = secure.as_ref().and_then(|secure| secure.local_addr().ok()) {
            front.secure_port.store(address.port().into(), Ordering::Relaxed);
        }
        // Counted up to close all connections.
        let closing = watch::Sender::new(0_u64);
        let mut connections = JoinSet::new();
        let mut standing = front.handle.status_changes();
        let mut deserted_since = None;
        let chores = async {
            tokio::join!(sweep::run(&front.handle, front.options.container_check), keep_members_written(&front));
        };
        tokio::pin!(chores);
        loop {
            let patience_ends = deserted_since.map(|since: Instant| since + front.options.leaderless_patience);
            let is_secure;
            let accepted = tokio::select! {
                () = told_to_stop(&mut shutdown) => break,
                accepted = plain.accept() => { is_secure = false; accepted }
                accepted = accept_if_any(secure.as_ref()) => { is_secure = true; accepted }
                changed = standing.changed() => {
                    let is_deserted = changed.is_err() || standing.borrow_and_update().leader.is_none();
                    deserted_since = if is_deserted { deserted_since.or_else(|| Some(Instant::now())) } else { None };
                    continue;
                }
                () = sleep_until(patience_ends) => {
                    info!("no leader for leaderless_patience: closing all connections, so that clients try other members");
                    closing.send_modify(|count| *count += 1);
                    deserted_since = Some(Instant::now());
                    continue;
                }
                Some(_) = connections.join_next() => continue,
                () = &mut chores => continue,
            };
            match accepted {
                Ok((socket, peer)) => admit(&front, socket, peer, is_secure, &closing, &mut connections),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        closing.send_modify(|count| *count += 1);
        while connections.join_next().await.is_some() {}
    }
}

async fn accept_if_any(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// While this member leads, what clients read of the ensemble's members is what they are.
async fn keep_members_written(front: &Front) {
    let mut standing = front.handle.status_changes();
    let mut written = None;
    while standing.changed().await.is_ok() {
        let is_leader = standing.borrow_and_update().role == Role::Leader;
        let version = front.handle.view().members.version;
        if !is_leader {
            written = None;
        } else if written != Some(version) {
            front.write_members_down().await;
            written = Some(version);
        }
    }
    // The member has stopped; whoever waits for this waits for the end of everything.
    std::future::pending::<()>().await;
}

fn admit(
    front: &Arc<Front>,
    socket: TcpStream,
    peer: SocketAddr,
    is_secure: bool,
    closing: &watch::Sender<u64>,
    connections: &mut JoinSet<()>,
) {
    match front.admit(peer, is_secure) {
        Ok(place) => {
            let mut closing = closing.subscribe();
            let front = front.clone();
            connections.spawn(async move {
                tokio::select! {
                    () = connection::serve(front, socket, place) => {}
                    _ = closing.changed() => debug!(%peer, "closing with the member"),
                }
            });
        }
        Err((limit, value)) => {
            front.counters.rejected.fetch_add(1, Ordering::Relaxed);
            warn!(%peer, "connection refused: {limit} = {value} is reached");
        }
    }
}

async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    // If whoever could tell is gone, that is telling enough.
    let _ = shutdown.wait_for(|&stop| stop).await;
}

/// Sleeps until then, or for ever.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
