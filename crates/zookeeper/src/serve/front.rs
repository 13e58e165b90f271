//! What the connections of one member share: settings, counters, and who is connected.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use node::Handle;

use crate::options::Options;
use crate::wire::Password;

/// Shared by all connections.
pub(super) struct Front {
    pub(super) handle: Handle,
    pub(super) options: Options,
    /// Where clients connect.
    pub(super) address: SocketAddr,
    pub(super) started: Instant,
    pub(super) counters: Counters,
    guests: Mutex<Guests>,
    /// Keyed afresh by the operating system for each process: what it makes of a counter cannot be foretold.
    secret: RandomState,
    passwords: AtomicU64,
}

/// Counts since the start. Latencies in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) auth_failed: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) latency_sum: AtomicU64,
    pub(super) latency_min: AtomicU64,
    pub(super) latency_max: AtomicU64,
    /// Requests that wait for their answers.
    pub(super) outstanding: AtomicI64,
    /// Paths with watches, over all connections.
    pub(super) watches: AtomicI64,
}

impl Counters {
    /// Counts an answer that came so long after its request.
    pub(super) fn answered(&self, latency: Duration) {
        let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        if self.answered.fetch_add(1, Ordering::Relaxed) == 0 {
            self.latency_min.store(milliseconds, Ordering::Relaxed);
        }
        self.latency_min.fetch_min(milliseconds, Ordering::Relaxed);
        self.latency_max.fetch_max(milliseconds, Ordering::Relaxed);
        self.latency_sum.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Guests {
    by_number: BTreeMap<u64, Arc<Guest>>,
    by_address: HashMap<IpAddr, usize>,
    last_number: u64,
}

/// One connection, as reports show it.
pub(super) struct Guest {
    pub(super) peer: SocketAddr,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) queued: AtomicU64,
    /// 0 until it has one.
    pub(super) session: AtomicI64,
}

/// A connection's place in the list, given back when it is dropped.
pub(super) struct Place {
    front: Arc<Front>,
    number: u64,
    pub(super) guest: Arc<Guest>,
}

impl Front {
    pub(super) fn new(handle: Handle, options: Options, address: SocketAddr) -> Arc<Front> {
        Arc::new(Front {
            handle,
            options,
            address,
            started: Instant::now(),
            counters: Counters::default(),
            guests: Mutex::default(),
            secret: RandomState::new(),
            passwords: AtomicU64::new(0),
        })
    }

    /// Lets a connection in, unless there are too many already.
    ///
    /// # Errors
    /// The name of the limit and its value.
    pub(super) fn admit(self: &Arc<Front>, peer: SocketAddr) -> Result<Place, (&'static str, usize)> {
        let Options { connections, connections_per_address, .. } = self.options;
        let mut guests = self.guests();
        let of_address = guests.by_address.get(&peer.ip()).copied().unwrap_or(0);
        if connections > 0 && guests.by_number.len() >= connections {
            return Err(("connections", connections));
        }
        if connections_per_address > 0 && of_address >= connections_per_address {
            return Err(("connections_per_address", connections_per_address));
        }
        guests.by_address.insert(peer.ip(), of_address + 1);
        guests.last_number += 1;
        let number = guests.last_number;
        let [received, sent, queued] = [const { AtomicU64::new(0) }; 3];
        let guest = Arc::new(Guest { peer, received, sent, queued, session: AtomicI64::new(0) });
        guests.by_number.insert(number, guest.clone());
        Ok(Place { front: self.clone(), number, guest })
    }

    /// All connections, in the order in which they came.
    pub(super) fn connected(&self) -> Vec<Arc<Guest>> {
        self.guests().by_number.values().cloned().collect()
    }

    /// A password for a new session.
    pub(super) fn draw_password(&self) -> Password {
        let draw =
            |half: u64| self.secret.hash_one((self.passwords.fetch_add(1, Ordering::Relaxed), half)).to_be_bytes();
        let mut password = Password::default();
        password[..8].copy_from_slice(&draw(0));
        password[8..].copy_from_slice(&draw(1));
        password
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().expect("nobody panics with the list of connections in hand")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.front.guests();
        guests.by_number.remove(&self.number);
        let address = self.guest.peer.ip();
        let left = guests.by_address.get(&address).map_or(0, |count| count - 1);
        if left == 0 {
            guests.by_address.remove(&address);
        } else {
            guests.by_address.insert(address, left);
        }
    }
}
