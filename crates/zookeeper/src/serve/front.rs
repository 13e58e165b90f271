//! What the connections of one member share: settings, counters, and who is connected.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use node::{Handle, StreamId};
use tracing::debug;

use super::tally::Tally;
use crate::identity;
use crate::members;
use crate::options::Options;
use crate::path;
use crate::prepare::{PROTOCOL, Request};
use crate::tables::Tree;
use crate::watch::Watches;
use crate::wire::{Identity, Password};

/// Shared by all connections.
pub(super) struct Front {
    pub(super) handle: Handle,
    pub(super) options: Options,
    /// Where clients connect.
    pub(super) address: SocketAddr,
    /// The port for encrypted connections, -1 if there is none.
    pub(super) secure_port: AtomicI64,
    pub(super) started: Instant,
    pub(super) counters: Counters,
    guests: Mutex<Guests>,
    /// Keyed afresh by the operating system for each process: what it makes of a counter cannot be foretold.
    secret: RandomState,
    passwords: AtomicU64,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Of all connections together.
    pub(super) tally: Tally,
    pub(super) rejected: AtomicU64,
    pub(super) auth_failed: AtomicU64,
    /// Requests refused because their answers would be too large.
    pub(super) too_large: AtomicU64,
    /// Requests that wait for their answers.
    pub(super) outstanding: AtomicI64,
    /// Paths with watches, over all connections.
    pub(super) watches: AtomicI64,
    /// What people set and read back; nothing is traced by it.
    pub(super) trace_mask: AtomicU64,
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
    /// Whether it is encrypted.
    pub(super) is_secure: bool,
    pub(super) tally: Tally,
    pub(super) queued: AtomicU64,
    /// 0 until it has one.
    pub(super) session: AtomicI64,
    /// What was negotiated, in milliseconds.
    pub(super) timeout: AtomicU64,
    /// When it came, in milliseconds since 1970.
    pub(super) established: u64,
    /// Number and operation of the last request.
    pub(super) last_xid: AtomicI64,
    pub(super) last_opcode: AtomicI64,
    /// When the last answer left, after the start of the front end.
    pub(super) last_answer: AtomicU64,
    /// Its watches; the connection works with them, reports look at them.
    pub(super) watches: Mutex<Watches>,
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
            secure_port: AtomicI64::new(-1),
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
    pub(super) fn admit(self: &Arc<Front>, peer: SocketAddr, is_secure: bool) -> Result<Place, (&'static str, usize)> {
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
        let guest = Arc::new(Guest {
            peer,
            is_secure,
            tally: Tally::default(),
            queued: AtomicU64::new(0),
            session: AtomicI64::new(0),
            timeout: AtomicU64::new(0),
            established: unix_milliseconds(),
            last_xid: AtomicI64::new(0),
            last_opcode: AtomicI64::new(0),
            last_answer: AtomicU64::new(0),
            watches: Mutex::default(),
        });
        guests.by_number.insert(number, guest.clone());
        Ok(Place { front: self.clone(), number, guest })
    }

    /// Has the ensemble's members written down where clients read them, if something else stands there. If that
    /// fails, the next new session or the next change of the member's standing brings another attempt.
    pub(super) async fn write_members_down(&self) {
        let view = self.handle.view();
        let lines = members::lines(&view.members);
        let Some(node) = Tree(&view.state).node(path::CONFIG) else { return };
        let present = String::from_utf8_lossy(node.value.data.unwrap_or_default());
        if members::lines_of(&present) == lines {
            return;
        }
        let request = Request::Configure { lines };
        if let Err(failure) = self.handle.submit(PROTOCOL, StreamId::NONE, request.encode()).await {
            debug!(%failure, "the list of members in /zookeeper/config stays as it was");
        }
    }

    /// All connections, in the order in which they came.
    pub(super) fn connected(&self) -> Vec<Arc<Guest>> {
        self.guests().by_number.values().cloned().collect()
    }

    /// What somebody is who has proven to be this: perhaps one who may do anything.
    pub(super) fn identities_of(&self, proven: Identity) -> Vec<Identity> {
        let options = &self.options;
        let named = match proven.scheme.as_str() {
            identity::DIGEST => options.super_digest.as_ref(),
            identity::X509 => options.super_x509.as_ref(),
            identity::SASL => options.super_sasl.as_ref(),
            _ => None,
        };
        let is_super = named.is_some_and(|id| *id == proven.id);
        is_super.then(|| Identity::new(identity::SUPER, "")).into_iter().chain([proven]).collect()
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

    /// What nobody can foretell, as text.
    pub(super) fn draw_nonce(&self) -> String {
        self.draw_password().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// How long ago the front end started.
    pub(super) fn up(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().expect("nobody panics with the list of connections in hand")
    }
}

impl Guest {
    /// Its watches.
    pub(super) fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().expect("nobody panics with a connection's watches in hand")
    }
}

/// For reports: nothing is decided by it.
fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
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
