//! The front end: clients' connections, and how their requests reach the member and their answers come back.
//!
//! It moves bytes, keeps order and decides nothing: what a request does is decided by the leader, what a read shows
//! by the committed state, what an event is by the connection's watches.

mod client;
mod connection;
mod front;
mod handshake;
mod pulse;
mod reading;
mod rewatch;
mod sweep;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use node::Handle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::options::Options;
use front::Front;

pub(crate) use words::WORDS;

/// How long to wait after the operating system refused to hand over a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves ZooKeeper clients until told to stop; then closes their connections. Their sessions live on until their
/// timeouts, so that clients can go on with another member.
pub async fn serve(listener: TcpListener, handle: Handle, options: Options, mut shutdown: watch::Receiver<bool>) {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return warn!(%error, "the client port is gone before it was used"),
    };
    let front = Front::new(handle, options, address);
    // Counted up to close all connections.
    let closing = watch::Sender::new(0_u64);
    let mut connections = JoinSet::new();
    let mut standing = front.handle.status_changes();
    let mut deserted_since = None;
    let sweeping = sweep::run(&front.handle, front.options.container_check);
    tokio::pin!(sweeping);
    loop {
        let patience_ends = deserted_since.map(|since: Instant| since + front.options.leaderless_patience);
        tokio::select! {
            () = told_to_stop(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => admit(&front, socket, peer, &closing, &mut connections),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            changed = standing.changed() => {
                let is_deserted = changed.is_err() || standing.borrow_and_update().leader.is_none();
                deserted_since = if is_deserted { deserted_since.or_else(|| Some(Instant::now())) } else { None };
            }
            () = sleep_until(patience_ends) => {
                info!("no leader for leaderless_patience: closing all connections, so that clients try other members");
                closing.send_modify(|count| *count += 1);
                deserted_since = Some(Instant::now());
            }
            Some(_) = connections.join_next() => {}
            () = &mut sweeping => {}
        }
    }
    closing.send_modify(|count| *count += 1);
    while connections.join_next().await.is_some() {}
}

fn admit(
    front: &Arc<Front>,
    socket: TcpStream,
    peer: SocketAddr,
    closing: &watch::Sender<u64>,
    connections: &mut JoinSet<()>,
) {
    match front.admit(peer) {
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
